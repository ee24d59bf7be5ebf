"""The preflight through the public commands: each refusal is one line with its remedy and exit code 3, and the service
saw nothing of it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from aiohttp import web

import workbench
from tests.load.servers import http_server
from tests.service.conftest import Database, Server, postgres_server
from tests.service.conftest import database as postgres
from workbench.cli import main
from workbench.runs.read import Run, open_run
from workbench.service.metrics import parse, total
from workbench.standin.accounts import payer
from workbench.standin.database import SCHEMA

__all__ = ["postgres", "postgres_server"]


class Service:
    """A stand-in that runs on its own, as a service that somebody else started."""

    def __init__(self, endpoints: dict[str, Any]) -> None:
        self._endpoints = endpoints
        self.options = ["--target", endpoints["service_url"], "--graph-url", endpoints["graph_url"]]
        if endpoints["agent_metrics_url"]:
            self.options += ["--agent-metrics-url", endpoints["agent_metrics_url"]]
        self.settings = {
            "target": endpoints["service_url"],
            "graph_url": endpoints["graph_url"],
            "agent_metrics_url": endpoints["agent_metrics_url"],
        }

    def requests(self) -> int:
        """How many requests with a receipt it answered."""
        with urlopen(self._endpoints["service_metrics_url"]) as answer:
            readings = parse(answer.read().decode())
        return round(total(readings, "indexer_query_handler_seconds_count") or 0)

    def rows(self) -> int:
        with sqlite3.connect(self._endpoints["database"]) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM tap_horizon_receipts").fetchone()[0])


@contextmanager
def service(*options: str, denied: int | None = None, rust_log: str | None = None) -> Iterator[Service]:
    """Start one; ``denied``: the number of a payer that stands in its denylist from the start (in the service's role,
    as an agent would look at its books and allow it again)."""
    database = Path("given.sqlite").absolute()
    if denied is not None:
        with sqlite3.connect(database) as connection:
            connection.executescript(SCHEMA)
            connection.execute("INSERT INTO tap_horizon_denylist VALUES (?)", [payer(denied).address.hex()])
    ports = ("service", "service-metrics", "agent-metrics", "graph")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "workbench.cli", "standin", "--database", str(database)),
            *(word for port in ports for word in (f"--{port}-port", "0")),
            *options,
        ],
        env={**os.environ, **({} if rust_log is None else {"RUST_LOG": rust_log})},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Service(json.loads(process.stdout.readline()))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def load(given: Service, *options: str) -> int:
    return main(["load", "-n", "20", "--concurrency", "2", "--runs-dir", "runs", *given.options, *options])


def the_run() -> Run:
    (path,) = Path("runs").iterdir()
    return open_run(path)


def events(kind: str) -> list[dict[str, Any]]:
    lines = (the_run().path / "events.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["kind"] == kind]


def refused(given: Service, capsys: pytest.CaptureFixture[str], *options: str, requests: int = 0) -> str:
    """The one line of a load that must not begin."""
    assert load(given, *options) == 3
    said = capsys.readouterr().err.strip().splitlines()
    (line,) = [line for line in said if line.startswith("workbench: ")]
    assert "nothing was sent" in line
    assert "--no-preflight" in line
    assert given.requests() == requests
    assert given.rows() == 0
    assert any(event["refuses"] for event in events("preflight"))
    return line


def test_a_payer_in_the_denylist_of_the_database(postgres: Database, capsys, monkeypatch) -> None:
    postgres.deny(payer(0).address)
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", postgres.url)
    with service() as given:
        line = refused(given, capsys)
    assert "is denied already: it is on the denylist of the database" in line
    assert "top up its escrow" in line
    assert postgres.url not in line


def test_a_payer_that_the_agents_gauge_holds_denied(capsys) -> None:
    with service("--limit-grt", "0") as given:
        line = refused(given, capsys)
    assert "is denied already: the tap-agent's gauge says so" in line


def test_a_payer_of_whom_only_the_service_knows_that_it_is_denied(capsys) -> None:
    """No database, no agent: one probe asks the service, and is not stored."""
    with service("--role", "service", denied=0) as given:
        line = refused(given, capsys, requests=1)
    assert "is denied already: the service refused a probe" in line


def test_an_agent_without_an_actor_for_the_payer(capsys, monkeypatch) -> None:
    """Its gauges name others; the payer stands in the denylist, where the agent put it at its start."""
    stranger = payer(70)
    monkeypatch.setenv("WORKBENCH_PAYERS", json.dumps(["0x" + stranger.address.hex()]))
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", json.dumps([stranger.key.reveal()]))
    with service() as given:
        line = refused(given, capsys)
    assert "has no actor in the tap-agent" in line
    assert "Start the aggregator" in line
    assert stranger.key.reveal() not in line


def test_an_agent_that_does_not_count(postgres: Database, capsys, monkeypatch) -> None:
    from tests.service.test_stored import store

    monkeypatch.setattr("workbench.service.preflight.COUNTING_S", 0.6)
    store(postgres, payer(0), 30)
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", postgres.url)
    with service() as given:
        line = refused(given, capsys)
    assert "has counted 0 GRT" in line
    assert "0.03 GRT are in the database, and it has stopped counting" in line
    assert "Start the tap-agent again" in line


def test_an_agent_whose_metrics_do_not_answer(capsys) -> None:
    with service() as given:
        given.options[given.options.index("--agent-metrics-url") + 1] = "http://127.0.0.1:9/metrics"
        assert load(given) == 3
        assert given.requests() == 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the tap-agent's metrics is not reachable" in line


def test_a_database_that_does_not_answer(capsys, monkeypatch) -> None:
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", "postgresql://indexer:s3cret@127.0.0.1:9/none")
    with service() as given:
        assert load(given) == 3
        assert given.requests() == 0
    said = capsys.readouterr().err
    assert "the database cannot be read" in said.strip().splitlines()[-1]
    assert "s3cret" not in said


@pytest.mark.parametrize(("value", "code"), [("0.002", 3), ("0.0019", 0)])
def test_receipts_that_reach_the_services_maximum_by_its_answer(value: str, code: int, capsys) -> None:
    """The stand-in's maximum is not in a file that can be found: the probe tells, and is refused."""
    with service() as given:
        assert load(given, "--value-grt", value) == code
        assert given.rows() == (0 if code else 20)
        assert given.requests() == (1 if code else 21)
    said = capsys.readouterr()
    assert ("is higher than the limit set by the user" in said.err) == bool(code)
    assert ("max_receipt_value_grt" in said.err) == bool(code)


@contextmanager
def configured(config: str) -> Iterator[Service]:
    """A stand-in whose command line names a configuration file, as the real service's does."""
    Path("service.toml").write_text(config)
    starter = "import sys; sys.argv = [sys.argv[0], *sys.argv[3:]]; from workbench.cli import main; main(sys.argv[1:])"
    ports = [f"--{port}-port=0" for port in ("service", "service-metrics", "agent-metrics", "graph")]
    words = [sys.executable, "-c", starter, "--config", "service.toml", "standin", *ports]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Service(json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_receipts_that_reach_the_maximum_of_the_services_configuration(capsys) -> None:
    """A file with a table [indexer] is the services'; its maximum is the release's where it says none."""
    with configured("[indexer]\n") as given:
        line = refused(given, capsys)
    assert "receipts of 0.001 GRT reach the service's maximum of 0.001 GRT" in line
    assert "service.toml" in line


async def test_answers_that_graph_node_calls_attestable_and_the_service_does_not_attest(capsys) -> None:
    """The stand-in attests nothing; beside it a graph-node that says the answer could be."""

    async def attestable(request: web.Request) -> web.Response:
        return web.Response(text='{"data":{}}', headers={"graph-attestable": "true"})

    async with http_server(attestable) as graph_node:
        config = (
            f'[indexer]\n[graph_node]\nquery_url = "{graph_node}"\n'
            '[service]\nfree_query_auth_token = "freestuff"\n[service.tap]\nmax_receipt_value_grt = "0.002"\n'
        )
        with configured(config) as given:
            assert await asyncio.to_thread(load, given) == 0
            assert given.rows() == 20
    said = capsys.readouterr().err
    assert "the allocation cannot be derived from the service's operator_mnemonic" in said
    assert "freestuff" not in said
    assert not any("freestuff" in path.read_text() for path in the_run().path.glob("*.json*"))


def test_the_embedded_standin_knows_its_own_maximum(capsys) -> None:
    assert main(["load", "-n", "5", "--runs-dir", "runs", "--max-receipt-value-grt", "0.001"]) == 3
    assert "reach the service's maximum of 0.001 GRT" in capsys.readouterr().err
    assert len(the_run().samples) == 0


def test_an_allocation_that_is_not_eligible(capsys) -> None:
    with service() as given:
        line = refused(given, capsys, "--allocation", "0x" + "12" * 20, requests=1)
    assert "is not eligible for this indexer" in line
    assert "--allocation" in line


def test_a_service_that_logs_at_debug(capsys) -> None:
    with service(rust_log="info,indexer_service_rs=debug") as given:
        line = refused(given, capsys)
    assert "RUST_LOG of the indexer-service is 'info,indexer_service_rs=debug'" in line
    assert "RUST_LOG=info" in line


def test_a_signer_that_the_service_does_not_know(capsys) -> None:
    with service("--role", "service") as given:
        assert load(given, "--chain-id", "5") == 3
        assert given.rows() == 0
    assert "No sender found for signer" in capsys.readouterr().err


def test_with_no_preflight_it_is_only_said(capsys) -> None:
    with service("--limit-grt", "0") as given:
        assert load(given, "--no-preflight") == 1
        assert given.requests() >= 20
    assert "is denied already" in capsys.readouterr().err
    (row,) = the_run().steps.to_dict("records")
    assert "denied" in row["reason"]
    assert "predicted limit" not in row["reason"]


def test_with_no_preflight_a_database_that_does_not_answer_is_a_note(capsys, monkeypatch) -> None:
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", "postgresql://indexer:s3cret@127.0.0.1:9/none")
    with service() as given:
        assert load(given, "--no-preflight") in (0, 4)
        assert (given.rows(), given.requests()) == (20, 20)  # and no probe
    said = capsys.readouterr().err
    assert "note: postgresql://indexer:***@127.0.0.1:9/none: the database cannot be read" in said


def test_denied_payers_are_left_out_while_there_are_others(postgres: Database, capsys, monkeypatch) -> None:
    postgres.deny(payer(0).address)
    monkeypatch.setenv("WORKBENCH_DATABASE_URL", postgres.url)
    monkeypatch.setenv("WORKBENCH_PAYERS", json.dumps(["0x" + payer(index).address.hex() for index in range(2)]))
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", json.dumps([payer(index).key.reveal() for index in range(2)]))
    with service() as given:
        load(given)
        assert given.rows() == 20
    assert "1 of 2 payers are left out" in capsys.readouterr().err
    assert list(the_run().samples["payer"].astype(str).str.lower().unique()) == ["0x" + payer(1).address.hex()]


def test_a_sweep_refuses_too_and_its_report_says_why(capsys) -> None:
    with service("--limit-grt", "0") as given:
        code = main(["sweep", "--receipts", "10", "--runs-dir", "runs", *given.options])
        assert code == 3
        assert given.requests() == 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is denied already" in line
    assert the_run().manifest["state"] == "failed"


async def test_the_moment_of_denial_in_the_database_is_in_the_row_the_events_and_the_text(postgres: Database) -> None:
    """The payer is denied while its receipts are sent; this stand-in does not know, so it goes on taking them."""
    told: list[str] = []
    denying = threading.Thread(target=postgres.deny, args=[payer(0).address])

    def on_event(kind: str, facts: dict[str, Any]) -> None:
        told.append(kind)
        if kind == "progress" and facts["done"] and denying.ident is None:
            denying.start()

    with service() as given:
        result = await workbench.load(
            **given.settings,
            database_url=postgres.url,
            num_receipts=800,
            rate=200.0,
            runs_dir="runs",
            on_event=on_event,
        )
    (denied,) = events("denied_in_database")
    summary = result.summary
    assert told.count("denied_in_database") == 1
    assert denied["payer"] == summary["payer"]
    assert (denied["step"], denied["late"]) == (1, False)
    assert 0 < summary["denylisted_s"] < min(summary["duration_s"], denied["t_s"])
    samples = result.samples
    later = ((samples["sent_ns"] - samples["intended_ns"].min()) / 1e9 > summary["denylisted_s"]).sum()
    assert 0 < later < 800
    assert summary["paid_after_denylisted"] == later
    assert f"{later} receipts sent later were still accepted" in result.text
    assert summary["denied_after_settle"] == "yes"
    assert math.isnan(summary["denylist_lag_s"])  # the limit was not reached
    # nothing of this stand-in's is in that database
    assert (summary["stored"], summary["paid"]) == (0, 800)
    assert "0 are in the database" in summary["failure"]


async def test_a_database_that_is_killed_in_mid_step_costs_the_run_nothing_but_its_word(
    postgres: Database, postgres_server: Server
) -> None:
    killed = False

    def on_event(kind: str, facts: dict[str, Any]) -> None:
        nonlocal killed
        if kind == "progress" and facts["done"] and not killed:
            killed = True
            postgres_server.kill()

    with service() as given:
        try:
            run = await workbench.sweep(
                **given.settings,
                database_url=postgres.url,
                receipts="300,50",
                mode="cumulative",
                rate=100.0,
                pinpoint=False,
                runs_dir="runs",
                on_event=on_event,
            )
        finally:
            postgres_server.start()
    assert killed
    assert list(run.steps["accepted"]) == [300, 50]
    assert run.steps["stored"].isna().all()
    assert run.manifest["state"] == "finished"
    notes = [event["why"] for event in events("database_note")]
    assert sum("Denial cannot be seen" in note for note in notes) == 1
    # one for each step: after the first, and before the second
    assert sum("How much was stored is not known" in note for note in notes) == 2
    assert all(postgres.url not in note for note in notes)
