"""Every public profile of the corpus is read or refused as the committed table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.profiles.corpus import TABLE, files, summary
from tests.profiles.samples import SAMPLES, needs_samples

EXPECTED = dict(line.split("\t", 1) for line in TABLE.read_text().splitlines())
FOUND = [] if SAMPLES is None else [path.relative_to(SAMPLES).as_posix() for path in files(SAMPLES)]


@needs_samples
def test_the_table_has_every_file() -> None:
    assert set(FOUND) == set(EXPECTED)


@needs_samples
@pytest.mark.parametrize("name", FOUND)
def test_a_file_holds_what_the_table_says(name: str) -> None:
    assert SAMPLES is not None
    assert summary(SAMPLES / Path(name)) == EXPECTED[name]
