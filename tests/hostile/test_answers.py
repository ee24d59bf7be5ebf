"""What a generator takes under hostile answers, in a process whose address space is limited. The larger ones:
``python -m tests.hostile --answers``."""

from __future__ import annotations

import sys

import pytest

from tests.hostile.measured import asked

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits work on Linux only")


@pytest.mark.parametrize(
    ("kind", "outcome", "most_mib"), [("headers", "http_error", 32), ("interim", "http_error", 32),
                                      ("endless", "too_large", 400)]
)  # fmt: skip
def test_a_generator_under_hostile_answers_has_a_bound(kind: str, outcome: str, most_mib: int) -> None:
    outcomes, peak_bytes = asked(kind, address_bytes=1 << 30)
    assert outcomes == {outcome: 64}
    assert peak_bytes < most_mib << 20
