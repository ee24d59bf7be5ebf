"""Why a service or its tool ended, from its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.profilers.backends.tail import hidden, last_words
from workbench.profilers.modes import Mode
from workbench.profilers.tools.chosen import tool_of

# as valgrind 3.19 wrote it when it met SIGPROF, shortened in the middle
ASSERTION = """\
==2411== Callgrind, a call-graph generating cache profiler
==2411== Command: /usr/local/bin/indexer-service-rs --config service.toml
==2411==
==2411== For interactive control, run 'callgrind_control -h'.
INFO starting

Callgrind: threads.c:247 (vgCallgrind_post_signal): Assertion 'sigNum == vgCallgrind_current_state.sig' failed.

host stacktrace:
==2411==    at 0x58042DDA: show_sched_status_wrk (m_libcassert.c:406)

sched status:
  running_tid=2

If that doesn't help, please report this bug to: www.valgrind.org

In the bug report, send all the above text, the valgrind
version, and what OS and version you are using.  Thanks.

"""
KILLED = """\
==7== Massif, a heap profiler
INFO serving
==7==
==7== Process terminating with default action of signal 11 (SIGSEGV)
==7==  Access not within mapped region at address 0x0
==7==    at 0x10915A: main (x.c:5)
==7==  If you believe this happened as a result of a stack
"""
REFUSED = """\
valgrind: /opt/x: Permission denied

usage: valgrind [options] prog-and-args
  Extra options read from ~/.valgrindrc, $VALGRIND_OPTS, ./.valgrindrc
"""
PANIC = """\
INFO one
INFO two

thread 'main' panicked at src/main.rs:5:
no configuration
stack backtrace:
   0: __rustc::rust_begin_unwind
note: run with `RUST_BACKTRACE=full`
"""


@pytest.mark.parametrize(
    ("mode", "log", "said"),
    [
        (
            "callgrind",
            ASSERTION,
            "Callgrind: threads.c:247 (vgCallgrind_post_signal): "
            "Assertion 'sigNum == vgCallgrind_current_state.sig' failed.",
        ),
        (
            "massif",
            KILLED,
            "Process terminating with default action of signal 11 (SIGSEGV) "
            "Access not within mapped region at address 0x0",
        ),
        ("callgrind", REFUSED, "valgrind: /opt/x: Permission denied"),
        (
            "strace",
            "INFO x\nstrace: Process 8 attached\nstrace: Can't stat 'y': No such file\n",
            "strace: Can't stat 'y': No such file",
        ),
        ("strace", "INFO x\nstrace: Process 8 attached\n", "INFO x / strace: Process 8 attached"),
        ("none", "one\n\n\x1b[31mtwo\x1b[0m\n", "one / two"),
        ("none", "", "it wrote nothing"),
    ],
)
def test_a_tools_own_reason_is_given_else_the_last_lines(mode: Mode, log: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log)
    assert last_words(tmp_path / "log", tool_of(mode)) == said


@pytest.mark.parametrize("mode", ["callgrind", "none"])
def test_a_service_that_ends_by_itself_is_told_in_several_lines(mode: Mode, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(PANIC)
    said = last_words(tmp_path / "log", tool_of(mode))
    assert said == "thread 'main' panicked at src/main.rs:5: / no configuration"


def test_the_totals_of_valgrind_are_no_reason(tmp_path: Path) -> None:
    text = "INFO starting\nno database\n==7==\n==7== Events    : Ir\n==7== Collected : 5\n"
    (tmp_path / "log").write_text(text)
    assert last_words(tmp_path / "log", tool_of("callgrind")) == "INFO starting / no database"
    (tmp_path / "log").write_text("==7==\n==7== Collected : 5\n")
    assert last_words(tmp_path / "log", tool_of("callgrind")) == "==7== / ==7== Collected : 5"


def test_the_reason_is_found_in_a_log_of_any_length(tmp_path: Path) -> None:
    lines = "".join(f"INFO line {number} of a busy service\n" for number in range(20_000))
    (tmp_path / "late").write_text(lines + ASSERTION)
    assert "Assertion" in last_words(tmp_path / "late", tool_of("callgrind"))
    (tmp_path / "early").write_text(REFUSED + lines)
    assert last_words(tmp_path / "early", tool_of("massif")) == "valgrind: /opt/x: Permission denied"


def test_no_log_no_words(tmp_path: Path) -> None:
    assert last_words(tmp_path / "absent", tool_of("none")) == "it has no log"


def test_secrets_are_hidden() -> None:
    key = "5e" * 32
    text = f"key 0x{key} or {key}, postgres://me:pass@db/x, token freestuff-1"
    assert hidden(text, ["freestuff-1"]) == "key *** or ***, postgres://***@db/x, token ***"
    assert hidden(f"a key with a digit too many, {key}0") == "a key with a digit too many, ***"
    assert hidden(f"a signature, 0x{key}{key}1b") == f"a signature, 0x{key}{key}1b"
