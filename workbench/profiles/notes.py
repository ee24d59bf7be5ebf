"""Notes on what was unusual, assumed or dropped in a profile. A repeated note is one note with a count."""

from __future__ import annotations

from workbench.hints import NamedTuple


class Note(NamedTuple):
    """Something unusual, assumed or dropped in a profile.

    ``count`` is how often, ``where`` the first place, ``weight`` how much of ``metric`` it concerns (None: unknown or
    nothing).
    """

    what: str
    count: int = 1  # type: ignore[assignment]  # in place of count() of a tuple
    where: str | None = None
    metric: str | None = None
    weight: float | None = None

    def __str__(self) -> str:
        parts = [self.what]
        if self.count != 1:
            parts.append(f"{self.count:,} times")
        if self.weight is not None:
            parts.append(f"weight {self.weight:,.10g} {self.metric or ''}".rstrip())
        if self.where:
            parts.append(f"first at {self.where}" if self.count != 1 else f"at {self.where}")
        return ", ".join(parts)


class NoteBook:
    """Collects notes of a reader. The first ``where`` is kept, counts and weights are summed."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str | None], tuple[int, str | None, float | None]] = {}

    def add(
        self,
        what: str,
        where: str | None = None,
        *,
        count: int = 1,
        metric: str | None = None,
        weight: float | None = None,
    ) -> None:
        """Add a note, or count it again."""
        before, first, so_far = self._notes.get((what, metric), (0, where, None))
        both = weight if so_far is None else so_far + (weight or 0)
        self._notes[what, metric] = (before + count, first, both)

    def notes(self) -> tuple[Note, ...]:
        """All notes, in the order of first appearance."""
        return tuple(
            Note(what, count, where, metric, weight) for (what, metric), (count, where, weight) in self._notes.items()
        )
