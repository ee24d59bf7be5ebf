"""Windows between cumulative snapshots: what they sum to, what they refuse."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.profiles.pprof_encoding import Call, Sample, encode
from tests.profiles.test_pprof import CPU, EXAMPLE, EXAMPLES, needs_examples, read, stacks
from workbench.errors import WorkbenchError
from workbench.profiles.exports.folded import to_folded
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.windows import subtract, windows

START_NS = 1_700_000_000 * 10**9
PLACES = [(Call(f"crate::{name}", f"{name}.rs", line),) for line, name in enumerate("abcd", start=1)]
rows = st.lists(
    st.builds(
        Sample,
        st.lists(st.sampled_from(PLACES), min_size=1, max_size=4).map(tuple),
        st.integers(1, 9).map(lambda count: (count, count * 10)),
        st.sampled_from([(), (("kind", "one", ""),), (("kind", "two", ""), ("bytes", 64, "B"))]),
    ),
    max_size=8,
)


def snapshot(samples: list[Sample], seconds: float, *, start_ns: int = START_NS, seed: int = 0) -> Profile:
    header = [(9, start_ns), (10, round(seconds * 1e9)), (12, 10)]
    return read(encode(CPU, samples, seed=seed, header=header))


@settings(max_examples=20, deadline=None)
@given(st.lists(rows, min_size=1, max_size=4), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_windows_of_sums_are_the_parts(parts: list[list[Sample]], chance: random.Random) -> None:
    """Snapshots made by adding parts up come apart again, in whatever order they are given."""
    so_far: list[Sample] = []
    made = []
    for number, part in enumerate(parts, start=1):
        so_far = [*so_far, *part]
        made.append(snapshot(so_far, 2.5 * number, seed=number))
    chance.shuffle(made)
    found = windows(made)
    for number, (window, part) in enumerate(zip(found, parts, strict=True)):
        assert stacks(window) == stacks(snapshot(part, 1))
        assert window.meta["window_start_s"] == START_NS / 10**9 + 2.5 * number
        assert window.meta["window_end_s"] == START_NS / 10**9 + 2.5 * (number + 1)
        assert window.meta["duration_ns"] == 2_500_000_000
        assert not any("shrank" in note.what for note in window.notes)
        for metric in window.metric_names:
            assert window.nodes.loc[window.nodes["parent_id"] < 0, f"total_{metric}"].sum() == window.total(metric)
    assert sum(window.total("cpu") for window in found) == max(made, key=lambda each: each.meta["duration_ns"]).total()


def test_a_stack_that_shrank_counts_nothing_and_is_noted() -> None:
    before = snapshot([Sample((PLACES[0],), (5, 50)), Sample((PLACES[1],), (1, 10))], 1)
    after = snapshot([Sample((PLACES[0],), (2, 20)), Sample((PLACES[1],), (4, 40))], 2)
    window = subtract(after, before)
    assert window.total("cpu") == 30
    (note,) = [note for note in window.notes if "shrank" in note.what and note.metric == "cpu"]
    assert (note.count, note.weight) == (1, 30.0)
    assert window.total("cpu") - (note.weight or 0) == after.total("cpu") - before.total("cpu")


def test_levels_are_not_subtracted() -> None:
    types = [("alloc_space", "bytes"), ("inuse_space", "bytes")]
    header = [(9, START_NS), (10, 10**9)]
    before = read(encode(types, [Sample((PLACES[0],), (100, 90)), Sample((PLACES[1],), (7, 7))], header=header))
    header = [(9, START_NS), (10, 2 * 10**9)]
    after = read(encode(types, [Sample((PLACES[0],), (150, 20)), Sample((PLACES[1],), (7, 7))], header=header))
    window = subtract(after, before)
    assert (window.total("alloc_space"), window.total("inuse_space")) == (50, 27)
    assert any("inuse_space" in note.what for note in window.notes)


@pytest.mark.parametrize(
    ("after", "before", "what"),
    [
        ((2, START_NS + 1), (1, START_NS), "different times"),
        ((1, START_NS), (2, START_NS), "must be the later one"),
        ((1, START_NS), (1, START_NS), "must be the later one"),
        ((1, 0), (2, START_NS), "does not contain its start time"),
        ((0, START_NS), (2, START_NS), "does not contain its start time"),
    ],
)
def test_profiles_that_do_not_belong_together_are_refused(
    after: tuple[float, int], before: tuple[float, int], what: str
) -> None:
    made = [snapshot([Sample((PLACES[0],), (1, 10))], seconds, start_ns=start) for seconds, start in (after, before)]
    with pytest.raises(WorkbenchError, match=what):
        subtract(made[0], made[1])


def test_what_is_said_of_a_metric_does_not_make_it_another() -> None:
    before, after = (snapshot([Sample((PLACES[0],), (n, n * 10))], n) for n in (1, 3))
    said = after.but(metrics=tuple(one._replace(description="of the third report") for one in after.metrics))
    assert subtract(said, before).total() == subtract(after, before).total()


def test_other_refusals() -> None:
    one = snapshot([Sample((PLACES[0],), (1, 10))], 1)
    other = read(encode([("alloc_space", "bytes")], [Sample((PLACES[0],), (1,))], header=[(9, START_NS), (10, 9)]))
    with pytest.raises(WorkbenchError, match="metrics differ"):
        subtract(one, other)
    with pytest.raises(WorkbenchError, match="no snapshots"):
        windows([])
    later = snapshot([Sample((PLACES[0],), (3, 30))], 2)
    with pytest.raises(WorkbenchError, match="already a window"):
        subtract(snapshot([Sample((PLACES[0],), (9, 90))], 3), subtract(later, one))
    with pytest.raises(WorkbenchError, match="does not contain its start time"):
        windows([read_profile(b"a;b 1\n", format="folded")])


def test_pprof_rs_keeps_any_file_of_a_name() -> None:
    """The same function can have another file in the next report: it is the same stack all the same."""

    def report(file: str, count: int, seconds: int) -> Profile:
        stack = ((Call("leaf", file, 3),), (Call("main", "main.rs", 4),))
        sample = Sample(stack, (count, count * 6_666_666), (("thread", "worker", ""),))
        return snapshot([sample], seconds)

    before, after = report("one.rs", 2, 1), report("two.rs", 5, 2)
    assert after.meta["dialect"] == "pprof-rs"
    window = subtract(after, before)
    assert window.total("samples") == 3
    assert not any("shrank" in note.what for note in window.notes)


@needs_examples
def test_windows_of_the_examples_sum_to_the_last_report(tmp_path: Path) -> None:
    reports = [read(EXAMPLES / f"demo-profile-{number}.pb") for number in (2, 3, 1)]
    found = windows(reports)
    assert [window.meta["window_end_s"] for window in found[:-1]] == [
        window.meta["window_start_s"] for window in found[1:]
    ]
    total: Counter[tuple[object, ...]] = Counter()
    for window in found:
        total.update({(path[0], name): value for (path, _, name), value in _by_name(window).items()})
        assert window.total("samples") > 0
    last: Counter[tuple[object, ...]] = Counter()
    for (path, _, name), value in _by_name(read(EXAMPLE)).items():
        last[path[0], name] += value
    assert total == last
    assert to_folded(found[0], "samples")


def _by_name(profile: Profile) -> dict[tuple[tuple[object, ...], tuple[object, ...], str], int]:
    """Stacks by name alone: the files of pprof-rs change from report to report."""
    found: Counter[tuple[tuple[object, ...], tuple[object, ...], str]] = Counter()
    for (path, labels, name), value in stacks(profile).items():
        assert isinstance(path, tuple)
        found[(tuple(each[0] for each in path),), (labels,), str(name)] += value
    return found
