"""Windows on a machine whose clock is set while they are open."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.ports import free_port
from tests.profilers.services import c_service, needs, work
from workbench.profilers.backends.local import LocalBackend
from workbench.profilers.session import profiling_session
from workbench.profilers.windows import cut
from workbench.profilers.windows.record import windows_in


@needs("gcc", "strace")
@pytest.mark.parametrize("set_by_s", [-3600, 3600])
async def test_a_clock_that_is_set_in_a_window_changes_not_how_long_it_was(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by_s: int
) -> None:
    service = c_service(program, free_port())
    async with profiling_session("strace", LocalBackend(service, tmp_path), tmp_path) as session:
        async with session.window("before"):
            await work(service, 1)
        began = time.monotonic()
        async with session.window("set"):
            await work(service, 1)
            set_ns = time.time_ns() + set_by_s * 10**9
            shown = SimpleNamespace(time_ns=lambda: set_ns, monotonic_ns=time.monotonic_ns)
            monkeypatch.setattr(cut, "time", shown)
        lasted_s = time.monotonic() - began
    before, after = windows_in(tmp_path)
    assert (before.name, after.name) in (("before", "set"), ("set", "before"))
    of_set = after if after.name == "set" else before
    assert 0 < of_set.seconds <= lasted_s
    assert [f"{set_by_s:+,}" in note for note in of_set.notes if "clock was set" in note] == [True]
    assert not any("clock was set" in note for note in (before if of_set is after else after).notes)
