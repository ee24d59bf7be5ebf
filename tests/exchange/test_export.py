"""What a run measured, in the formats of other tools, read again by those tools or their libraries."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import workbench
from tests.exchange.tools import WORKBENCH, program, run, standin
from workbench.cli import main
from workbench.exchange import hdr, k6_summary, rows
from workbench.load.chunks import Chunk
from workbench.load.outcome import CODE_OF, Outcome
from workbench.runs.read import Run, open_run

DOCS = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
OK, DENIED = CODE_OF[Outcome.OK], CODE_OF[Outcome.DENIED]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A load of two seconds, a part of it denied."""
    folder = tmp_path_factory.mktemp("measured")
    subprocess.run(
        [*WORKBENCH, "load", "-n", "400", "--rate", "200", "--limit-grt", "0.3", "--runs-dir", str(folder)],
        cwd=folder,
        capture_output=True,
        timeout=100,
        check=False,
    )
    return open_run(next(folder.glob("*-load")))


def exported(measured: Run, tmp_path: Path, to: str, *options: str) -> str:
    out = tmp_path / f"out.{to}"
    assert main(["export", str(measured.path), "--to", to, "-o", str(out), *options]) == 0
    return out.read_text()


def chunk(intended: Any, sent: Any, done: Any, outcome: Any) -> Chunk:
    columns = [np.asarray(column, dtype=np.int64) for column in (intended, sent, done, outcome)]
    index = np.arange(len(columns[0]))
    due, began, ended, what = columns
    return Chunk(index, due, began, ended, np.where(what == OK, 200, 400), what)


# HdrHistogram


def log_of(text: str, tmp_path: Path) -> list[HdrHistogram]:
    """The intervals of a log, by the library's own reader."""
    (tmp_path / "read.hlog").write_text(text)
    reader = HistogramLogReader(str(tmp_path / "read.hlog"), HdrHistogram(1, hdr.MOST_NS, hdr.DIGITS))
    found = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        found.append(interval)
    return found


def test_the_log_has_every_time_of_each_clock_in_its_second(measured: Run, tmp_path: Path) -> None:
    samples = measured.samples
    intervals = log_of(exported(measured, tmp_path, "hdr"), tmp_path)
    accepted = samples[samples["outcome"] == "ok"]
    assert 0 < len(accepted) < len(samples) == 400
    values = {
        "response": accepted["done_ns"] - accepted["intended_ns"],
        "service": accepted["done_ns"] - accepted["sent_ns"],
        "lag": samples["sent_ns"] - samples["intended_ns"],
    }
    for clock, times in values.items():
        of_clock = [interval for interval in intervals if interval.get_tag() == clock]
        assert sum(interval.get_total_count() for interval in of_clock) == len(times)
        assert max(interval.get_max_value() for interval in of_clock) == pytest.approx(times.max(), rel=1e-3)
    lag = [interval for interval in intervals if interval.get_tag() == "lag"]
    start = samples["intended_ns"].min()
    per_second = ((samples["sent_ns"] - start) // 10**9).value_counts().sort_index()
    assert [interval.get_total_count() for interval in lag] == per_second.tolist()
    session = measured.manifest["clock"]["sessions"][0]
    began_ms = (start - session["monotonic_ns"] + session["wall_ns"]) / 1e6
    assert lag[0].get_start_time_stamp() == pytest.approx(began_ms, abs=1)
    assert [interval.get_end_time_stamp() - interval.get_start_time_stamp() for interval in lag] == pytest.approx(
        [1000] * len(lag)
    )


@settings(max_examples=20)  # of some ten histograms each, which are slow to make
@given(arrays.arrays(np.int64, st.integers(0, 100), elements=st.integers(0, 3 * 10**9)), st.integers(1, 4), st.data())
def test_counts_are_those_that_the_library_makes_value_by_value(times: Any, parts: int, data: st.DataObject) -> None:
    when = data.draw(arrays.arrays(np.int64, len(times), elements=st.integers(0, 10**9)))
    wanted: dict[int, HdrHistogram] = {}
    for value, moment in zip(times.tolist(), when.tolist(), strict=True):
        second = (value + moment) // 10**9  # of its answer
        wanted.setdefault(second, HdrHistogram(1, hdr.MOST_NS, hdr.DIGITS)).record_value(value)
    step = [
        chunk(moments, moments, moments + values, [OK] * len(values))
        for values, moments in zip(np.array_split(times, parts), np.array_split(when, parts), strict=True)
    ]
    found = {}
    for line in list(hdr.log(step, 0, 0))[4:]:
        tag, second, _, _, blob = line.split(",")
        if tag == "Tag=service":
            found[int(float(second))] = HdrHistogram.decode(blob.strip())
    assert found.keys() == wanted.keys()
    for second, histogram in found.items():
        # one that was read again ends at its last filled bucket
        counts = np.array(histogram.counts[:]), np.array(wanted[second].counts[: len(histogram.counts)])
        assert np.array_equal(*counts)
        assert histogram.get_total_count() == wanted[second].get_total_count()


def test_refusals_are_in_no_latency_and_times_beyond_the_range_at_its_end() -> None:
    hour = hdr.MOST_NS
    step = [chunk([0, 0, 0], [5, 5, 5], [10, 20, 3 * hour], [OK, DENIED, OK])]
    lines = [line for line in hdr.log(step, 0, 0) if line.startswith("Tag=service")]
    counts = [HdrHistogram.decode(line.split(",")[-1].strip()).get_total_count() for line in lines]
    assert sum(counts) == 2
    assert float(lines[-1].split(",")[3]) == pytest.approx(hour / 1e6, rel=1e-3)


def test_a_step_without_an_accepted_receipt_has_a_log_of_its_lag() -> None:
    tags = [line.split(",")[0] for line in hdr.log([chunk([0], [5], [10], [DENIED])], 0, 0)][4:]
    assert tags == ["Tag=lag"]
    assert list(hdr.log([], 0, 0))[4:] == []


def test_the_table_of_percentiles_is_in_milliseconds(measured: Run, tmp_path: Path) -> None:
    for clock in ("response", "service", "lag"):
        text = exported(measured, tmp_path, "hgrm", "--clock", clock)
        lines = [line.split() for line in text.splitlines() if line and line.split()[0][0].isdigit()]
        samples = measured.samples
        kept = samples if clock == "lag" else samples[samples["outcome"] == "ok"]
        end, begin = {"response": ("done_ns", "intended_ns"), "service": ("done_ns", "sent_ns")}.get(
            clock, ("sent_ns", "intended_ns")
        )
        times_ms = (kept[end] - kept[begin]) / 1e6
        assert text.split("\n")[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        assert float(lines[-1][0]) == pytest.approx(times_ms.max(), rel=1e-3, abs=1e-3)
        assert int(lines[-1][2]) == len(times_ms)
        median = next(float(line[0]) for line in lines if float(line[1]) >= 0.5)
        assert times_ms.quantile(0.45) * 0.998 <= median <= times_ms.quantile(0.56) * 1.002 + 1e-3
        footer = text[text.index("#[Mean") :]
        assert float(footer.split("StdDeviation")[1].split("=")[1].split("]")[0]) == pytest.approx(
            times_ms.std(ddof=0), rel=0.01, abs=1e-3
        )


async def test_the_table_is_that_of_vegeta_too(measured: Run, tmp_path: Path) -> None:
    vegeta = program("vegeta")
    targets = json.dumps({"method": "GET", "url": "http://127.0.0.1:1/"}).encode() + b"\n"
    results = tmp_path / "results"
    await run(vegeta, "attack", "-format=json", "-rate=50", "-duration=1s", f"-output={results}", stdin=targets)
    theirs, _ = await run(vegeta, "report", "-type=hdrplot", results)
    ours = exported(measured, tmp_path, "hgrm")
    assert ours.split("\n")[0].split()[:3] == theirs.split("\n")[0].replace("(ms)", "").split()[:3]


# CSV


def test_csv_has_the_samples_with_the_documented_columns(measured: Run, tmp_path: Path) -> None:
    text = exported(measured, tmp_path, "csv")
    found = pd.read_csv(io.StringIO(text), dtype={"nonce": np.uint64})
    samples = measured.samples
    for name in samples.columns:
        assert found[name].astype(str).tolist() == samples[name].astype(str).tolist(), name
    assert (found["response_ns"] == samples["done_ns"] - samples["intended_ns"]).all()
    assert (found["service_ns"] == samples["done_ns"] - samples["sent_ns"]).all()
    assert (found["lag_ns"] == samples["sent_ns"] - samples["intended_ns"]).all()
    session = measured.manifest["clock"]["sessions"][0]
    assert (found["sent_unix_ns"] - samples["sent_ns"] == session["wall_ns"] - session["monotonic_ns"]).all()
    assert list(found.columns) == list(rows.COLUMNS)
    for name, meaning in rows.COLUMNS.items():
        assert f"| `{name}` | {meaning} |" in DOCS


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_no_text_is_a_formula_and_none_is_lost(names: list[str]) -> None:
    frame = pd.DataFrame({**dict.fromkeys(rows.COLUMNS, 0), "outcome": names, "payer": names})
    path = Path("written.csv")
    assert rows.write(path, [(frame, 0)]) == len(names)
    with path.open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(names)
    for row, name in zip(read, names, strict=True):
        assert not row["payer"].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert row["payer"] in (name, f"'{name}")


def test_csv_is_written_a_part_at_a_time(tmp_path: Path) -> None:
    """The parts are made one after the other, as they are written: no more than one is there at a time."""
    alive: list[int] = []

    class Frame(pd.DataFrame):
        def __del__(self) -> None:
            alive.pop()

    def parts() -> Iterator[tuple[pd.DataFrame, int]]:
        for number in range(20):
            alive.append(number)
            assert len(alive) <= 2
            columns = dict.fromkeys(rows.COLUMNS, np.zeros(100, dtype=np.int64))
            yield Frame({**columns, "outcome": "ok", "payer": "0x"}), 0

    assert rows.write(tmp_path / "a.csv", parts()) == 2000


# k6's summary


def shape(value: Any) -> Any:
    """Nested keys, without the values."""
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else None


async def test_the_summary_has_the_keys_of_k6s_own(measured: Run, tmp_path: Path) -> None:
    k6 = program("k6")
    script, theirs = tmp_path / "load.js", tmp_path / "theirs.json"
    async with standin() as service:
        asked = ("--to", "k6", "-n", "100", "--rate", "50", "-o", script)
        await run(*WORKBENCH, "requests", *service.options, *asked)
        await run(k6, "run", "--quiet", f"--summary-export={theirs}", script)
    ours, wanted = json.loads(exported(measured, tmp_path, "k6")), json.loads(theirs.read_text())
    unmeasured = {f"http_req_{what}" for what in ("blocked", "connecting", "sending", "tls_handshaking")} | {
        "data_sent"
    }
    missing = set(wanted["metrics"]) - set(ours["metrics"])
    assert missing <= {*unmeasured, "dropped_iterations"}
    assert set(ours["metrics"]) <= {*wanted["metrics"], "dropped_iterations"}
    for name in set(ours["metrics"]) & set(wanted["metrics"]):
        assert set(ours["metrics"][name]) == set(wanted["metrics"][name]), name
    assert shape(ours["root_group"]) == shape(wanted["root_group"])
    identities = [group["root_group"]["checks"]["receipt accepted"]["id"] for group in (ours, wanted)]
    assert identities[0] == identities[1]


def test_the_summarys_figures_are_those_of_the_samples(measured: Run, tmp_path: Path) -> None:
    summary = json.loads(exported(measured, tmp_path, "k6"))
    metrics, samples = summary["metrics"], measured.samples
    times_ms = (samples["done_ns"] - samples["sent_ns"]) / 1e6
    assert metrics["http_req_duration"] == pytest.approx(
        {
            "avg": times_ms.mean(),
            "min": times_ms.min(),
            "med": times_ms.quantile(0.5),
            "max": times_ms.max(),
            "p(90)": times_ms.quantile(0.9),
            "p(95)": times_ms.quantile(0.95),
        }
    )
    ok = int((samples["outcome"] == "ok").sum())
    assert metrics["checks"] == {"passes": ok, "fails": 400 - ok, "value": ok / 400}
    assert metrics["http_req_failed"] == {"passes": 400 - ok, "fails": ok, "value": (400 - ok) / 400}
    assert metrics["data_received"]["count"] == samples["bytes_in"].sum()
    row = measured.steps.iloc[0]
    assert metrics["http_reqs"] == pytest.approx({"count": 400, "rate": 400 / row["duration_s"]})
    assert summary["indexer_workbench"]["verdict"] == row["verdict"]
    assert summary["indexer_workbench"]["response_ms"]["p50"] == row["response_p50_ms"]


@given(arrays.arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 10**10)), st.integers(1, 5))
def test_percentiles_lie_between_two_values_as_k6_has_them(times: Any, parts: int) -> None:
    def frames() -> list[pd.DataFrame]:
        zero = np.int64(0)
        every = {"sent_ns": zero, "first_byte_ns": zero, "done_ns": times, "status": 200, "outcome": "ok"}
        frame = pd.DataFrame({**every, "bytes_in": 0})
        return [frame.iloc[part] for part in np.array_split(np.arange(len(times)), parts)]

    row = {"duration_s": 1.0, "offered": len(times), "step": 0, "verdict": "PASS", "reason": "", "loop": "open"}
    row |= {"denied": 0} | {f"response_{name}_ms": 0.0 for name in ("p50", "p90", "p95", "p99", "max")}
    row |= {f"lag_{name}_ms": 0.0 for name in ("p50", "p99", "max")}
    found = k6_summary.summary(frames, row, run="", in_flight=[], users=1)["metrics"]["http_req_duration"]
    assert [found["med"], found["p(90)"], found["p(95)"]] == pytest.approx(
        (np.percentile(times, [50, 90, 95]) / 1e6).tolist()
    )


# what cannot be had


def test_figures_of_several_steps_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"receipts": "20,30", "rate": 200, "pinpoint": False}
    asyncio.run(workbench.sweep(**steps, run_dir=tmp_path / "swept"))
    swept = tmp_path / "swept"
    out = tmp_path / "out"
    assert main(["export", str(swept), "--to", "hdr", "-o", str(out)]) == 2
    assert "this run has 2 steps. Name one with --step: 1, 2" in capsys.readouterr().err
    assert main(["export", str(swept), "--to", "k6", "-o", str(out), "--step", "7"]) == 2
    assert "there is no step 7" in capsys.readouterr().err
    assert main(["export", str(swept), "--to", "k6", "-o", str(out), "--step", "2"]) == 0
    assert json.loads(out.read_text())["metrics"]["http_reqs"]["count"] == 30
    assert main(["export", str(swept), "--to", "csv", "-o", str(out)]) == 0
    assert len(pd.read_csv(out)) == 50


def test_bad_input_is_one_line(measured: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--to", "csv", "-o", str(tmp_path / "a")]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert main(["export", str(measured.path), "--to", "csv", "-o", str(tmp_path / "no" / "a")]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(
    measured: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", str(measured.path), "--to", "hdr", "-o", str(tmp_path / "a")]) == 5
    assert "pip install -e '.[exchange]'" in capsys.readouterr().err
