"""Patterns that are compiled at their first use are patterns like any other."""

from __future__ import annotations

import re
from unittest import mock

from workbench.patterns import pattern


def test_a_pattern_does_what_a_compiled_one_does() -> None:
    late, now = pattern(r"^(a+)(?P<rest>b?)$", re.MULTILINE), re.compile(r"^(a+)(?P<rest>b?)$", re.MULTILINE)
    text = "aab\nc\naa"
    assert late.findall(text) == now.findall(text)
    assert [found.span() for found in late.finditer(text)] == [found.span() for found in now.finditer(text)]
    assert (late.sub("x", text), late.pattern, late.flags) == (now.sub("x", text), now.pattern, now.flags)
    assert pattern(rb"\d").search(b"a7") is not None


def test_it_is_compiled_when_it_is_first_used_and_once() -> None:
    with mock.patch.object(re, "compile", wraps=re.compile) as compiled:
        late = pattern("a")
        assert not compiled.called
        assert late.match("a")
        assert late.match("ab")
    assert compiled.call_count == 1
