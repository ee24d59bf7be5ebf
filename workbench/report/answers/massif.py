"""Is there a memory leak, and who holds the memory at the peak? In words, from a massif profile."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.profiles.views.heap import Leaks, allocation_sites, leak_candidates, timeline
from workbench.report.answers.words import in_words
from workbench.report.display import View, table

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_TOP = 3
# what is left at the end, as a part of the peak, below which a program has freed about all it had
_FREED_PART = 0.05


def answer(profile: Profile) -> View:
    """The guide's two questions answered, and how far the answer can be trusted."""
    found = leak_candidates(profile)
    return in_words(
        {
            "Is there a memory leak?": (found.sentence, *_end(profile)),
            "Who holds the memory at the peak?": _holders(profile),
            "How sure is this?": _doubts(profile, found),
        }
    )


def leaks(profile: Profile) -> View:
    """The places that may leak as a table, or in words why there is none."""
    found = leak_candidates(profile)
    if found.candidates.empty:
        return View(f"<p>{html.escape(found.sentence)}</p>", found.sentence)
    return table(found.candidates)


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
            "it had freed about all of it, so memory may pile up while it runs, but is not lost.",
        )
    return (
        f"At its last snapshot the program held {last:,} bytes, {share:.0f} % of the most it ever held. A program that "
        "is stopped rather than ended keeps its memory, so this alone is no leak.",
    )


def _holders(profile: Profile) -> Sequence[str]:
    number = profile.meta["nodes_snapshot"]
    if number is None:
        return ("Nobody can say: no snapshot has a heap tree. Run massif longer, or with a smaller --detailed-freq.",)
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
        said.append(f"Functions that only hand out memory were passed over, for the largest place: {passed}.")
    return said


def _doubts(profile: Profile, found: Leaks) -> Sequence[str]:
    meta = profile.meta
    said = []
    if meta["threshold_pct"]:
        said.append(
            f"Massif lists no place that holds less than {meta['threshold_pct']:g} % of a snapshot; such places are "
            "one row together, and can grow unseen."
        )
    said.append(
        f"{meta['snapshots']} snapshots are in the file, {len(meta['detailed'])} of them with a heap tree. While it "
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
            "Massif's clock was set to bytes allocated and freed (--time-unit=B): the x axis is not time, and cannot "
            "be set beside the steps of a load. --time-unit=ms can."
        )
    elif meta["time_unit"] == "i":
        said.append("Massif's clock counts instructions: times at which the program waits take no room on the x axis.")
    if found.teardown:
        said.append(
            "Snapshots in which the program frees its memory at the end were left out of the search for leaks: "
            f"{', '.join(str(number) for number in found.teardown)}."
        )
    return said
