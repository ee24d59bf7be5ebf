"""Calibrating for real, with limits that any machine keeps, and few trials."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys

import pytest

from tests.calibration.made import IDENTITY, SOON
from tests.load.test_summary import report, samples
from workbench.calibration.run import Wanted, calibrate
from workbench.calibration.stored import FILE, known
from workbench.calibration.trial import Bench, Trial, limit_of, why_spoilt
from workbench.cli import main
from workbench.load.chunks import chunk_of
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.summary import summarise
from workbench.nullserver.child import null_server

EASY = {"lag_p99_ms": 1000.0, "seconds": 0.2}


async def test_a_calibration_is_found_and_kept(tmp_path):
    said: list[str] = []
    found = await calibrate(Wanted(max_trials=2, **EASY), IDENTITY, tmp_path, said.append)
    (offer,) = found.offers
    assert known(tmp_path, IDENTITY).calibration == found or not offer.rate_per_s  # NaN is not itself
    assert (offer.processes, offer.trials, offer.complete) == (1, 2, False)
    assert offer.closed_per_s > 100
    assert offer.closed_cpu_us > 1
    assert found.timers.max_ms >= found.timers.p99_ms >= found.timers.p50_ms > 0
    assert said[0].startswith("1 process: closed loop: ")
    assert len(said) == 3


async def test_a_trial_says_whether_its_rate_was_honest():
    async with null_server() as server:
        bench = Bench(server, 1, 1000.0)
        calm = await bench.attempt(OpenPlan(100, 200))
        wild = await bench.attempt(OpenPlan(4000, 1_000_000))
        closed = await bench.attempt(ClosedPlan(300, 4))
    assert calm.server_percent < 90
    assert calm.sent_per_s == pytest.approx(200, rel=0.2)
    assert wild.spoilt
    assert wild.sent_per_s < 900_000
    assert closed.cpu_us > 0


def test_a_rate_is_honest_when_it_was_kept_in_time_and_all_was_well():
    plan = OpenPlan(100, 100)
    good = summarise([chunk_of(samples(["ok"] * 100))], plan, report())
    assert why_spoilt(plan, good, 100.5, 0.9, 1.0) == ""
    assert why_spoilt(plan, good, 100.5, 1.1, 1.0) == "lag p99 was 1.10 ms, the limit is 1 ms"
    assert why_spoilt(plan, good, 100.5, math.nan, 1.0) != ""
    assert why_spoilt(plan, good, 98.0, 0.9, 1.0) == "98/s were sent"
    bad = summarise([chunk_of(samples(["timeout"] * 100))], plan, report())
    assert "timeout" in why_spoilt(plan, bad, 100, 0.1, 1.0)
    capped = summarise([chunk_of(samples(["ok"] * 100))], plan, report(cap_hits=3))
    assert "in flight" in why_spoilt(plan, capped, 100, 0.1, 1.0)


def test_the_null_server_is_the_limit_where_it_had_nothing_left_just_above():
    def trial(spoilt: str, server_percent: float) -> Trial:
        return Trial(spoilt, 100.0, 0.1, 0.2, 20.0, server_percent, 0.0)

    fine, late, full = trial("", 60), trial("late", 70), trial("late", 97)
    assert limit_of({100: [fine], 200: [late, fine], 400: [full]}, 100) == ("generator", "200/s: late")
    assert limit_of({100: [fine], 200: [late, full]}, 100) == (
        "null server",
        "200/s: late; the null server used 97 % of a core: try more --servers",
    )
    assert limit_of({100: [fine], 200: [fine]}, 200) == ("not reached", "")
    assert limit_of({}, 0.0) == ("not reached", "")


def test_ctrl_c_leaves_what_was_found(tmp_path):
    command = [sys.executable, "-m", "workbench.cli", "calibrate", "--processes", "1", "--seconds", "0.2"]
    process = subprocess.Popen(
        [*command, "--lag-p99-ms", "1000", "--runs-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job ignores Ctrl-C, and so would what it starts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "/s: " in line:  # the first trial, whatever came of it on a busy machine
            break
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    (kept,) = json.loads((tmp_path / FILE).read_text())["calibrations"]
    assert kept["offers"][0]["trials"] >= 1
    assert not kept["offers"][0]["complete"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "none"], "--processes: cannot read 'none'"),
        (["--processes", "0"], "from 1 to 256"),
        (["--lag-p99-ms", "0"], "--lag-p99-ms: must be from 0.01 to 1000, found 0"),
        (["--seconds", "1e9"], "--seconds: must be"),
        (["--servers", "0"], "--servers: must be"),
    ],
)
def test_options_that_cannot_be_used_are_named(options, words, capsys):
    assert main(["calibrate", *options]) == 2
    assert words in capsys.readouterr().err


def test_the_command_prints_a_table_or_json(tmp_path, capsys):
    quick = ["calibrate", "--processes", "1", "--lag-p99-ms", "1000", "--seconds", "0.1", "--max-s", "1"]
    code = main([*quick, "--runs-dir", str(tmp_path)])
    shown = capsys.readouterr()
    assert "Rate sent in time" in shown.out
    assert f"Kept in {tmp_path / FILE}" in shown.out
    found = known(tmp_path, json.loads((tmp_path / FILE).read_text())["calibrations"][0]["identity"], SOON)
    assert found.why_not or found.calibration
    assert code in (0, 4)  # no time for more than a trial
