"""A stand-in with faults planted into it: each is named first, with its size, and nothing else is named. What massif
tells of a leak is here as well, since the sweep is the same.

The stand-in recovers the signer twice a receipt, because the real service does: that is named as well.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.sweep.plants import Plants
from tests.sweep.test_profiled import LEAK_BYTES, needs, sweep
from workbench.analysis.answers import answers
from workbench.analysis.costs import cost_per_receipt
from workbench.analysis.findings import Finding, find
from workbench.profilers.windows.read import edges
from workbench.profiles.read import read_profile
from workbench.sweep.run_profiles import RunProfiles

pytestmark = pytest.mark.slow

# turns of a loop, of some six instructions each
REPEAT, THREAD = 150_000, 40_000
# what the stand-in imitates
IMITATED = "secp256k1_ecdsa_recover"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def counted(folder: Path) -> RunProfiles:
    plants = Plants(repeat=REPEAT, thread=THREAD)
    return RunProfiles(sweep(folder, plants, "callgrind", "40,60,80", paired=False))


@pytest.fixture(scope="module")
def leaking(folder: Path) -> RunProfiles:
    flags = "--time-unit=B --detailed-freq=10 --max-snapshots=100 --threshold=0.1"
    plants = Plants(leak=LEAK_BYTES)
    return RunProfiles(sweep(folder, plants, "massif", "60,120,180", profiler_flags=flags, paired=False))


def others(found: list[Finding]) -> list[Finding]:
    """Without what the stand-in imitates: which of that and of a planted thread is dearer hangs on the machine, as the
    one costs by the receipt and the other by the second."""
    return [one for one in found if one.subject != IMITATED]


@needs("valgrind")
def test_the_planted_repeat_and_the_planted_thread_are_named_first(counted: RunProfiles) -> None:
    found = others(list(counted.findings))
    planted = {one.subject: one for one in found[:2]}
    assert set(planted) == {"planted_repeat", "planted_thread"}
    assert {one.subject for one in found} == set(planted)
    repeat, thread = planted["planted_repeat"], planted["planted_thread"]
    assert repeat.kind == "repeated work"
    assert "called 3 times a receipt" in repeat.sentence
    assert "planted_receipt" in repeat.sentence
    costs = counted.costs[counted.costs["metric"] == "Ir"]
    spent = costs.loc[costs["name"] == "planted_repeat", "self"].sum()
    sent = costs.drop_duplicates("step")["receipts"].sum()
    assert repeat.size.per_receipt == pytest.approx(spent / sent, rel=0.01)
    assert repeat.saving_pct == pytest.approx(repeat.share_pct * 2 / 3)
    assert thread.kind == "background"
    assert thread.evidence["share_pct"].iloc[0] > 90


@needs("valgrind")
def test_what_the_thread_costs_is_not_the_receipts(counted: RunProfiles) -> None:
    """The receipts of the stand-in cost the same with the thread as without it, in every step."""
    measured = counted.measured_costs
    measured = measured[(measured["metric"] == "Ir") & (measured["window"] == "step")]
    wholes = measured[measured["by"] == "whole"].set_index("step")["self"]
    thread = measured[measured["name"] == "planted_spin"].set_index("step")["self"]
    row = counted.background[counted.background["metric"] == "Ir"].iloc[0]
    assert row["told"]
    # never more is taken than the thread did; most of what it did is
    assert 0.4 * thread.sum() < row["in_steps"] <= thread.sum() + 0.02 * wholes.sum()


@needs("valgrind")
def test_the_planted_leak_is_named_alone(leaking: RunProfiles) -> None:
    (leak,) = leaking.findings
    assert leak.kind == "leak"
    assert leak.subject.startswith("planted_leak")
    assert leak.size.per_receipt == pytest.approx(LEAK_BYTES, rel=0.05)


@needs("valgrind")
def test_the_planted_leak_is_found_with_its_rate(leaking: RunProfiles) -> None:
    leaks = leaking.leaks("standin")
    assert leaks is not None
    planted = leaks.table[leaks.table["function"] == "planted_leak"].iloc[0]
    assert planted["flag"] == "leak"
    assert planted["rate"] == pytest.approx(LEAK_BYTES, rel=0.05)
    assert leaks.table.iloc[0]["function"] == "planted_leak"
    said = answers(leaking.of_service("standin"), leaks)
    assert any("planted_leak" in text for text in said["Is there a memory leak?"])


@needs("valgrind")
def test_massif_windows_meet_at_their_edges(leaking: RunProfiles) -> None:
    """The heap at the end of a step is that at the beginning of the next, but for what the pause between changes."""
    pairs = [edges(window) for window in leaking.windows]
    for (_, end), (begin, _) in itertools.pairwise(pairs):
        assert begin.total() == pytest.approx(end.total(), rel=0.02)
    kept = cost_per_receipt(leaking.costs, "bytes_kept", "whole").iloc[0]
    assert kept["per_receipt"] > LEAK_BYTES
    series = read_profile(leaking.windows[-1].path("series"))
    assert len(series.tables["snapshots"]) > 10


@needs("valgrind")
def test_of_a_batch_they_are_one_list(counted: RunProfiles, leaking: RunProfiles) -> None:
    found = others(list(find([counted.measured("standin"), leaking.measured("standin")])))
    assert {one.kind for one in found[:3]} == {"repeated work", "background", "leak"}
    assert {one.subject for one in found} == {one.subject for one in found[:3]}
