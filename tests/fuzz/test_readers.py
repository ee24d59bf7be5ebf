"""A short piece of what ``python -m tests.fuzz`` does at length, and what must hold for inputs made on purpose."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.attempt import attempt
from tests.fuzz.damage import damaged, packed
from tests.fuzz.seeds import seeds
from tests.fuzz.wire import reshaped
from workbench.profiles.read import FORMATS, read_profile, recognise
from workbench.profiles.source import open_source

pytestmark = pytest.mark.slow

INPUTS = 300


@pytest.mark.parametrize("format", FORMATS)
def test_the_seeds_are_profiles(format: str) -> None:
    """Else the damage would start from what is refused anyway."""
    own = seeds(format)
    assert attempt(own[0], format)
    assert sum(attempt(data, format) for data in own) >= 2
    assert recognise(open_source(own[0]))[0] == format


@pytest.mark.parametrize("format", FORMATS)
def test_damage_is_read_or_refused(format: str) -> None:
    chance = random.Random(20261122)
    starts = seeds(format)
    outcomes = [
        attempt(damaged(starts, chance, format), format if chance.random() < 0.8 else None) for _ in range(INPUTS)
    ]
    assert any(outcomes)
    assert not all(outcomes)


def test_a_pprof_profile_stays_well_formed_when_its_fields_are_damaged() -> None:
    """So that what the fields say is looked at: the reader takes many of them."""
    chance = random.Random(20261126)
    plain = seeds("pprof")[1]
    assert sum(attempt(reshaped(plain, chance), "pprof") for _ in range(INPUTS)) > INPUTS / 10


@pytest.mark.parametrize("format", FORMATS)
def test_packed_data_is_read_or_refused(format: str) -> None:
    chance = random.Random(20261123)
    starts = seeds(format)
    outcomes = [attempt(packed(chance.choice(starts), chance), format, tables=False) for _ in range(INPUTS)]
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.parametrize("format", FORMATS)
def test_truncation_at_every_byte_of_a_small_profile(format: str) -> None:
    data = min(seeds(format), key=len)[:2500]
    for end in range(1, len(data), max(1, len(data) // 250)):
        attempt(data[:end], format)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("data", [b"\0", b"\n", b" ", b"\xff" * 50, b"-" * 5000, b"1\n" * 5000, "é\n".encode() * 50])
def test_what_is_no_profile_at_all(format: str, data: bytes) -> None:
    attempt(data, format)


def test_a_recursion_a_million_deep_is_cut_and_weighed() -> None:
    profile = read_profile(b";".join([b"f"] * 1_000_000) + b" 7\nmain 1\n", format="folded")
    assert profile.total() == 8
    assert any("deep" in note.what and note.weight == 7 for note in profile.notes)
