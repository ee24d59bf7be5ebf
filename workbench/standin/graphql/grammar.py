"""The grammar of GraphQL documents of async-graphql-parser 7.2, rule by rule."""

from __future__ import annotations

import re

from workbench.standin.graphql.pest import (
    Expression,
    Machine,
    Node,
    choice,
    never,
    optional,
    pattern,
    repeated,
    sequence,
    some,
    text,
    within,
)

ORDER = (
    "EOI",
    "executable_document",
    "executable_definition",
    "operation_definition",
    "named_operation_definition",
    "variable_definitions",
    "variable_definition",
    "selection_set",
    "selection",
    "field",
    "alias",
    "fragment_spread",
    "inline_fragment",
    "fragment_definition",
    "type_condition",
    "operation_type",
    "default_value",
    "type_",
    "const_value",
    "value",
    "variable",
    "number",
    "string",
    "block_string_content",
    "string_content",
    "boolean",
    "null",
    "enum_value",
    "const_list",
    "list",
    "const_object",
    "object",
    "const_object_field",
    "object_field",
    "const_directives",
    "directives",
    "const_directive",
    "directive",
    "const_arguments",
    "arguments",
    "const_argument",
    "argument",
    "name",
)
"""The rules in the order in which messages name them."""

SKIPPED = re.compile(r"[ ,\t\ufeff\r\n]*(?:#[^\r\n]*[ ,\t\ufeff\r\n]*)*")

_STRING_CHARACTERS = r'(?:[^"\\\r\n]|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})*'
_BLOCK_CHARACTERS = r'(?:(?!"""|\\""")[\s\S]|\\""")*'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[Ee][+-]?[0-9]+)?|[Ee][+-]?[0-9]+)?(?![A-Za-z_])"


def rule(name: str) -> Expression:
    """A rule of the grammar, by name."""
    return lambda machine: machine.rule(name, GRAMMAR[name])


def _values(prefix: str) -> dict[str, Expression]:
    """The rules of values: with variables, or constant ones, whose names begin with ``const_``."""
    kinds = [rule(name) for name in ("number", "string", "boolean", "null", "enum_value")]
    of_variables = [] if prefix else [rule("variable")]
    return {
        f"{prefix}value": choice(*of_variables, *kinds, rule(f"{prefix}list"), rule(f"{prefix}object")),
        f"{prefix}list": sequence(text("["), repeated(rule(f"{prefix}value")), text("]")),
        f"{prefix}object": sequence(text("{"), repeated(rule(f"{prefix}object_field")), text("}")),
        f"{prefix}object_field": sequence(rule("name"), text(":"), rule(f"{prefix}value")),
    }


GRAMMAR: dict[str, Expression] = {
    "EOI": lambda machine: machine.at == len(machine.text),
    "executable_document": sequence(lambda machine: True, some(rule("executable_definition")), rule("EOI")),
    "executable_definition": choice(rule("operation_definition"), rule("fragment_definition")),
    "operation_definition": choice(rule("named_operation_definition"), rule("selection_set")),
    "named_operation_definition": sequence(
        rule("operation_type"),
        optional(rule("name")),
        optional(rule("variable_definitions")),
        optional(rule("directives")),
        rule("selection_set"),
    ),
    "variable_definitions": sequence(text("("), repeated(rule("variable_definition")), text(")")),
    "variable_definition": sequence(
        rule("variable"), text(":"), rule("type_"), optional(rule("directives")), optional(rule("default_value"))
    ),
    "selection_set": sequence(text("{"), some(rule("selection")), text("}")),
    "selection": choice(rule("field"), rule("inline_fragment"), rule("fragment_spread")),
    "field": sequence(
        optional(rule("alias")),
        rule("name"),
        optional(rule("arguments")),
        optional(rule("directives")),
        optional(rule("selection_set")),
    ),
    "alias": sequence(rule("name"), text(":")),
    "fragment_spread": sequence(text("..."), never(rule("type_condition")), rule("name"), optional(rule("directives"))),
    "inline_fragment": sequence(
        text("..."), optional(rule("type_condition")), optional(rule("directives")), rule("selection_set")
    ),
    "fragment_definition": sequence(
        text("fragment"),
        rule("name"),
        rule("type_condition"),
        optional(rule("directives")),
        rule("selection_set"),
    ),
    "type_condition": within("compound", sequence(text("on"), pattern(r"[ ,\t\ufeff\r\n]+"), rule("name"))),
    "operation_type": pattern(r"query|mutation|subscription"),
    "default_value": sequence(text("="), rule("const_value")),
    "type_": within(
        "atomic",
        sequence(choice(rule("name"), sequence(text("["), rule("type_"), text("]"))), optional(text("!"))),
    ),
    **_values(""),
    **_values("const_"),
    "variable": sequence(text("$"), rule("name")),
    "number": within("atomic", pattern(_NUMBER)),
    "string": within(
        "compound",
        choice(
            sequence(text('"""'), rule("block_string_content"), text('"""')),
            sequence(text('"'), rule("string_content"), text('"')),
        ),
    ),
    "block_string_content": within("atomic", pattern(_BLOCK_CHARACTERS)),
    "string_content": within("atomic", pattern(_STRING_CHARACTERS)),
    "boolean": choice(text("true"), text("false")),
    "null": text("null"),
    "enum_value": within("compound", sequence(never(choice(rule("boolean"), rule("null"))), rule("name"))),
    "directives": some(rule("directive")),
    "directive": sequence(text("@"), rule("name"), optional(rule("arguments"))),
    "arguments": sequence(text("("), some(rule("argument")), text(")")),
    "argument": sequence(rule("name"), text(":"), rule("value")),
    "name": within("atomic", pattern(r"[A-Za-z_][0-9A-Za-z_]*")),
}


def tree(query: str) -> Node:
    """The parsed document. Raises SyntaxProblem."""
    machine = Machine(query, SKIPPED, ORDER)
    if not rule("executable_document")(machine):
        raise machine.problem()
    return machine.nodes[0]
