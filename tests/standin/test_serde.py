"""JSON bodies refused in serde_json's words: the texts of the table are what serde_json 1.0.149 says to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.standin.serde.structs import query_body, read_value, status_query
from workbench.standin.serde.tokens import BodyError

WORDS = [
    (b"", "EOF while parsing a value at line 1 column 0"),
    (b" ", "EOF while parsing a value at line 1 column 1"),
    (b"\n\n ", "EOF while parsing a value at line 3 column 1"),
    (b"hello", "expected value at line 1 column 1"),
    (b"nope", "expected ident at line 1 column 2"),
    (b"nul", "EOF while parsing a value at line 1 column 3"),
    (b"n", "EOF while parsing a value at line 1 column 1"),
    (b"tru", "EOF while parsing a value at line 1 column 3"),
    (b"falsy", "expected ident at line 1 column 5"),
    (b"[]", "invalid length 0, expected struct QueryBody with 2 elements at line 1 column 2"),
    (b'["a"]', "invalid length 1, expected struct QueryBody with 2 elements at line 1 column 5"),
    (b'["a"', "EOF while parsing a list at line 1 column 4"),
    (b'["a",', "EOF while parsing a value at line 1 column 5"),
    (b'["a",null,3]', "trailing characters at line 1 column 11"),
    (b'["a",null,]', "trailing comma at line 1 column 11"),
    (b'["a" 1]', "expected `,` or `]` at line 1 column 6"),
    (b"[1]", "invalid type: integer `1`, expected a string at line 1 column 2"),
    (b"{}", "missing field `query` at line 1 column 2"),
    (b"{ }", "missing field `query` at line 1 column 3"),
    (b"{", "EOF while parsing an object at line 1 column 1"),
    (b'{"', "EOF while parsing a string at line 1 column 2"),
    (b'{"query', "EOF while parsing a string at line 1 column 7"),
    (b'{"query"', "EOF while parsing an object at line 1 column 8"),
    (b'{"query" x', "expected `:` at line 1 column 10"),
    (b'{"query":', "EOF while parsing a value at line 1 column 9"),
    (b'{"query":}', "expected value at line 1 column 10"),
    (b"{query:1}", "key must be a string at line 1 column 2"),
    (b"{,}", "key must be a string at line 1 column 2"),
    (b'{"query":"a",}', "trailing comma at line 1 column 14"),
    (b'{"query":"a" "b"}', "expected `,` or `}` at line 1 column 14"),
    (b'{"query":"a",1}', "key must be a string at line 1 column 14"),
    (b'{"query":"a"', "EOF while parsing an object at line 1 column 12"),
    (b'{"query":"a"}}', "trailing characters at line 1 column 14"),
    (b'{"query":"a"} x', "trailing characters at line 1 column 15"),
    (b'{"query":null}', "invalid type: null, expected a string at line 1 column 13"),
    (b'{"query":true}', "invalid type: boolean `true`, expected a string at line 1 column 13"),
    (b'{"query":false }', "invalid type: boolean `false`, expected a string at line 1 column 14"),
    (b'{"query":1}', "invalid type: integer `1`, expected a string at line 1 column 10"),
    (b'{"query":-5}', "invalid type: integer `-5`, expected a string at line 1 column 11"),
    (
        b'{"query":18446744073709551616}',
        "invalid type: floating point `1.8446744073709552e+19`, expected a string at line 1 column 29",
    ),
    (b'{"query":1.50}', "invalid type: floating point `1.5`, expected a string at line 1 column 13"),
    (b'{"query":1e400}', "number out of range at line 1 column 14"),
    (b'{"query":01}', "invalid number at line 1 column 11"),
    (b'{"query":1.}', "invalid number at line 1 column 12"),
    (b'{"query":-}', "invalid number at line 1 column 11"),
    (b'{"query":1e+}', "invalid number at line 1 column 13"),
    (b'{"query":[]}', "invalid type: sequence, expected a string at line 1 column 9"),
    (b'{"query": {}}', "invalid type: map, expected a string at line 1 column 10"),
    (b'"x"', 'invalid type: string "x", expected struct QueryBody at line 1 column 3'),
    (b'"a\\"b\\n\\u0007"', 'invalid type: string "a\\"b\\n\\u{7}", expected struct QueryBody at line 1 column 14'),
    (b"1", "invalid type: integer `1`, expected struct QueryBody at line 1 column 1"),
    (b"-1", "invalid type: integer `-1`, expected struct QueryBody at line 1 column 2"),
    (b"-0", "invalid type: floating point `-0.0`, expected struct QueryBody at line 1 column 2"),
    (b"2.5", "invalid type: floating point `2.5`, expected struct QueryBody at line 1 column 3"),
    (b"1e16", "invalid type: floating point `1e+16`, expected struct QueryBody at line 1 column 4"),
    (b"1e-7", "invalid type: floating point `1e-7`, expected struct QueryBody at line 1 column 4"),
    (b"true", "invalid type: boolean `true`, expected struct QueryBody at line 1 column 4"),
    (b"null", "invalid type: null, expected struct QueryBody at line 1 column 4"),
    (b'{"query":"a","query":"b"}', "duplicate field `query` at line 1 column 20"),
    (b'{"query":"a",\n "query" : "b"}', "duplicate field `query` at line 2 column 9"),
    (b'{"query":"a","variables":1,"variables":2}', "duplicate field `variables` at line 1 column 38"),
    (b'{"variables":{}}', "missing field `query` at line 1 column 16"),
    (b'{"query":"a","variables":{"a":}}', "expected value at line 1 column 31"),
    (b'{"query":"a","variables":[1 2]}', "expected `,` or `]` at line 1 column 29"),
    (b'{"query":"a","variables":[1,]}', "expected value at line 1 column 29"),
    (b'{"query":"a","variables":{"a" 1}}', "expected `:` at line 1 column 31"),
    (b'{"query":"a","variables":{1:2}}', "key must be a string at line 1 column 27"),
    (b'{"query":"a","variables":"\xff"}', "invalid unicode code point at line 1 column 28"),
    (b'{"query":"a","x":1.}', "invalid number at line 1 column 20"),
    (b'{"query":"a","x":"\\q"}', "invalid escape at line 1 column 20"),
    (b'{"query":"a","x":nope}', "expected ident at line 1 column 19"),
    (b'{"query":"\xff"}', "invalid unicode code point at line 1 column 12"),
    (b'{"query":"\\x"}', "invalid escape at line 1 column 12"),
    (b'{"query":"\\u12"}', "invalid escape at line 1 column 16"),
    (b'{"query":"\\u12zz"}', "invalid escape at line 1 column 16"),
    (b'{"query":"\\ud800"}', "unexpected end of hex escape at line 1 column 17"),
    (b'{"query":"\\ud800\\n"}', "unexpected end of hex escape at line 1 column 18"),
    (b'{"query":"\\ud800\\u0041"}', "lone leading surrogate in hex escape at line 1 column 22"),
    (b'{"query":"\\udc00"}', "lone leading surrogate in hex escape at line 1 column 16"),
    (b'{"query":"a\x01"}', "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 12"),
    (b'{"query":"a\nb"}', "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0"),
    (b'\xef\xbb\xbf{"query":"a"}', "expected value at line 1 column 1"),
    (b"\xef\xbb\xbf", "expected value at line 1 column 1"),
    (b'{"query":"{a', "EOF while parsing a string at line 1 column 12"),
    (b'{"a":"\x1f","query":""}', "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 6"),
]


@pytest.mark.parametrize(("body", "text"), WORDS, ids=[body.decode("latin-1") for body, _ in WORDS])
def test_words_and_places(body: bytes, text: str) -> None:
    with pytest.raises(BodyError) as refused:
        query_body(body)
    assert str(refused.value) == text


def test_the_struct_is_named() -> None:
    with pytest.raises(BodyError, match=r"^invalid length 0, expected struct StatusRequest with 1 element at line 1"):
        status_query(b"[]")
    assert status_query(b'{"query":"a","variables":1,"variables":2}') == "a"


@pytest.mark.parametrize(
    "body",
    [
        b'["a",null]',
        b'{"variables":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b',"query":"a"}',
        b'{"variables":' + b"[" * 5000 + b"]" * 5000 + b',"query":"a"}',
        b'{"other":"\xff\\ud800","query":"a"}',
        b'{"x":1,"x":1e999,"query":"a","variables":null}',
        b' \t\r\n{ "qu\\u0065ry" : "a" } ',
        b'{"query":"a","other":"' + b" " * 2**20 + b'"}',
    ],
    ids=["array", "deep objects", "deep arrays", "unread text", "twice unknown", "escaped key", "long"],
)
def test_what_is_taken(body: bytes) -> None:
    assert query_body(body) == "a"


def test_values_have_a_depth() -> None:
    assert read_value(b"[" * 127 + b"]" * 127, lambda value: True)
    with pytest.raises(BodyError, match=r"^recursion limit exceeded at line 1 column 128$"):
        read_value(b"[" * 128 + b"]" * 128, lambda value: True)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.text(), JSON, st.booleans())
def test_what_json_writes_is_read(query: str, variables: Any, ascii_only: bool) -> None:
    query = query.encode(errors="ignore").decode()
    body = json.dumps({"query": query, "variables": variables}, ensure_ascii=ascii_only)
    try:
        raw = body.encode()
    except UnicodeEncodeError:
        return
    if "\\ud" not in body:
        assert query_body(raw) == query


@given(JSON, st.data())
def test_a_cut_body_ends_where_it_ends(variables: Any, data: st.DataObject) -> None:
    body = json.dumps({"query": "{ a }", "variables": variables, "more": [variables]}).encode()
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(BodyError) as refused:
        query_body(cut)
    assert refused.value.what.startswith("EOF while parsing a")
    assert (refused.value.line, refused.value.column) == (1, len(cut))
