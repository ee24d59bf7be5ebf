"""What ``make quick`` leaves out: a process or a port is the end of a test, as a skip."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.quick import EXAMPLES, NOT_PURE, Guard, _few_examples


@pytest.mark.parametrize("event", NOT_PURE)
def test_a_process_or_a_port_ends_the_test(event: str) -> None:
    guard = Guard(on=True)
    try:
        with pytest.raises(pytest.skip.Exception, match=r"is not quick: it (starts|opens|connects)"):
            guard.heard(event, ())
        with pytest.raises(pytest.skip.Exception, match="is not quick"):
            guard.told(0, None)  # where a task or thread took the first for itself
    finally:
        guard.end()
    guard.heard(event, ())
    guard.told(0, None)


def test_all_else_goes_on() -> None:
    guard = Guard(on=True)
    guard.heard("open", ("file", "r", 0))
    assert guard.timer is None


@pytest.mark.parametrize(("asked", "tried"), [(1500, EXAMPLES), (3, 3)])
def test_properties_have_few_examples(asked: int, tried: int) -> None:
    def a_property() -> None: ...

    a_property._hypothesis_internal_use_settings = settings(max_examples=asked)  # type: ignore[attr-defined]
    _few_examples(a_property)
    assert a_property._hypothesis_internal_use_settings.max_examples == tried  # type: ignore[attr-defined]
