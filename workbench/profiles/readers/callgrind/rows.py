"""The single lines of a callgrind file: costs by instruction, and jumps. Read on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import self_
from workbench.profiles.readers.callgrind import plain
from workbench.profiles.readers.callgrind.body import Added, Stretch, Walk, quiet_walk
from workbench.profiles.readers.callgrind.kinds import JUMP, NAMED
from workbench.profiles.source import Source
from workbench.profiles.table import Table, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 2**63 - 1
# for each piece a table with one row per line is made
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Rows:
    """A file to be read line by line; the fields are those of :class:`by_line.LineTable`, the file itself first."""

    source: Source
    stop: int
    events: Sequence[str]
    factor: NDArray[np.int64]
    files: Sequence[str]
    function_ids: NDArray[np.int64]

    def instructions(self) -> Table | None:
        """Self cost of each instruction: function_id, address, line. None if no part has addresses."""
        where: list[NDArray[np.int64]] = []
        costs: list[NDArray[np.int64]] = []
        for walk, stretch, added, _ in self._lines():
            part = walk.parts[stretch.part]
            if "instr" not in part.positions:
                continue
            some = np.flatnonzero((added.runs["kind"] == NAMED) & added.table.any(axis=1))
            runs = added.runs[some]
            function = self.function_ids[stretch.whose.function[runs["mark"]]]
            keys = np.column_stack((function, runs["address"], runs["line"]))
            table = np.zeros((len(some), len(self.events)), dtype=np.int64)
            table[:, [self.events.index(event) for event in part.events]] = added.table[some]
            where.append(keys)
            costs.append(table)
        if not where:
            return None
        keys, row = np.unique(np.concatenate(where), axis=0, return_inverse=True)
        sums = np.zeros((len(keys), len(self.events)), dtype=np.int64)
        np.add.at(sums, row.reshape(-1), np.concatenate(costs))
        sums *= self.factor[:, 0]
        columns: dict[str, Any] = dict(zip(("function_id", "address", "line"), keys.T, strict=True))
        columns.update((self_(name), column) for name, column in zip(self.events, sums.T, strict=True))
        return Table(columns)

    def jumps(self) -> Table | None:
        """Jumps: function_id, file and line they are in, to_line, conditional, executed (how often the instruction
        ran), followed (how often it jumped). None if there are none."""
        found: list[tuple[Any, ...]] = []
        for walk, stretch, added, base in self._lines():
            positions = walk.parts[stretch.part].positions
            column = positions.index("line") + 1 if "line" in positions else 0
            lines = added.runs["line"]
            for row in np.flatnonzero(added.runs["kind"] == JUMP).tolist():
                mark = int(added.runs["mark"][row])
                begin, end = stretch.marks["begin"][mark], stretch.marks["end"][mark]
                words = plain.words_of(self.source.data[begin:end])
                before = int(lines[row - 1]) if row else base
                function = int(self.function_ids[stretch.whose.function[mark]])
                file = int(stretch.whose.file[mark])
                here = function, file, int(lines[row]), _target(words, column, before)
                found.append((*here, words[0][1:2] == b"c", *_counts(words[0])))
        if not found:
            return None
        names = ("function_id", "file", "line", "to_line", "conditional", "executed", "followed")
        columns = zip(names, zip(*found, strict=True), strict=True)
        made: dict[str, Any] = {name: np.asarray(values) for name, values in columns}
        made["file"] = text([*self.files, ""])[made["file"]]
        return Table(made)

    def _lines(self) -> Iterator[tuple[Walk, Stretch, Added, int]]:
        """Every cost line as a run of its own, and the source line reached before the first."""
        walk = quiet_walk(self.source, self.stop, address=True)
        for stretch in walk.stretches(_PIECE_BYTES):
            base = int(walk.state[0])
            yield walk, stretch, walk.add_by_line(stretch, each=True), base


def _target(words: Sequence[bytes], column: int, before: int) -> int:
    """The source line that is jumped to; 0 if not given."""
    move = plain.subposition(words[column]) if 0 < column < len(words) else None
    if move is None:
        return 0
    line = before + move[1] if move[0] else move[1]
    return line if 0 <= line <= _MOST else 0


def _counts(word: bytes) -> tuple[int, int]:
    """Executed and followed of ``jump=COUNT`` or ``jcnd=FOLLOWED/EXECUTED``."""
    followed, slash, executed = word[5:].partition(b"/")
    first = plain.whole_number(followed) or 0
    second = (plain.whole_number(executed) or 0) if slash else first
    return min(second, _MOST), min(first, _MOST)
