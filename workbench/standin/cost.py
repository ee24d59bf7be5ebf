"""``POST /cost``: Agora cost models by GraphQL, with async-graphql's texts. The stand-in has no models."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from workbench.standin.answers import compact
from workbench.standin.deployment import NoDeployment, read_deployment
from workbench.standin.graphql.document import Document, Operation, Selection, Variable, read_document
from workbench.standin.graphql.pest import SyntaxProblem
from workbench.standin.graphql.rules import broken_rules, problem
from workbench.standin.http.body import BrokenBody
from workbench.standin.http.messages import Answer, BodyTooLarge, Request
from workbench.standin.metrics import ServiceMetrics
from workbench.standin.rust import debug
from workbench.standin.serde.structs import read_value
from workbench.standin.serde.tokens import BodyError
from workbench.standin.serde.values import Pairs

MAX_COST_MODELS = 200
# The route has no limit in the real service, but one is needed here.
MAX_BYTES = 64 * 1024 * 1024

_TYPE = "application/graphql-response+json"


@dataclass(frozen=True)
class _Asked:
    query: str = ""
    operation: str | None = None
    variables: dict[str, Any] | None = None


class _Mismatch(Exception):
    """The value is not a request."""


class _Failed(Exception):
    """A field could not be resolved; the entry of ``errors``."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__(entry)
        self.entry = entry


class CostRoute:
    """The handler; one instance per service."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        self._metrics = metrics

    async def handle(self, request: Request) -> Answer:
        """One query, or a list of them."""
        if (request.header("content-type") or "").lower().startswith("multipart/form-data"):
            return Answer(400, b"InvalidMultipart(multipart boundary not found in Content-Type)")
        try:
            asked = read_value(await request.read(MAX_BYTES), _requests)
        except (BodyTooLarge, BrokenBody):
            return Answer(400, b'Io(Custom { kind: Other, error: "error reading a body from connection" })')
        except BodyError as error:
            said = f"Error({debug(error.what)}, line: {error.line}, column: {error.column})"
            return Answer(400, f"InvalidRequest({said})".encode())
        except _Mismatch:
            said = "data did not match any variant of untagged enum BatchRequest"
            return Answer(400, f'InvalidRequest(Error("{said}", line: 0, column: 0))'.encode())
        if isinstance(asked, _Asked):
            return Answer(200, compact(self._answer(asked)), _TYPE)
        return Answer(200, compact([self._answer(one) for one in asked]), _TYPE)

    def _answer(self, asked: _Asked) -> dict[str, Any]:
        started = time.perf_counter()
        variables = asked.variables or {}
        try:
            document = read_document(asked.query)
            operation = _chosen(document, asked.operation)
            wrong = broken_rules(document, variables)
            if wrong:
                return {"data": None, "errors": wrong}
            data: dict[str, Any] = {}
            self._resolve(operation.selections, document, variables, started, data)
        except SyntaxProblem as error:
            return {"data": None, "errors": [problem(error.message, {"line": error.line, "column": error.column})]}
        except _Failed as failure:
            return {"data": None, "errors": [failure.entry]}
        return {"data": data or None}

    def _resolve(
        self,
        selections: list[Selection],
        document: Document,
        variables: dict[str, Any],
        started: float,
        data: dict[str, Any],
    ) -> None:
        for selection in selections:
            if _left_out(selection, variables):
                continue
            if selection.kind == "spread":
                self._resolve(document.fragments[selection.name].selections, document, variables, started, data)
            elif selection.kind == "inline":
                self._resolve(selection.selections, document, variables, started, data)
            elif selection.name == "__typename":
                data[selection.key] = "Query"
            else:
                data[selection.key] = self._models(selection, variables, started)

    def _models(self, selection: Selection, variables: dict[str, Any], started: float) -> Any:
        batch = selection.name == "costModels"
        path = [selection.key]
        value = _filled(selection.arguments[0][2], variables, path)
        deployments = value if isinstance(value, list) else [value]
        if batch and len(deployments) > MAX_COST_MODELS:
            self._metrics.cost_model_batch_limit_exceeded.inc()
            what = f"Batch size {len(deployments)} exceeds maximum allowed ({MAX_COST_MODELS})"
            raise _Failed(problem(what, selection.place, path))
        for deployment in deployments:
            try:
                read_deployment(deployment)
            except NoDeployment as reason:
                (self._metrics.cost_model_batch_invalid if batch else self._metrics.cost_model_invalid).inc()
                raise _Failed(problem(str(reason), selection.place, path)) from None
        seconds = time.perf_counter() - started
        if batch:
            self._metrics.cost_model_batch_size.observe(len(deployments))
            self._metrics.cost_model_batch_seconds.observe(seconds)
            return []
        self._metrics.cost_model_seconds.labels(*deployments).observe(seconds)
        return None


def _requests(value: Any) -> _Asked | list[_Asked]:
    """One request, or a list of at least one. Raises _Mismatch."""
    try:
        return _request(value)
    except _Mismatch:
        if isinstance(value, Pairs) or not isinstance(value, list) or not value:
            raise
        return [_request(item) for item in value]


def _request(value: Any) -> _Asked:
    """A request from an object, or from an array with its members in order."""
    names = ("query", "operationName", "variables", "extensions")
    if isinstance(value, Pairs):
        known = [(name, item) for name, item in value if name in names]
        members = dict(known)
        if len(members) < len(known):
            raise _Mismatch
    elif isinstance(value, list):
        if len(value) > len(names):
            raise _Mismatch
        members = dict(zip(names, value, strict=False))
    else:
        raise _Mismatch
    query, operation = members.get("query", ""), members.get("operationName")
    variables, extensions = members.get("variables"), members.get("extensions")
    fits = isinstance(query, str) and isinstance(operation, str | None)
    if not fits or not isinstance(variables, Pairs | None) or not isinstance(extensions, Pairs | None):
        raise _Mismatch
    return _Asked(query, operation, _plain(variables))


def _plain(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {name: _plain(item) for name, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _chosen(document: Document, name: str | None) -> Operation:
    """The operation to run. Raises _Failed."""
    if name is not None:
        for operation in document.operations:
            if operation.name == name:
                return operation
        raise _Failed(problem(f'Unknown operation named "{name}"'))
    if len(document.operations) != 1:
        raise _Failed(problem("Operation name required in request."))
    return document.operations[0]


def _left_out(selection: Selection, variables: dict[str, Any]) -> bool:
    for name, arguments in selection.directives:
        if name in ("skip", "include"):
            condition = arguments.get("if")
            if isinstance(condition, Variable):
                condition = variables.get(condition.name)
            if condition is (name == "skip"):
                return True
    return False


def _filled(value: Any, variables: dict[str, Any], path: list[str]) -> Any:
    """A value with its variables put in. Raises _Failed if one has no value."""
    if isinstance(value, Variable):
        if value.name not in variables:
            raise _Failed(problem(f"Variable {value.name} is not defined.", value.place, path))
        return variables[value.name]
    return [_filled(item, variables, path) for item in value] if isinstance(value, list) else value
