"""Every public profile of the corpus is read or refused as the committed table says."""

from __future__ import annotations

import csv
import re

import pytest

from tests.profiles.corpus import BESIDE, TABLE, names, summary
from tests.profiles.samples import SAMPLES, needs_samples

ROWS = dict(line.split("\t", 1) for line in TABLE.read_text().splitlines())
FOUND = {} if SAMPLES is None else names(SAMPLES)
FOLDERS = {name.partition("/")[0] for name in FOUND}
EXPECTED = {name: line for name, line in ROWS.items() if name.partition("/")[0] not in BESIDE}


@needs_samples
def test_the_table_has_every_file() -> None:
    assert set(FOUND) == {name for name in ROWS if name.partition("/")[0] in FOLDERS}


@needs_samples
@pytest.mark.parametrize("name", FOUND)
def test_a_file_holds_what_the_table_says(name: str) -> None:
    assert summary(FOUND[name]) == ROWS[name]


# What a line of SOURCES.tsv says of a file that is no profile, is a relative that is refused by name, or is invalid;
# and one file whose line does not: its costs are relative, which the format does not allow.
REFUSED = re.compile(
    r"negative test|legacy|\bNOT callgrind|\binvalid\b|must be refused|zero-byte|oracle|ms_print output|no frames"
)
NOT_SAID = {"callgrind/speedscope__callgrind.subposition-compression.log"}


@needs_samples
def test_every_file_is_read_or_refused_as_its_source_says() -> None:
    assert SAMPLES is not None
    with (SAMPLES / "SOURCES.tsv").open(newline="") as lines:
        said = {row["local"]: row["quirk"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}
    assert set(said) == set(EXPECTED)
    refused = {name for name, line in EXPECTED.items() if line.startswith("refused\t")}
    assert refused == {name for name, quirk in said.items() if REFUSED.search(quirk)} | NOT_SAID
