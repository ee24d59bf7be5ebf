"""Logs and tables of strace that were cut off at any byte: what is whole is kept, and a note says that it was cut."""

from __future__ import annotations

import gzip
import random
import re
from functools import cache

import pandas as pd
import pytest

from tests.profiles.corpus import names
from tests.profiles.samples import SAMPLES
from tests.profiles.test_strace import DEMO
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile

pytestmark = pytest.mark.slow

OF_STRACE = re.compile(r"^strace/|\.strace$|/summary-columns\.txt$|strace\.log\.gz$")
EVERY_BYTE = 260  # of files up to this size; of larger ones so many bytes, of which half are near line ends
SOME = 20
WINDOW = 60_000  # of a large log a piece of so many bytes is cut
COLUMNS = ["pid", "syscall", "args", "result", "error", "duration_ns", "start_ns", "judged", "line"]
TABLE = b"""\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 75.00    0.000300         100         3         1 openat
 25.00    0.000100          50         2           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.000400          80         5         1 total
"""


def logs() -> dict[str, bytes]:
    """All samples of strace that are at hand."""
    corpus = names(SAMPLES) if SAMPLES else {}
    paths = [DEMO, *(path for name, path in corpus.items() if OF_STRACE.search(name))]
    found = {
        path.name: (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()) for path in paths
    }
    return {**{name: data[:WINDOW] if len(data) > 2 * WINDOW else data for name, data in found.items()}, "table": TABLE}


def places(data: bytes) -> list[int]:
    if len(data) <= EVERY_BYTE:
        return list(range(1, len(data)))
    chosen = random.Random(len(data))
    ends = [place for place, byte in enumerate(data) if byte == 10]
    near = [chosen.choice(ends) + chosen.randint(-12, 12) for _ in range(SOME // 2)]
    return sorted(
        min(max(1, place), len(data) - 1) for place in (*near, *chosen.sample(range(1, len(data)), SOME // 2))
    )


@cache
def read(data: bytes) -> Profile | None:
    """What a cut file is read as; None where it is refused."""
    try:
        return read_profile(data, format="strace")
    except ReadError:
        return None


def kept(profile: Profile, lines: int) -> pd.DataFrame:
    """The calls of the first lines, or the rows of the table."""
    if "calls" not in profile.tables:
        return profile.tables["summary"][["syscall", "calls", "errors", "seconds"]]
    calls = profile.tables["calls"]
    return calls[(calls["line"] <= lines) & ~calls["open"]][COLUMNS].astype("str").reset_index(drop=True)


LOGS = logs()


@pytest.mark.parametrize("name", LOGS)
def test_whole_lines_stay_whatever_comes_after_them(name: str) -> None:
    data = LOGS[name]
    for place in places(data):
        cut = data[:place]
        whole = cut[: cut.rfind(b"\n") + 1]
        wanted, got = read(whole), read(cut)
        if wanted is None:
            continue
        assert got is not None, f"{name} cut at {place}: {cut[-60:]!r}"
        lines = whole.count(b"\n")
        rows, ours = kept(wanted, lines), kept(got, lines)
        if len(ours) > len(rows):  # a call that the whole part of the last line ended, or a row without its line's end
            ours = ours[ours["line"].isin(rows["line"])].reset_index(drop=True) if "line" in ours else ours[: len(rows)]
        assert rows.to_csv() == ours.to_csv(), f"{name} cut at {place}: {cut[-60:]!r}"
        # without its last line end alone a file is whole
        if place < len(data) - 1 and cut != whole and len(kept(got, lines + 1)) == len(rows):
            said = " ".join(note.what for note in got.notes)
            assert "cut" in said or "not strace's" in said or "no end" in said, f"{name} cut at {place}: {cut[-60:]!r}"
