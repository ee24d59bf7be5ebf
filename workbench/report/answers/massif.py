"""Is there a memory leak, and who holds the memory at the peak? In words, from a massif profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.profiles.readers.massif.reader import choose
from workbench.profiles.views.heap import Leaks, allocation_sites, growth, leak_candidates, timeline
from workbench.profiles.views.top import top
from workbench.report.tables import table
from workbench.report.view import View, below, in_words, sentence

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from workbench.profiles.model import Profile

_TOP = 3
_ROWS = 20
# a program that holds less than this part of its peak at the end has freed nearly everything
_FREED_PART = 0.05
_NO_TREE = "Not known: no snapshot has a heap tree. Run massif longer, or with a smaller --detailed-freq."
_XTREE = "This is an xtree file: each of its trees is a metric, and it has no snapshots in time."


def answer(profile: Profile) -> View:
    """The guide's two questions answered, and how far the answer can be trusted."""
    if profile.meta["xtree"]:
        return in_words({"Who holds the memory?": _xtree(profile), "Is there a memory leak?": (_XTREE,)})
    found = leak_candidates(profile)
    return in_words(
        {
            "Is there a memory leak?": (found.sentence, *_end(profile)),
            "Who holds the memory at the peak?": _holders(profile),
            "How sure is this?": _doubts(profile, found),
        }
    )


def leaks(profile: Profile) -> View:
    """The allocation sites that may leak as a table, or a sentence saying why there is none."""
    if profile.meta["xtree"]:
        return sentence(_XTREE)
    found = leak_candidates(profile)
    return sentence(found.sentence) if found.candidates.empty else table(found.candidates)


def over_time(profile: Profile, allocators: int) -> go.Figure | View:
    """Memory over time by allocator; a sentence if the file has no snapshots in time."""
    from workbench.charts.heap import memory_timeline

    return sentence(_XTREE) if profile.meta["xtree"] else memory_timeline(profile, allocators)


def sites(profile: Profile) -> View:
    """The allocation sites of the snapshot that is shown; of an xtree file, the functions that allocate."""
    if profile.meta["xtree"]:
        return table(top(profile)[["name", "file", "self", "self_pct", "total", "total_pct"]], _ROWS)
    if profile.meta["nodes_snapshot"] is None:
        return sentence(_NO_TREE)
    return table(allocation_sites(profile)[["allocator", "bytes", "share_pct", "stacks", "skipped"]])


def growth_chart(profile: Profile, before: int | str, after: int | str) -> go.Figure | View:
    """What grew from one snapshot to another as bars, or a sentence saying why this is not known."""
    from workbench.charts.heap import memory_growth

    sides = _sides(profile, before, after)
    return sentence(sides) if isinstance(sides, str) else memory_growth(growth(profile, *sides))


def growth_table(profile: Profile, before: int | str, after: int | str) -> View:
    """The same as a table. ``before`` and ``after`` are those of :func:`~workbench.profiles.views.heap.growth`. If the
    peak is asked for and has no heap tree, the last heap tree is used instead, and a sentence says so.

    Raises ReadError for a snapshot that does not exist or has no heap tree.
    """
    sides = _sides(profile, before, after)
    if isinstance(sides, str):
        return sentence(sides)
    shown = table(growth(profile, *sides).drop(columns=["function", "file", "line"]))
    if "peak" in (before, after) and not _has_peak(profile):
        last = profile.meta["detailed"][-1]
        what = f"The file has no heap tree of a peak: growth is shown up to the last heap tree, snapshot {last}."
        return below(shown, sentence(what))
    return shown


def _sides(profile: Profile, before: int | str, after: int | str) -> tuple[int, int] | str:
    """The two snapshots that are compared, or why none can be."""
    detailed = profile.meta["detailed"]
    if profile.meta["xtree"]:
        return _XTREE
    if len(detailed) < 2:
        return f"Growth needs two snapshots with heap trees, the file has {len(detailed) or 'none'}."
    numbers = []
    for wanted, otherwise in ((before, "first"), (after, "last")):
        named = "last" if wanted == "peak" and not _has_peak(profile) else otherwise if wanted == "" else wanted
        number, _ = choose(profile.tables["snapshots"], detailed, named, profile.name)
        numbers.append(number)
    one, two = numbers
    if one is None or two is None or one == two:
        return f"Snapshot {one} was chosen as start and as end, so nothing can have grown. Choose two different ones."
    return one, two


def _has_peak(profile: Profile) -> bool:
    snapshots = profile.tables["snapshots"]
    return bool(snapshots.loc[snapshots["kind"] == "peak", "snapshot"].isin(profile.meta["detailed"]).any())


def _xtree(profile: Profile) -> Sequence[str]:
    metric = profile.metric()
    listed = [f"{row.name} with {row.self:,}" for row in top(profile, n=_TOP).itertuples(index=False) if row.self]
    return (
        f"The file holds {profile.total():,} {metric.description or metric.name} ({metric.name}).",
        *([f"Most of it was allocated by {'; '.join(listed)}."] if listed else []),
        f"Its metrics are {', '.join(profile.metric_names)}.",
    )


def _end(profile: Profile) -> Sequence[str]:
    """What the program still held at its last snapshot."""
    times = timeline(profile)
    most, last = int(times["heap_bytes"].max()), int(times["heap_bytes"].iloc[-1])
    if not most:
        return ("Nothing was allocated on the heap.",)
    share = 100 * last / most
    if last <= _FREED_PART * most:
        return (
            f"At its last snapshot the program held {last:,} bytes, {share:.2g} % of the most it ever held: "
            "it had freed nearly everything, so memory may build up while it runs, but does not leak.",
        )
    return (
        f"At its last snapshot the program held {last:,} bytes, {share:.0f} % of the most it ever held. A program that "
        "is stopped by a signal does not free its memory first, so this alone is not a leak.",
    )


def _holders(profile: Profile) -> Sequence[str]:
    number = profile.meta["nodes_snapshot"]
    if number is None:
        return (_NO_TREE,)
    sites = allocation_sites(profile)
    total = profile.total()
    what = "mapped pages" if profile.meta["pages_as_heap"] else "heap"
    listed = [
        f"{row.allocator} with {row.bytes:,} bytes ({row.share_pct:.1f} %)" for row in sites.head(_TOP).itertuples()
    ]
    said = [f"Snapshot {number} ({profile.meta['nodes_why']}) holds {total:,} bytes of {what}."]
    if listed:
        said.append(f"Most of it was allocated by {'; '.join(listed)}.")
    passed = next((str(skipped) for skipped in sites["skipped"] if skipped), "")
    if passed:
        said.append(f"Allocator functions were skipped; at the largest allocation site: {passed}.")
    return said


def _doubts(profile: Profile, found: Leaks) -> Sequence[str]:
    meta = profile.meta
    said = []
    if meta["threshold_pct"]:
        said.append(
            f"Massif adds up all allocation sites below {meta['threshold_pct']:g} % of a snapshot in one row, so "
            "growth of a single one of them is not visible."
        )
    said.append(
        f"{'1 snapshot is' if meta['snapshots'] == 1 else str(meta['snapshots']) + ' snapshots are'} in the file, "
        f"{len(meta['detailed'])} of them with a heap tree. While it "
        "runs, massif throws away every second snapshot whenever it has too many, so those left are unevenly spaced."
    )
    if meta["peak_snapshot"] is not None:
        said.append(
            "The peak is exact to 1 % (--peak-inaccuracy)."
            + (
                f" The largest snapshot is {meta['largest_snapshot']}, not the peak {meta['peak_snapshot']}."
                if meta["largest_snapshot"] != meta["peak_snapshot"]
                else ""
            )
        )
    if meta["time_unit"] == "B":
        said.append(
            "Massif's clock was set to bytes allocated and freed (--time-unit=B): the x axis is not time, so it "
            "cannot be compared with the steps of a load. Use --time-unit=ms for that."
        )
    elif meta["time_unit"] == "i":
        said.append("Massif's clock counts instructions: time in which the program waits is not on the x axis.")
    if found.teardown:
        said.append(
            "Snapshots in which the program frees its memory at the end were left out of the search for leaks: "
            f"{', '.join(str(number) for number in found.teardown)}."
        )
    return said
