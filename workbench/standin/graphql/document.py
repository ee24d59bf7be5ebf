"""A GraphQL document as values: operations with their fields, arguments and places, and fragments."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from workbench.standin.graphql.grammar import tree
from workbench.standin.graphql.pest import Node

Place = dict[str, int]


@dataclass(frozen=True)
class Variable:
    """A variable, where a value is expected."""

    name: str
    place: Place


@dataclass(frozen=True)
class Enum:
    """A name, where a value is expected."""

    name: str


@dataclass
class Selection:
    """A field (``kind`` field), a spread of a named fragment (spread) or an inline fragment (inline, name its type)."""

    kind: str
    place: Place
    name: str = ""
    alias: str | None = None
    arguments: list[tuple[str, Place, Any]] = field(default_factory=list)
    directives: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    selections: list[Selection] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Its name in the answer."""
        return self.alias or self.name


@dataclass
class Operation:
    """One operation; ``variables`` are name, place, type and whether there is a default."""

    kind: str
    name: str | None
    place: Place
    variables: list[tuple[str, Place, str, bool]]
    selections: list[Selection]


@dataclass
class Fragment:
    """A named fragment on a type."""

    name: str
    place: Place
    on: str
    selections: list[Selection]


@dataclass
class Document:
    """All operations and fragments of a query."""

    operations: list[Operation]
    fragments: dict[str, Fragment]


def read_document(query: str) -> Document:
    """The document of a query. Raises SyntaxProblem."""
    return _Reader(query).document(tree(query))


class _Reader:
    def __init__(self, query: str) -> None:
        self._query = query

    def document(self, node: Node) -> Document:
        operations, fragments = [], {}
        for definition in node.children:
            inner = definition.children[0] if definition.children else definition
            if inner.rule == "operation_definition":
                operations.append(self._operation(inner.children[0]))
            elif inner.rule == "fragment_definition":
                fragment = self._fragment(inner)
                fragments[fragment.name] = fragment
        return Document(operations, fragments)

    def _operation(self, node: Node) -> Operation:
        if node.rule == "selection_set":
            return Operation("query", None, self._place(node), [], self._selections(node))
        parts = {child.rule: child for child in node.children}
        defined = parts["variable_definitions"].children if "variable_definitions" in parts else []
        return Operation(
            self._text(parts["operation_type"]),
            self._text(parts["name"]) if "name" in parts else None,
            self._place(node),
            [self._definition(child) for child in defined],
            self._selections(parts["selection_set"]),
        )

    def _definition(self, node: Node) -> tuple[str, Place, str, bool]:
        parts = {child.rule: child for child in node.children}
        name = self._text(parts["variable"].children[0])
        return name, self._place(node), self._text(parts["type_"]), "default_value" in parts

    def _fragment(self, node: Node) -> Fragment:
        parts = {child.rule: child for child in node.children}
        on = self._text(parts["type_condition"].children[0])
        return Fragment(self._text(parts["name"]), self._place(node), on, self._selections(parts["selection_set"]))

    def _selections(self, node: Node) -> list[Selection]:
        return [self._selection(child.children[0]) for child in node.children]

    def _selection(self, node: Node) -> Selection:
        parts = {child.rule: child for child in node.children}
        kind = {"field": "field", "fragment_spread": "spread"}.get(node.rule, "inline")
        found = Selection(kind, self._place(node))
        if "name" in parts:
            found.name = self._text(parts["name"])
        if "type_condition" in parts:
            found.name = self._text(parts["type_condition"].children[0])
        if "alias" in parts:
            found.alias = self._text(parts["alias"].children[0])
        found.arguments = self._arguments(parts)
        for directive in parts["directives"].children if "directives" in parts else []:
            named = {child.rule: child for child in directive.children}
            arguments = {name: value for name, _, value in self._arguments(named)}
            found.directives.append((self._text(named["name"]), arguments))
        if "selection_set" in parts:
            found.selections = self._selections(parts["selection_set"])
        return found

    def _arguments(self, parts: dict[str, Node]) -> list[tuple[str, Place, Any]]:
        if "arguments" not in parts:
            return []
        pairs = [argument.children for argument in parts["arguments"].children]
        return [(self._text(name), self._place(name), self._value(value)) for name, value in pairs]

    def _value(self, node: Node) -> Any:
        inner = node.children[0]
        kind, text = inner.rule.removeprefix("const_"), self._text(inner)
        if kind == "variable":
            return Variable(self._text(inner.children[0]), self._place(inner))
        if kind == "list":
            return [self._value(child) for child in inner.children]
        if kind == "object":
            return {self._text(child.children[0]): self._value(child.children[1]) for child in inner.children}
        if kind == "string":
            if text.startswith('"""'):
                return text[3:-3].replace('\\"""', '"""')
            return json.loads(text, strict=False)
        return Enum(text) if kind == "enum_value" else json.loads(text)

    def _text(self, node: Node) -> str:
        return self._query[node.start : node.end]

    def _place(self, node: Node) -> Place:
        start = self._query.rfind("\n", 0, node.start) + 1
        return {"line": self._query.count("\n", 0, node.start) + 1, "column": node.start - start + 1}
