"""The rules of the preflight, and what it learns from commands, processes and binaries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import TargetError
from workbench.load.outcome import Outcome
from workbench.receipts.address import checksum
from workbench.service import preflight_rules as rules
from workbench.service.agent import has_actor, held_denied
from workbench.service.metrics import parse
from workbench.service.preflight import Preflight
from workbench.service.preflight_rules import Note, PayerFacts, ServiceFacts
from workbench.service.probe import Attestation, ProbeAnswer
from workbench.service.program import (
    DEFAULT_MAX_VALUE_WEI,
    Program,
    built_with_profiling,
    listening_at,
    loud,
    of_command,
    of_process,
    service_config,
)

GRT = 10**18
WHO = b"\x01" * 20

maybe = st.sampled_from([None, False, True])
outcomes = st.sampled_from(Outcome)
probes = st.none() | st.builds(ProbeAnswer, st.integers(200, 500), st.text(), outcomes, st.booleans(), st.booleans())
payer_facts = st.builds(
    PayerFacts, st.binary(min_size=20, max_size=20), maybe, maybe, maybe, st.integers(0, GRT), st.none(), probes
)


@given(payer_facts)
def test_whoever_says_that_a_payer_is_denied_it_is_not_used(facts: PayerFacts) -> None:
    note = rules.judge_payer(facts)
    refused = facts.probe is not None and facts.probe.outcome in (Outcome.DENIED, Outcome.UNKNOWN_SIGNER)
    wrong = facts.in_denylist or facts.held_denied or facts.has_actor is False or refused
    assert (note is not None) == bool(wrong)
    if note is not None:
        assert note.refuses
        assert note.remedy
        assert "\n" not in note.line


@given(st.lists(payer_facts, max_size=6), st.integers(1, 6))
def test_a_run_begins_only_with_enough_payers(facts: list[PayerFacts], needed: int) -> None:
    notes = rules.judge_payers(facts, needed)
    wrong = sum(rules.judge_payer(fact) is not None for fact in facts)
    assert len(notes) == (1 if wrong else 0)
    if wrong:
        assert notes[0].refuses == (len(facts) - wrong < needed)


@given(st.integers(0, 2**127), st.none() | st.integers(0, 2**127))
def test_the_maximum_itself_is_refused_and_what_is_below_it_is_not(value: int, maximum: int | None) -> None:
    notes = rules.judge_service(ServiceFacts(value, maximum, "service.toml"))
    assert [note.check for note in notes] == (["value"] if maximum is not None and value >= maximum else [])


@given(st.integers(0, 2**100))
def test_the_rounding_of_gauges_is_no_lag(owed: int) -> None:
    assert not rules.is_behind(owed, round(float(owed)))
    assert rules.is_behind(owed + GRT // 1000, 0)


def test_an_actor_that_did_not_come_to_run_is_none() -> None:
    """As an agent without its aggregator was seen: the payer is in the denylist, and the gauge says it is not."""
    sender = checksum(WHO)
    names = ("tap_max_fee_per_sender_grt_total", "tap_rav_request_trigger_value", "tap_sender_denied")
    dead = parse("".join(f'{name}{{sender="{sender}"}} 0\n' for name in names))
    assert held_denied(dead, WHO) is False
    assert not has_actor(dead, WHO)
    note = rules.judge_payer(PayerFacts(WHO, in_denylist=True, held_denied=False, has_actor=False))
    assert note is not None
    assert note.check == "actor"
    assert "is on the denylist" in note.what
    alive = [*dead, *parse(f'tap_sender_escrow_balance_grt_total{{sender="{sender}"}} 1e19\n')]
    assert has_actor(alive, WHO)


def test_an_agent_that_counts_is_waited_for_and_one_that_does_not_is_refused() -> None:
    facts = PayerFacts(WHO, has_actor=True, owed_wei=2 * GRT, counted_wei=GRT)
    assert rules.judge_counting(facts, 2 * GRT) is None
    counting, stuck = rules.judge_counting(facts, GRT + GRT // 2), rules.judge_counting(facts, GRT)
    assert counting is not None
    assert stuck is not None
    assert (counting.refuses, stuck.refuses) == (False, True)
    assert "has counted 1 GRT" in stuck.what
    assert "2 GRT are in the database" in stuck.what


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("info", None),
        ("", None),
        ("warn,indexer_service_rs=info", None),
        ("off", None),
        ("3", None),
        ("debug", "debug"),
        ("TRACE", "TRACE"),
        ("4", "4"),
        ("info, indexer_tap_agent=debug", "indexer_tap_agent=debug"),
        ("info,hyper[request{path=x}]=trace", "hyper[request{path=x}]=trace"),
        ("indexer_service_rs", "indexer_service_rs"),  # a target without a level logs all of them
        ("warn,debug", "debug"),
    ],
)
def test_levels_are_read_as_the_services_read_them(text: str, found: str | None) -> None:
    assert loud(text) == found
    notes = rules.judge_service(ServiceFacts(1, rust_log=(("tap-agent", text),)))
    assert [note.check for note in notes] == (["log"] if found else [])


@given(st.lists(st.sampled_from(["info", "warn", "error", "off", "a=info", "b::c=warn", "2", " "])))
def test_quiet_directives_are_quiet_in_any_number(directives: list[str]) -> None:
    assert loud(",".join(directives)) is None
    assert loud(",".join([*directives, "x=debug"])) == "x=debug"


def probe_answer(outcome: Outcome, message: str = "why", *, passed: bool = False, charged: bool = False) -> ProbeAnswer:
    return ProbeAnswer(400, message, outcome, passed, charged)


@pytest.mark.parametrize(
    ("outcome", "check", "remedy"),
    [
        (Outcome.BAD_ALLOCATION, "allocation", "--allocation"),
        (Outcome.BAD_VALUE, "value", "max_receipt_value_grt"),
        (Outcome.BAD_TIMESTAMP, "clock", "timedatectl"),
        (Outcome.LOW_BALANCE, "escrow", "Top up"),
        (Outcome.NO_RECEIPT, "receipt", "--receipt-version"),
        (Outcome.HTTP_ERROR, "probe", "doctor"),
    ],
)
def test_what_the_service_refuses_in_a_probe_it_would_refuse_in_all(outcome: Outcome, check: str, remedy: str) -> None:
    (note,) = rules.judge_probe(probe_answer(outcome, "Receipt allocation ID"), GRT)
    assert (note.check, note.refuses) == (check, True)
    assert remedy in note.remedy
    assert "Receipt allocation ID" in note.what


def test_a_probe_that_passed_cost_nothing_and_one_that_was_taken_is_counted() -> None:
    (passed,) = rules.judge_probe(probe_answer(Outcome.BAD_RECEIPT, passed=True), GRT)
    (taken,) = rules.judge_probe(probe_answer(Outcome.OK, charged=True), GRT)
    assert not passed.refuses
    assert "nothing was stored or charged" in passed.what
    assert not taken.refuses
    assert "1 GRT was spent and is counted" in taken.what
    assert rules.judge_probe(None, GRT) == []


@pytest.mark.parametrize("profiler", ["none", "callgrind", "massif"])
def test_answers_that_could_be_attested_and_are_not_spoil_callgrind(profiler: str) -> None:
    def notes(attestable: bool, attested: bool) -> list[Note]:
        return rules.judge_attestation(Attestation(attestable, attested), profiler)

    assert notes(True, True) == notes(False, False) == []
    (note,) = notes(True, False)
    assert note.refuses == (profiler == "callgrind")
    assert "89 % of all instructions" in note.what
    assert "operator_mnemonic" in note.what


@pytest.mark.parametrize(("profiler", "words"), [("massif", "225 of 240 MB"), ("callgrind", "SIGPROF is blocked")])
def test_a_sampler_in_the_binary_is_a_note_of_what_it_distorts(profiler: str, words: str) -> None:
    (note,) = rules.judge_service(ServiceFacts(1, profiler=profiler, with_sampler=("indexer-service",)))
    assert not note.refuses
    assert words in note.what


def test_the_first_refusal_is_raised_and_the_others_are_counted() -> None:
    Preflight((), (Note("probe", "all is well"),)).require("http://x")
    with pytest.raises(TargetError) as caught:
        Preflight((), (Note("a", "is wrong", "Mend it", True), Note("b", "too", "And it", True))).require("http://x")
    assert str(caught.value) == (
        "http://x: nothing was sent: is wrong (and 1 more, see the notes). Mend it; or pass --no-preflight"
    )
    assert caught.value.exit_code == 3


# what programs were started with

CONFIG = """
[indexer]
operator_mnemonic = "test test"
[graph_node]
query_url = "http://127.0.0.1:8000/"
[service]
free_query_auth_token = "s3cret"
[service.tap]
max_receipt_value_grt = {value}
"""


@pytest.mark.parametrize(
    ("value", "environment", "wei"),
    [
        ('"0.002"', {}, 2 * GRT // 1000),
        ("0.002", {}, 2 * GRT // 1000),
        ('"${MOST}"', {"MOST": "0.5"}, GRT // 2),
        ('"0.002"', {"INDEXER_SERVICE_SERVICE__TAP__MAX_RECEIPT_VALUE_GRT": "3"}, 3 * GRT),
        (
            '"0.002"',
            {
                "INDEXER_SERVICE_SERVICE__TAP__MAX_RECEIPT_VALUE_GRT": "3",
                "INDEXER_SERVICE__TAP__MAX_RECEIPT_VALUE_GRT": "4",
            },
            4 * GRT,
        ),
    ],
)
def test_the_maximum_is_read_as_the_service_reads_it(
    value: str, environment: dict[str, str], wei: int, tmp_path: Path
) -> None:
    (tmp_path / "service.toml").write_text(CONFIG.format(value=value))
    for words in (("service", "--config", "service.toml"), ("valgrind", "service", "--config=service.toml")):
        config = service_config(Program("indexer-service", words, environment, tmp_path))
        assert config is not None
        assert config.max_value_wei == wei
        assert config.query_url == "http://127.0.0.1:8000"
        assert config.free_query_token == "s3cret"
        assert "s3cret" not in repr(config)


def test_a_configuration_without_a_maximum_has_the_releases_default(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[indexer]\n")
    config = service_config(Program("indexer-service", ("service", "--config", str(tmp_path / "c.toml"))))
    assert config is not None
    assert config.max_value_wei == DEFAULT_MAX_VALUE_WEI


@pytest.mark.parametrize("text", [None, "num_receipts = 5\n", "[indexer\n", "indexer = 1\n"])
def test_a_configuration_of_something_else_says_nothing(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "c.toml").write_text(text)
    assert service_config(Program("indexer-service", ("service", "--config", "c.toml"), {}, tmp_path)) is None
    assert service_config(Program("indexer-service", ("service",), {}, tmp_path)) is None


def test_a_command_gets_our_environment_and_a_process_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LOG", "debug")
    command = of_command("indexer-service", f"{sys.executable} --config 'a b.toml'")
    assert command.rust_log == "debug"
    assert command.words == (sys.executable, "--config", "a b.toml")
    assert command.executable == Path(sys.executable).resolve()
    assert of_command("indexer-service", "no-such-program").executable is None
    own = of_command("indexer-service", f"RUST_LOG=trace LANG='a b' {sys.executable} --config 'a b.toml'")
    assert own.rust_log == "trace"
    assert own.environment is not None
    assert own.environment["LANG"] == "a b"
    assert own.words == command.words
    assert own.executable == command.executable
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--config", "x.toml"],
        env={**os.environ, "RUST_LOG": "trace"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        assert listening_at(url) == process.pid
        seen = of_process("indexer-service", process.pid)
        assert seen.rust_log == "trace"
        assert seen.words[-2:] == ("--config", "x.toml")
        assert seen.folder == Path.cwd()
        assert "RUST_LOG" not in repr(seen)
    finally:
        process.communicate("\n")
    assert listening_at(url) is None
    assert listening_at("http://192.0.2.1:80") is None
    assert of_process("indexer-service", process.pid).words == ()


def test_the_sampler_is_found_in_a_binary_by_its_names_and_by_the_paths_of_its_panics(tmp_path: Path) -> None:
    program = tmp_path / "program"
    for inside, found in (
        (b"_ZN5pprof8profiler20ProfilerGuardBuilder5build17h", True),
        (b"/registry/pprof-0.14.1/src/profiler.rs", True),
        (b"nothing of the kind", False),
    ):
        program.write_bytes(b"\x7fELF" + bytes(1000) + inside + bytes(1000))
        assert built_with_profiling(program) == found
    program.write_bytes(b"#!/bin/sh\n# ProfilerGuardBuilder\n")
    assert not built_with_profiling(program)
    program.write_bytes(b"")
    assert not built_with_profiling(program)
    assert not built_with_profiling(tmp_path / "missing")
