"""Two functions of one name in the tables of a profiled run: no two rows look the same, and none is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweep.real_runs import SERVICE, real_run
from workbench.profilers.windows.record import Window
from workbench.report.profiled_run import ReceiptCost
from workbench.runs.read import open_run
from workbench.sweep.run_profiles import RunProfiles
from workbench.sweep.windows import window_name

COUNTED = """version: 1
creator: callgrind-3.22.0
positions: line
events: Ir
ob=/usr/bin/service
fl=src/read.rs
fn=init
1 {linear}
fl=src/write.rs
fn=init
1 {quadratic}
ob=/usr/lib/liba.so
fl=src/lib.c
fn=run
1 {linear}
ob=/usr/lib/libb.so
fl=src/lib.c
fn=run
1 {linear}
totals: {whole}
"""


@pytest.fixture
def cost(tmp_path: Path) -> ReceiptCost:
    windows = {}
    for number, sent in enumerate((50, 100, 150, 200, 300, 400), 1):
        name = window_name(number)
        folder = tmp_path / "run" / "profiles" / SERVICE / "callgrind"
        folder.mkdir(parents=True, exist_ok=True)
        linear, quadratic = 1_000 * sent, 100 * sent * sent
        text = COUNTED.format(linear=linear, quadratic=quadratic, whole=3 * linear + quadratic)
        (folder / f"{name}.callgrind.out").write_text(text)
        begun = number * 10**9
        windows[sent] = Window(
            SERVICE, "callgrind", name, begun, begun + 10**9, folder, {"dump": f"{name}.callgrind.out"}, {}
        )
        windows[sent].write()
    return ReceiptCost(RunProfiles(open_run(real_run(tmp_path / "run", "callgrind", windows))))


def test_the_table_of_costs(cost: ReceiptCost) -> None:
    text = repr(cost.cost_table())
    for name in ("init (read.rs)", "init (write.rs)", "run (liba.so)", "run (libb.so)"):
        assert text.count(name) == 1


def test_the_table_of_growth_has_both_the_flagged_and_the_other(cost: ReceiptCost) -> None:
    assert cost.found.growth(SERVICE).flagged()["file"].tolist() == ["src/write.rs"]
    text = repr(cost.growth_table())
    for name in ("init (read.rs)", "init (write.rs)", "run (liba.so)", "run (libb.so)"):
        assert text.count(name) == 1


def test_what_grew_with_receipts_before_is_said_of_each(cost: ReceiptCost) -> None:
    """Sizes only rise here, so what grows with one grows with the other: it is said once."""
    said = repr(cost.answers())
    assert said.count("init grows faster than the load") == 1
    assert "costs more per receipt the more were sent before" not in said
    (finding,) = [one for one in cost.found.findings if one.kind == "growth"]
    assert set(finding.evidence["file"]) == {"src/write.rs"}
