"""A calibration is kept for its machine and its software, is told to people, and says what to expect of a step."""

from __future__ import annotations

import json
import math
from datetime import timedelta

import pytest

from tests.calibration.made import IDENTITY, SOON, calibration, offer
from workbench.calibration.calibration import Calibration
from workbench.calibration.expect import why_beyond
from workbench.calibration.identity import difference, identity
from workbench.calibration.stored import FILE, Known, keep, known
from workbench.errors import RunFolderError
from workbench.runs.machine import machine, versions

TWO = (offer(1, 350), offer(2, 700))


@pytest.mark.parametrize(
    ("offers", "rate", "processes", "words"),
    [
        (TWO, 350, 1, ""),
        (
            TWO,
            400,
            1,
            "400/s asked; this machine sends up to 350/s in time with 1 process (calibrated 29 Nov 2026): "
            "expect INVALID; use --processes 2 or lower the rate",
        ),
        (
            TWO,
            800,
            2,
            "800/s asked; this machine sends up to 700/s in time with 2 processes (calibrated 29 Nov 2026): "
            "expect INVALID; lower the rate",
        ),
        (
            (offer(1, 350, other_cores=1.5),),
            400,
            1,
            "400/s asked; this machine sends up to 350/s in time with 1 process (calibrated 29 Nov 2026 while others "
            "used 1.5 cores): expect INVALID; lower the rate",
        ),
        (
            (offer(1, 0.0),),
            400,
            1,
            "400/s asked; this machine sends no rate in time with 1 process (calibrated 29 Nov 2026): "
            "expect INVALID; lower the rate",
        ),
        (TWO, 800, 3, ""),  # was not tried
        ((offer(1, 350, complete=False),), 400, 1, ""),  # at least 350
        ((offer(1, 500), offer(2, 300)), 400, 2, ""),  # what one process offers is there
    ],
)
def test_what_to_expect_of_a_step(offers, rate, processes, words):
    assert why_beyond(calibration(*offers), rate, processes) == words


def test_what_is_kept_is_known_again(tmp_path):
    assert known(tmp_path, IDENTITY, SOON) == Known()
    made = calibration(offer(cpu_us=math.inf), *TWO[1:])
    assert keep(tmp_path / "runs", made) == tmp_path / "runs" / FILE
    found = known(tmp_path / "runs", IDENTITY, SOON).calibration
    assert found is not None
    assert found.offer(2) == TWO[1]
    assert math.isnan(found.offers[0].cpu_us)
    assert known(tmp_path / "runs" / "batch", IDENTITY, SOON).calibration is not None  # the runs of a batch


def test_an_earlier_one_is_replaced_but_for_other_numbers_of_processes(tmp_path):
    keep(tmp_path, calibration(*TWO))
    keep(tmp_path, calibration(offer(1, 500)))
    keep(tmp_path, calibration(offer(4, 9), identity={**IDENTITY, "processor": "another"}))
    found = known(tmp_path, IDENTITY, SOON).calibration
    assert found is not None
    assert [(one.processes, one.rate_per_s) for one in found.offers] == [(1, 500), (2, 700)]
    keep(tmp_path, calibration(offer(1, 600), lag_p99_limit_ms=5.0))  # not to be compared
    found = known(tmp_path, IDENTITY, SOON).calibration
    assert found is not None
    assert [(one.processes, one.rate_per_s) for one in found.offers] == [(1, 600)]
    assert len(json.loads((tmp_path / FILE).read_text())["calibrations"]) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"processor": "Xeon"}, "it was made on another machine (AMD EPYC, 2, KVM)"),
        ({"cores": 4, "usable_cores": 4}, "it was made on another machine (AMD EPYC, 2, KVM)"),
        ({"release": "6.2"}, "it was made with another kernel"),
        ({"python": "3.12.1", "generator": "x"}, "it was made with another Python and another generator"),
    ],
)
def test_one_of_another_machine_or_software_is_not_used_and_this_is_said(tmp_path, changes, words):
    keep(tmp_path, calibration())
    assert known(tmp_path, {**IDENTITY, **changes}, SOON) == Known(why_not=words)


def test_an_old_one_is_not_used(tmp_path):
    keep(tmp_path, calibration())
    assert known(tmp_path, IDENTITY, SOON + timedelta(days=100)).why_not == "it is 101 days old"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "calibrations": [{}]}', '{"schema": 1, "calibrations": 7}']
)
def test_a_file_that_is_none_is_said_and_not_overwritten(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert "calibration.json: cannot be read as calibrations" in known(tmp_path, IDENTITY, SOON).why_not
    with pytest.raises(RunFolderError, match="Delete it"):
        keep(tmp_path, calibration())
    assert (tmp_path / FILE).read_text() == text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="--runs-dir"):
        keep(tmp_path / "file" / "runs", calibration())


def test_the_text_is_a_table_with_reasons():
    text = calibration(offer(1, 350), offer(2, 700, complete=False, other_cores=1.5)).text
    assert "350/s  0.10 ms  0.80 ms" in text
    assert "at least 700/s" in text
    assert "1 process: 400/s: lag p99 was 1.20 ms" in text
    assert "Other processes used 1.5 cores meanwhile: calibrate again on an idle machine." in text


def test_where_no_rate_was_honest_the_table_has_no_figures():
    nothing = dict.fromkeys(("lag_p50_ms", "lag_p99_ms", "cpu_us"), math.nan)
    text = calibration(offer(1, 0.0, **nothing)).text
    assert "nan" not in text
    assert "none" in text
    assert "2,000/s" in text


def test_json_and_back():
    made = calibration(*TWO)
    assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_this_machine_has_an_identity_that_stays():
    one = identity(machine(), versions())
    assert one == identity(machine(), versions())
    assert difference(json.loads(json.dumps(one)), one) == ""
    assert one["cores"] >= 1
    assert one["processor"]
