"""GraphQL refused in the words of the real service's two parsers, and what the cost model API answers.

The texts of the tables are what graphql-parser 0.4.1 and async-graphql 7.2.1 say.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.standin.graphql.grammar import tree
from workbench.standin.graphql.pest import SyntaxProblem
from workbench.standin.graphql.roots import QueryError
from workbench.standin.graphql.syntax import check

from .conftest import Caller

VALUE = "IntValue, FloatValue, StringValue, BlockString, true, false, null or Name\n"

STATUS: list[tuple[str, str]] = [
    ("", "1:1\nUnexpected end of input\nExpected {, query, mutation, subscription or fragment\n"),
    ("{", "1:2\nUnexpected end of input\nExpected Name\n"),
    ("{ a", "1:4\nUnexpected end of input\nExpected }\n"),
    ("{ a(", "1:5\nUnexpected end of input\nExpected Name\n"),
    ("{ a(x", "1:6\nUnexpected end of input\nExpected :\n"),
    (
        "{ a(x:",
        "1:7\nUnexpected end of input\nExpected " + VALUE,
    ),
    ("{ a(x:1", "1:8\nUnexpected end of input\nExpected Name, : or )\n"),
    ("{ a(x:[1", "1:9\nUnexpected end of input\nExpected ]\n"),
    ("{ a(x:{", "1:8\nUnexpected end of input\nExpected Name, : or }\n"),
    ("}", "1:1\nUnexpected `}[Punctuator]`\nExpected {, query, mutation, subscription or fragment\n"),
    ("x", "1:1\nUnexpected `x[Name]`\nExpected {, query, mutation, subscription or fragment\n"),
    ("{ 1 }", "1:3\nUnexpected `1[IntValue]`\nExpected Name\n"),
    ("{ a b: }", "1:8\nUnexpected `}[Punctuator]`\nExpected Name\n"),
    ("{ a @ }", "1:7\nUnexpected `}[Punctuator]`\nExpected Name\n"),
    ("query", "1:6\nUnexpected end of input\nExpected {, Name, (, $, :, = or )\n"),
    ("query Q", "1:8\nUnexpected end of input\nExpected {\n"),
    ("query Q(", "1:9\nUnexpected end of input\nExpected $\n"),
    ("query Q($a: Int", "1:16\nUnexpected end of input\nExpected $, Name, :, = or )\n"),
    ("query Q($a: [", "1:14\nUnexpected end of input\nExpected Name or [\n"),
    ("query Q($a: Int) 1", "1:18\nUnexpected `1[IntValue]`\nExpected {\n"),
    ("{ ... }", "1:7\nUnexpected `}[Punctuator]`\nExpected {, on or Name\n"),
    ("{ ... on X }", "1:12\nUnexpected `}[Punctuator]`\nExpected {\n"),
    ("{ ...F 1", "1:8\nUnexpected `1[IntValue]`\nExpected }\n"),
    ("fragment F", "1:11\nUnexpected end of input\nExpected on\n"),
    ("fragment F on X", "1:16\nUnexpected end of input\nExpected {\n"),
    ("{ a } }", "1:7\nUnexpected `}[Punctuator]`\nExpected end of input\n"),
    ("{}", "1:2\nUnexpected `}[Punctuator]`\nExpected Name\n"),
    ('{ "x" }', '1:3\nUnexpected `"x"[StringValue]`\nExpected Name\n'),
    ("{ é }", "1:3\nUnexpected unexpected character 'é'\nUnexpected end of input\nExpected Name\n"),
    ("{ a ? }", "1:5\nUnexpected unexpected character '?'\nExpected }\n"),
    ("{ a } ?", "1:7\nExpected end of input\n"),
    (
        "{ a(x: 01) }",
        '1:8\nUnexpected unsupported integer "01"\nUnexpected end of input\nExpected ' + VALUE,
    ),
    (
        "{ a(x: 1.) }",
        '1:8\nUnexpected unsupported float "1."\nUnexpected end of input\nExpected ' + VALUE,
    ),
    ("{ .. }", "1:3\nUnexpected bare dot '.' is not supported, only \"...\"\nUnexpected end of input\nExpected Name\n"),
    (
        '{ a(x: "abc) }',
        "1:8\nUnexpected unterminated string value\nUnexpected end of input\nExpected " + VALUE,
    ),
    (
        '{ a(x: """abc) }',
        "1:8\nUnexpected unterminated block string value\nUnexpected end of input\nExpected " + VALUE,
    ),
    ("{\n\ta !", "2:11\nUnexpected `![Punctuator]`\nExpected }\n"),
    ("{ a # b\n!", "2:1\nUnexpected `![Punctuator]`\nExpected }\n"),
    ("{ a(x: 99999999999999999999) }", "1:8\nnumber too large to fit in target type\n"),
    ('{ a(x: "\\q") }', "1:8\nUnexpected bad escaped char 'q'\n"),
    ('{ a(x: "\\u12") }', "1:8\nUnexpected \\u must have 4 characters after it, only found '12'\n"),
    (
        "{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{",
        "1:101\nExpected }\nRecursion limit exceeded\n",
    ),
]

COST: list[tuple[str, Any]] = [
    (
        "{ x }",
        [
            {
                "message": 'Unknown field "x" on type "Query".',
                "locations": [{"line": 1, "column": 3}],
            },
        ],
    ),
    (
        "{",
        [
            {
                "message": " --> 1:2\n  |\n1 | {\n  |  ^---\n  |\n  = expected selection",
                "locations": [{"line": 1, "column": 2}],
            },
        ],
    ),
    (
        "",
        [
            {
                "message": " --> 1:1\n  |\n1 | \n  | ^---\n  |\n  = expected executable_definition",
                "locations": [{"line": 1, "column": 1}],
            },
        ],
    ),
    (
        "{ a(x: }",
        [
            {
                "message": " --> 1:8\n  |\n1 | { a(x: }\n  |        ^---\n  |\n  = expected value",
                "locations": [{"line": 1, "column": 8}],
            },
        ],
    ),
    (
        "{ a b",
        [
            {
                "message": (
                    " --> 1:6\n  |\n1 | { a b\n  |      ^---\n  |\n  = expected selection_set, selection, directive,"
                    " or arguments"
                ),
                "locations": [{"line": 1, "column": 6}],
            },
        ],
    ),
    (
        "query Q( { a }",
        [
            {
                "message": " --> 1:10\n  |\n1 | query Q( { a }\n  |          ^---\n  |\n  = expected variable",
                "locations": [{"line": 1, "column": 10}],
            },
        ],
    ),
    (
        "{ a } b",
        [
            {
                "message": " --> 1:7\n  |\n1 | { a } b\n  |       ^---\n  |\n  = expected EOI or executable_definition",
                "locations": [{"line": 1, "column": 7}],
            },
        ],
    ),
    (
        '{ a(x: "b }',
        [
            {
                "message": ' --> 1:8\n  |\n1 | { a(x: "b }\n  |        ^---\n  |\n  = expected value',
                "locations": [{"line": 1, "column": 8}],
            },
        ],
    ),
    (
        "{\n  a @\n}",
        [
            {
                "message": " --> 3:1\n  |\n3 | }\n  | ^---\n  |\n  = expected name",
                "locations": [{"line": 3, "column": 1}],
            },
        ],
    ),
    (
        "{ costModels { deployment } }",
        [
            {
                "message": 'Field "costModels" argument "deployments" of type "Query" is required but not provided',
                "locations": [{"line": 1, "column": 3}],
            },
        ],
    ),
    (
        "{ costModel(deployment: 1) { model } }",
        [
            {
                "message": 'Invalid value for argument "deployment", expected type "String"',
                "locations": [{"line": 1, "column": 13}],
            },
        ],
    ),
    (
        '{ costModels(deployments: ["a", null]) { model } }',
        [
            {
                "message": 'Invalid value for argument "deployments.1", expected type "String"',
                "locations": [{"line": 1, "column": 14}],
            },
        ],
    ),
    (
        '{ costModel(deployment: "QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs") }',
        [
            {
                "message": 'Field "costModel" of type "GraphQlCostModel" must have a selection of subfields',
                "locations": [{"line": 1, "column": 3}],
            },
        ],
    ),
    (
        '{ costModel(deployment: "QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs") { model { a } foo } }',
        [
            {
                "message": 'Field "model" must not have a selection since type "String" has no subfields',
                "locations": [{"line": 1, "column": 77}],
            },
            {
                "message": 'Unknown field "a" on type "String".',
                "locations": [{"line": 1, "column": 85}],
            },
            {
                "message": 'Unknown field "foo" on type "GraphQlCostModel".',
                "locations": [{"line": 1, "column": 89}],
            },
        ],
    ),
    (
        '{ costModel(deployment: "QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs", x: 1) { model } }',
        [
            {
                "message": 'Unknown argument "x" on field "costModel" of type "Query".',
                "locations": [{"line": 1, "column": 75}],
            },
        ],
    ),
    (
        '{ costModl(deployment: "a") { model } }',
        [
            {
                "message": 'Unknown field "costModl" on type "Query". Did you mean "costModel", "costModels"?',
                "locations": [{"line": 1, "column": 3}],
            },
        ],
    ),
    (
        "mutation { a }",
        [
            {
                "message": "Schema is not configured for mutations.",
                "locations": [{"line": 1, "column": 1}],
            },
            {
                "message": "Schema is not configured for mutations.",
                "locations": [{"line": 1, "column": 1}],
            },
        ],
    ),
    (
        "subscription { a }",
        [
            {
                "message": "Schema is not configured for subscriptions.",
                "locations": [{"line": 1, "column": 1}],
            },
            {
                "message": "Schema is not configured for subscriptions.",
                "locations": [{"line": 1, "column": 1}],
            },
        ],
    ),
    (
        "{ ...F }",
        [
            {
                "message": 'Unknown fragment: "F"',
                "locations": [{"line": 1, "column": 3}],
            },
        ],
    ),
    (
        "{ costModels(deployments: [$a]) { model } }",
        [
            {
                "message": 'Variable "$a" is not defined',
                "locations": [{"line": 1, "column": 14}],
            },
        ],
    ),
    (
        "query Q($a: String) { __typename }",
        [
            {
                "message": 'Variable "$a" is not used by operation "Q"',
                "locations": [{"line": 1, "column": 9}],
            },
        ],
    ),
    (
        "query Q($a: String!) { costModel(deployment: $a) { model } }",
        [
            {
                "message": "Variable a is not defined.",
                "locations": [{"line": 1, "column": 46}],
                "path": ["costModel"],
            },
        ],
    ),
    (
        "query A { __typename } query B { __typename }",
        [
            {
                "message": "Operation name required in request.",
            },
        ],
    ),
    (
        ("{ __typename a: __typename ... on Query { b: __typename } ...F } fragment F on Query { c: __typename }"),
        {"__typename": "Query", "a": "Query", "b": "Query", "c": "Query"},
    ),
    (
        "{ __typename @skip(if: true) b: __typename @include(if: true) }",
        {"b": "Query"},
    ),
]


@pytest.mark.parametrize(("query", "text"), STATUS, ids=[query or "nothing" for query, _ in STATUS])
def test_words_of_status(query: str, text: str) -> None:
    with pytest.raises(QueryError) as refused:
        check(query)
    assert str(refused.value) == f"query parse error: Parse error at {text}"


@pytest.mark.parametrize(("query", "answer"), COST, ids=[query or "nothing" for query, _ in COST])
async def test_answers_of_cost(caller: Caller, query: str, answer: Any) -> None:
    got = await caller.query(path="/cost", body=json.dumps({"query": query}).encode())
    assert (got.status, got.headers["content-type"]) == (200, "application/graphql-response+json")
    assert got.json == ({"data": None, "errors": answer} if isinstance(answer, list) else {"data": answer})


MISMATCH = 'InvalidRequest(Error("data did not match any variant of untagged enum BatchRequest", line: 0, column: 0))'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"x", 'InvalidRequest(Error("expected value", line: 1, column: 1))'),
        (b'{"a":"\\q"}', 'InvalidRequest(Error("invalid escape", line: 1, column: 8))'),
        (b'{"query":"{ a }"} x', 'InvalidRequest(Error("trailing characters", line: 1, column: 19))'),
        (b'{"query":1}', MISMATCH),
        (b"null", MISMATCH),
        (b"[1]", MISMATCH),
        (b'{"query":"a","query":"b"}', MISMATCH),
        (b'{"query":"a","variables":1} x', MISMATCH),
        (b'{"query":"a","operationName":[]}', MISMATCH),
    ],
)
async def test_bodies_that_are_no_cost_request(caller: Caller, body: bytes, text: str) -> None:
    answer = await caller.query(path="/cost", body=body)
    assert (answer.status, answer.text) == (400, text)
    assert "content-type" not in answer.headers


async def test_cost_takes_lists_names_and_variables(caller: Caller) -> None:
    two = {"query": "query A { a: __typename } query B { b: __typename }"}
    body = [{"query": "{ __typename }"}, {**two, "operationName": "B"}, {**two, "operationName": "C"}, two]
    answer = await caller.query(path="/cost", body=json.dumps(body).encode())
    assert answer.json == [
        {"data": {"__typename": "Query"}},
        {"data": {"b": "Query"}},
        {"data": None, "errors": [{"message": 'Unknown operation named "C"'}]},
        {"data": None, "errors": [{"message": "Operation name required in request."}]},
    ]
    assert (await caller.query(path="/cost", body=b'["{ __typename }"]')).json == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    ("deployment", "text"),
    [
        ("nope", 'invalid hex string "": invalid string length'),
        ("nop", 'invalid hex string "": odd number of digits'),
        ("0x" + "0" * 63 + "g", "invalid hex string \"\": invalid character 'g' at position 63"),
        ("Qm", "invalid IPFS / CIDv0 hash length 2: Qm (length must be 46)"),
        (
            "Qm" + "0" * 44,
            f"invalid IPFS hash \"Qm{'0' * 44}\": provided string contained invalid character '0' at byte 2",
        ),
    ],
)
async def test_what_is_no_deployment(caller: Caller, deployment: str, text: str) -> None:
    query = json.dumps({"query": f'{{ costModel(deployment: "{deployment}") {{ model }} }}'}).encode()
    (refused,) = (await caller.query(path="/cost", body=query)).json["errors"]
    assert (refused["message"], refused["path"]) == (text, ["costModel"])


async def test_mutations_pass_status_unseen(caller: Caller) -> None:
    for query in ("mutation { a }", "subscription { a }", "fragment F on X { a }"):
        answer = await caller.query(path="/status", body=json.dumps({"query": query}).encode())
        assert (answer.status, answer.text) == (200, '{"data":{"__typename":"Query"}}')


async def test_a_status_body_has_two_limits(caller: Caller) -> None:
    answer = await caller.query(path="/status", body=b" " * (2 * 2**20 + 1))
    assert (answer.status, answer.text) == (413, "Failed to buffer the request body: length limit exceeded")
    assert (await caller.query(path="/status", body=b" " * 2 * 2**20)).message.endswith("size of 32768 bytes")


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(lambda name: name not in ("on", "true", "null"))
SELECTIONS = st.recursive(
    NAMES, lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda found: f"a {{ {' '.join(found)} }}")
)


@given(SELECTIONS, st.sampled_from(["{ %s }", "query Q { %s }", "{ a(x: [1, {b: $c}]) @d ... on T { %s } }"]))
def test_both_parsers_take_what_is_well_formed(selection: str, document: str) -> None:
    query = document % selection
    check(query)
    assert tree(query).rule == "executable_document"
    for cut in (query[:-1], query + "}"):
        with pytest.raises(QueryError):
            check(cut)
        with pytest.raises(SyntaxProblem):
            tree(cut)
