"""Requests signed ahead, sent by the tools they are for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.exchange.tools import WORKBENCH, program, run, standin
from workbench.cli import main
from workbench.exchange.requests import find, write
from workbench.load.samples import nonces
from workbench.receipts import v2
from workbench.settings import Settings
from workbench.standin.accounts import payer

REQUESTS = (*WORKBENCH, "requests")


def receipts_of(text: str) -> list[v2.SignedReceipt]:
    return [v2.decode_header(json.loads(line)["header"]["Tap-Receipt"][0]) for line in text.splitlines()]


async def test_a_file_of_targets_is_stamped_by_the_plan_and_has_the_nonces_of_the_seed(tmp_path: Path) -> None:
    async with standin() as service:
        out = tmp_path / "targets.json"
        before = time.time_ns()
        _, said = await run(
            *REQUESTS, *service.options, *("--to", "vegeta", "-n", "50", "--rate", "10", "--seed", "9", "-o", out)
        )
        found = [signed.receipt for signed in receipts_of(out.read_text())]
        assert service.stored() == []
    assert [receipt.nonce for receipt in found] == nonces(9, 0, 50).tolist()
    assert {receipt.payer for receipt in found} == {payer(0).address}
    gaps = {b.timestamp_ns - a.timestamp_ns for a, b in pairwise(found)}
    assert gaps == {100_000_000}
    assert found[0].timestamp_ns > before
    assert "50 requests, stamped for 10 a second" in said
    assert "vegeta attack -format=json -lazy -rate=10/s -duration=5s" in said
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("rate", [200, None])
async def test_what_is_warned_of(tmp_path: Path, rate: int | None) -> None:
    async with standin(max_receipt_value_grt=1001) as service:
        pace = [] if rate is None else ["--rate", str(rate)]
        _, said = await run(
            *(*REQUESTS, *service.options, *pace, "--to", "headers", "-n", "5000"),
            *("--value-grt", "1", "-o", tmp_path / "headers", "--start-in", "0"),
        )
    assert "Warning: receipt 1,000 is predicted to trigger denial" in said
    assert "give a longer --start-in" in said
    assert ("sent faster or slower than 200 a second they are refused" in said) is (rate is not None)
    assert len((tmp_path / "headers").read_text().splitlines()) == 5000


async def test_into_a_pipe_each_is_signed_shortly_before_it_is_due() -> None:
    """The plan takes 60 s and the window is 2 s: the first ones are there at once, the last one is not signed yet."""
    async with standin() as service:
        process = await asyncio.create_subprocess_exec(
            *(*REQUESTS, *service.options, "--to", "vegeta", "-n", "600", "--rate", "10"),
            *("--timestamp-window-s", "2"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        lines = [await process.stdout.readline() for _ in range(8)]
        last = receipts_of(lines[-1].decode())[0].receipt.timestamp_ns
        assert last <= time.time_ns() + 0.4e9  # what is signed ahead with such a window
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
    assert 8 + out.count(b"\n") < 600


async def test_vegeta_sends_each_once_and_all_are_accepted(tmp_path: Path) -> None:
    vegeta = program("vegeta")
    async with standin() as service:
        targets = tmp_path / "targets.json"
        await run(*REQUESTS, *service.options, *("--to", "vegeta", "-n", "400", "--rate", "200", "-o", targets))
        results = tmp_path / "results"
        attack = ("attack", "-format=json", "-lazy", "-rate=200", "-duration=2s")
        await run(vegeta, *attack, f"-targets={targets}", f"-output={results}")
        report, _ = await run(vegeta, "report", "-type=json", results)
        assert json.loads(report)["status_codes"] == {"200": 400}
        assert sorted(service.stored()) == sorted(nonces(1, 0, 400).tolist())


async def test_vegeta_reads_from_a_fifo_what_is_signed_meanwhile(tmp_path: Path) -> None:
    """vegeta opens it before it begins, so that waiting for the first receipt is in no latency."""
    vegeta = program("vegeta")
    fifo, results = tmp_path / "fifo", tmp_path / "results"
    os.mkfifo(fifo)
    async with standin() as service:
        asked = (*REQUESTS, *service.options, *("--to", "vegeta", "-n", "300", "--rate", "150", "-o", fifo))
        attack = ("attack", "-format=json", "-lazy", "-rate=150", "-duration=2s")
        await asyncio.gather(run(*asked), run(vegeta, *attack, f"-targets={fifo}", f"-output={results}"))
        report, _ = await run(vegeta, "report", "-type=json", results)
        assert json.loads(report)["status_codes"] == {"200": 300}
        assert len(set(service.stored())) == len(service.stored()) == 300


@pytest.mark.parametrize("pace", [("--rate", "100"), ("--concurrency", "4")])
async def test_k6_sends_none_twice_and_all_are_accepted(tmp_path: Path, pace: tuple[str, str]) -> None:
    k6 = program("k6")
    script, summary = tmp_path / "load.js", tmp_path / "summary.json"
    async with standin() as service:
        await run(*REQUESTS, *service.options, *("--to", "k6", "-n", "200", *pace, "-o", script))
        await run(k6, "run", "--quiet", f"--summary-export={summary}", script)
        metrics = json.loads(summary.read_text())["metrics"]
        stored = service.stored()
    dropped = int(metrics.get("dropped_iterations", {"count": 0})["count"])  # a busy machine has no free virtual user
    assert metrics["http_reqs"]["count"] == len(stored) == 200 - dropped
    assert metrics["checks"] == {"passes": len(stored), "fails": 0, "value": 1}
    assert len(set(stored)) == len(stored)
    assert set(stored) <= set(nonces(1, 0, 200).tolist())


async def test_k6_refuses_receipts_that_are_too_old(tmp_path: Path) -> None:
    k6 = program("k6")
    script = tmp_path / "old.js"
    async with standin() as service:
        asked = ("--to", "k6", "-n", "5", "--rate", "50", "--timestamp-window-s", "0.001", "--start-in", "0")
        await run(*REQUESTS, *service.options, *asked, "-o", script)
        _, said = await run(k6, "run", "--quiet", script, code=108)  # aborted by the script
        assert "too old" in said
        assert service.stored() == []


def test_what_cannot_be_done_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["requests", "--to", "vegeta"]) == 2
    assert "`workbench standin` starts one" in capsys.readouterr().err
    assert main(["requests", "--to", "jmeter"]) == 2
    assert "vegeta" in capsys.readouterr().err
    assert main(["requests", "--to", "vegeta", "--start-in", "-3"]) == 2
    assert "give seconds, 0 or more" in capsys.readouterr().err
    assert main(["requests", "--to", "vegeta", "--target", "http://127.0.0.1:1"]) == 3
    Path("workbench.toml").write_text('arrivals = "ramp:10:20:5s"\n')
    assert main(["requests", "--to", "vegeta", "--target", "http://127.0.0.1:1"]) == 2
    assert "Give --rate alone" in capsys.readouterr().err


async def test_a_script_needs_a_name(tmp_path: Path) -> None:
    async with standin() as service:
        _, said = await run(*REQUESTS, *service.options, "--to", "k6", code=2)
        assert "-o load.js" in said
        _, said = await run(*REQUESTS, *service.options, "--to", "k6", "-o", tmp_path / "no" / "a.js", code=2)
        assert "cannot write" in said
    assert list(tmp_path.iterdir()) == []


async def test_no_key_is_in_what_is_written(tmp_path: Path) -> None:
    secret = payer(0).key.reveal()
    said: list[str] = []
    async with standin() as service:
        found = await find(
            Settings.resolve(target=service.endpoints.service_url, graph_url=service.endpoints.graph_url)
        )
        for form, name in (("vegeta", "a.json"), ("k6", "a.js"), ("headers", "a")):
            write(found, form, tmp_path / name, 1.0, said.append)  # type: ignore[arg-type]
    for path in tmp_path.iterdir():
        assert secret not in path.read_text()
    assert secret not in repr(found) + "".join(said)


def test_standard_output_that_is_a_file_is_written_at_once(tmp_path: Path) -> None:
    """A plan of an hour: paced as into a pipe, the test would not end."""

    async def both() -> None:
        async with standin() as service:
            with (tmp_path / "out").open("w") as out:
                process = await asyncio.create_subprocess_exec(
                    *(*REQUESTS, *service.options, "--to", "headers", "-n", "360", "--rate", "0.1"),
                    stdout=out,
                    stderr=subprocess.PIPE,
                )
                assert await process.wait() == 0

    asyncio.run(both())
    assert len((tmp_path / "out").read_text().splitlines()) == 360
