"""async-graphql's validation of a document for the cost model API, with its texts and order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.standin.graphql.document import Document, Enum, Place, Selection, Variable

FIELDS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "Query": {
        "costModel": ("GraphQlCostModel", {"deployment": "String!"}),
        "costModels": ("GraphQlCostModel", {"deployments": "[String!]!"}),
    },
    "GraphQlCostModel": {"deployment": ("String", {}), "model": ("String", {}), "variables": ("JSON", {})},
}
"""The schema: types, their fields, the type of each without list and exclamation marks, and its arguments."""

_TYPES = {*FIELDS, "String", "JSON", "Boolean", "Int", "Float", "ID"}


def problem(message: str, place: Place | None = None, path: list[str] | None = None) -> dict[str, Any]:
    """One entry of ``errors``."""
    found: dict[str, Any] = {"message": message}
    if place is not None:
        found["locations"] = [place]
    if path is not None:
        found["path"] = path
    return found


def broken_rules(document: Document, variables: dict[str, Any]) -> list[dict[str, Any]]:
    """All errors of the document."""
    return _Check(document, variables).problems()


def variables_of(value: Any) -> Iterator[Variable]:
    """The variables within a value."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from variables_of(item)


@dataclass
class _Check:
    document: Document
    variables: dict[str, Any]

    def __post_init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def problems(self) -> list[dict[str, Any]]:
        for fragment in self.document.fragments.values():
            if fragment.on not in _TYPES:
                self._report(f'Unknown type "{fragment.on}"', fragment.place)
            self._selections(fragment.selections, fragment.on)
        unconfigured = [operation for operation in self.document.operations if operation.kind != "query"]
        for operation in self.document.operations:
            if operation.kind != "query":
                self._report(f"Schema is not configured for {operation.kind}s.", operation.place)
                continue
            for _, place, kind, _ in operation.variables:
                if kind.strip("[]!") not in _TYPES:
                    self.found += [problem(f'Unknown type "{kind.strip("[]!")}"', place)] * 2
            self._selections(operation.selections, "Query")
        self._variables()
        # The rules and the calculation of costs both go through the document.
        for operation in unconfigured:
            self._report(f"Schema is not configured for {operation.kind}s.", operation.place)
        return self.found

    def _report(self, message: str, place: Place) -> None:
        self.found.append(problem(message, place))

    def _selections(self, selections: list[Selection], of: str) -> None:
        for selection in selections:
            if selection.kind == "spread":
                if selection.name not in self.document.fragments:
                    self._report(f'Unknown fragment: "{selection.name}"', selection.place)
            elif selection.kind == "inline":
                if selection.name and selection.name not in _TYPES:
                    self._report(f'Unknown type "{selection.name}"', selection.place)
                self._selections(selection.selections, selection.name or of)
            elif selection.name != "__typename" and of in _TYPES:
                self._field(selection, of)

    def _field(self, selection: Selection, of: str) -> None:
        name, place = selection.name, selection.place
        known = FIELDS.get(of, {})
        if name not in known:
            self._report(f'Unknown field "{name}" on type "{of}".{_suggestion(name, list(known))}', place)
            return
        kind, arguments = known[name]
        given = {argument for argument, _, _ in selection.arguments}
        for argument in arguments:
            if argument not in given:
                what = f'Field "{name}" argument "{argument}" of type "{of}" is required but not provided'
                self._report(what, place)
        if kind in FIELDS and not selection.selections:
            self._report(f'Field "{name}" of type "{kind}" must have a selection of subfields', place)
        elif kind not in FIELDS and selection.selections:
            what = f'Field "{name}" must not have a selection since type "{kind}" has no subfields'
            self._report(what, place)
        for argument, at, value in selection.arguments:
            if argument not in arguments:
                suggestion = _suggestion(argument, list(arguments))
                self._report(f'Unknown argument "{argument}" on field "{name}" of type "{of}".{suggestion}', at)
            elif (reason := self._unfit(arguments[argument], value, argument)) is not None:
                self._report(f"Invalid value for argument {reason}", at)
        self._selections(selection.selections, kind)

    def _unfit(self, kind: str, value: Any, path: str) -> str | None:
        """Why a value does not have the type; None if it has, or if it contains a variable without a value yet."""
        if any(variable.name not in self.variables for variable in variables_of(value)):
            return None
        if isinstance(value, Variable):
            value = self.variables[value.name]
        if kind.endswith("!"):
            if value is None:
                return f'"{path}", expected type "{kind[:-1]}"'
            kind = kind[:-1]
        if value is None:
            return None
        if kind.startswith("["):
            items = list(enumerate(value)) if isinstance(value, list) else None
            if items is None:
                return self._unfit(kind[1:-1], value, path)
            reasons = (self._unfit(kind[1:-1], item, f"{path}.{index}") for index, item in items)
            return next((reason for reason in reasons if reason is not None), None)
        fits = isinstance(value, str) and not isinstance(value, Enum)
        return None if fits else f'"{path}", expected type "{kind}"'

    def _variables(self) -> None:
        for operation in self.document.operations:
            if operation.kind != "query":
                continue
            used = list(self._used(operation.selections, set()))
            defined = {name for name, _, _, _ in operation.variables}
            by = "" if operation.name is None else f' by operation "{operation.name}"'
            for name, place in used:
                if name not in defined:
                    self._report(f'Variable "${name}" is not defined{by}', place)
            for name, place, _, _ in operation.variables:
                if name not in {name for name, _ in used}:
                    self._report(f'Variable "${name}" is not used{by}', place)

    def _used(self, selections: list[Selection], seen: set[str]) -> Iterator[tuple[str, Place]]:
        """Variables with the position of the argument that uses them, through fragments."""
        for selection in selections:
            for _, place, value in selection.arguments:
                for variable in variables_of(value):
                    yield variable.name, place
            for _, arguments in selection.directives:
                for variable in variables_of(arguments):
                    yield variable.name, variable.place
            yield from self._used(selection.selections, seen)
            fragment = self.document.fragments.get(selection.name) if selection.kind == "spread" else None
            if fragment is not None and fragment.name not in seen:
                yield from self._used(fragment.selections, {*seen, fragment.name})


def _suggestion(name: str, options: list[str]) -> str:
    distances = {option: _distance(name, option) for option in options}
    near = [option for option in options if distances[option] < max(len(name) // 2, len(option) // 2, 1)]
    near.sort(key=lambda option: distances[option])
    named = ", ".join(f'"{option}"' for option in near)
    return f" Did you mean {named}?" if near else ""


def _distance(first: str, second: str) -> int:
    """The edit distance."""
    row = list(range(len(first) + 1))
    for index, letter in enumerate(second, 1):
        diagonal, row[0] = row[0], index
        for column, other in enumerate(first, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (letter != other))
    return row[-1]
