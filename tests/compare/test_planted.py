"""Changes planted into a small service that takes receipts: compare and the gate name them, and nothing else. All of
it, twenty times, is ``python -m benchmarks.planted_changes``."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from benchmarks.planted_changes import CHANGES, UNCHANGED, Change, build, judged, measured

pytestmark = [
    pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed"),
]
RECEIPTS = 40


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same receipts each time the tests run. How much work one is varies, and two samples of 120 may differ by
    chance; how often that is named a cause is what the benchmark measures."""
    random.seed("after")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random.seed("before")
    folder = tmp_path_factory.mktemp("before")
    return measured(build(folder / "plain", UNCHANGED), "callgrind", folder, receipts=RECEIPTS)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_under_callgrind_what_was_planted_is_named_alone(change: Change, before: Path, tmp_path: Path) -> None:
    after = measured(build(tmp_path / "a" / "longer" / "path", change), "callgrind", tmp_path, receipts=RECEIPTS)
    found, checked, _ = judged(before, after)
    assert set(found.causes["function"]) == ({change.function} if change.function else set()), found.text
    assert set(checked.failed["name"]) == {name for name in change.checks if " in " in name or "each call" in name}
    assert checked.exit_code == (1 if change.function else 0)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_under_strace_the_call_is_named_that_came(tmp_path: Path) -> None:
    planted = next(change for change in CHANGES if change.flag == "-DCALLS")
    runs = [
        measured(build(tmp_path / f"build-{number}", change), "strace", tmp_path / str(number), receipts=RECEIPTS)
        for number, change in enumerate((UNCHANGED, planted, UNCHANGED))
    ]
    found, checked, _ = judged(runs[0], runs[1])
    calls = found.places[found.places["verdict"].isin(("dearer", "cheaper"))]
    assert calls["name"].tolist() == ["getppid"]
    assert set(checked.failed["name"]) == {"system calls per receipt", "system calls, getppid"}
    assert judged(runs[0], runs[2])[1].exit_code == 0
