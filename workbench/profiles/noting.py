"""Collecting notes while reading: the same oddity a million times is one note with a count."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.profiles.model import Note


@dataclass
class NoteBook:
    """What a reader found odd. ``where`` of the first time is kept, counts and weights are summed."""

    _notes: dict[tuple[str, str | None], tuple[int, str | None, float | None]] = field(default_factory=dict)

    def add(
        self,
        what: str,
        where: str | None = None,
        *,
        count: int = 1,
        metric: str | None = None,
        weight: float | None = None,
    ) -> None:
        """Note ``what`` once more."""
        before, first, so_far = self._notes.get((what, metric), (0, where, None))
        both = weight if so_far is None else so_far + (weight or 0)
        self._notes[what, metric] = (before + count, first, both)

    def notes(self) -> tuple[Note, ...]:
        """All of it, in the order of first appearance."""
        return tuple(
            Note(what, count, where, metric, weight) for (what, metric), (count, where, weight) in self._notes.items()
        )
