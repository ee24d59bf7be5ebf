"""The reader of strace's logs: real logs of real runs, every style of line, generated logs, cut and torn ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.strace import lines as strace_lines
from workbench.profiles.readers.strace import log as strace_log
from workbench.profiles.readers.strace import reader as strace
from workbench.profiles.source import Source

DEMO = Path(__file__).resolve().parents[2] / "data" / "profiles" / "demo-strace.log"


def calls_of(profile: Profile) -> pd.DataFrame:
    return profile.tables["calls"]


def parse(text: str, **options: object) -> Profile:
    return strace.read(Source(text.encode(), "log"), **options)  # type: ignore[arg-type]


def one(text: str) -> pd.Series:
    calls = calls_of(parse(text + "\n"))
    assert len(calls) == 1
    return calls.iloc[0]


# single lines


@pytest.mark.parametrize(
    ("line", "syscall", "args", "result", "error"),
    [
        ('1 read(3, "a) = 5 <0.1>", 8) = 8 <0.000002>', "read", '3, "a) = 5 <0.1>", 8', 8, ""),
        ("1 mmap(NULL, 1) = 0x7fdfc833a000", "mmap", "NULL, 1", 0x7FDFC833A000, ""),
        ("1 umask(077)                          = 022", "umask", "077", 0o22, ""),
        ("1 x(1) = 0xffffffffffffffff", "x", "1", None, ""),
        ("1 x(1) = 99999999999999999999999", "x", "1", None, ""),
        ("1 lseek(3, 0, SEEK_SET) = -1 EBADF (Bad file descriptor)", "lseek", "3, 0, SEEK_SET", -1, "EBADF"),
        ("1 f() = -1 (errno 530)", "f", "", -1, "errno 530"),
        ("1 pause() = ? ERESTARTNOHAND (To be restarted if no handler) <1.5>", "pause", "", None, "ERESTARTNOHAND"),
        ("1 exit_group(0)    = ?", "exit_group", "0", None, ""),
        ('1 open("a", 0) = 3</tmp/b) = 4> <0.000001>', "open", '"a", 0', 3, ""),
        ("1 poll([], 0, 5) = 0 (Timeout) <0.000001>", "poll", "[], 0, 5", 0, ""),
        ("1 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)", "fcntl", "3, F_GETFL", 2, ""),
        ("1 f(1) = 0 (INJECTED)", "f", "1", 0, ""),
        ("1 wait4(5<sh>, NULL, 0, NULL) = 5<sh>", "wait4", "5<sh>, NULL, 0, NULL", 5, ""),
        ("[pid  1] close(3) = 0", "close", "3", 0, ""),
        ("close(3) = 0\r", "close", "3", 0, ""),
        ("1 ????( <detached ...>", "????", "", None, ""),
    ],
)
def test_a_line(line: str, syscall: str, args: str, result: int | None, error: str) -> None:
    call = one(line)
    assert (call["syscall"], call["args"].strip(), call["error"]) == (syscall, args, error)
    assert (None if call["result"] is pd.NA else call["result"]) == result


def test_the_metric_of_calls_says_that_it_has_those_that_did_not_return() -> None:
    profile = parse('1 read(3, "", 5) = 0\n1 exit_group(0) = ?\n')
    assert profile.total("calls") == 2
    assert "did not return" in profile.metric("calls").description


def test_an_interrupted_call_is_put_together() -> None:
    profile = parse(
        "7 10:00:00.000001 read(3,  <unfinished ...>\n"
        "8 10:00:00.000002 getpid() = 8 <0.000001>\n"
        '7 10:00:00.500001 <... read resumed>"ab", 4) = 2 <0.500000>\n'
    )
    first, second = calls_of(profile).to_dict("records")
    assert (first["args"], first["result"], first["duration_ns"], first["line"]) == ('3, "ab", 4', 2, 500_000_000, 1)
    assert second["pid"] == 8
    assert profile.notes == ()


def test_a_damaged_end_of_an_interrupted_call_is_left_out() -> None:
    crabs = "\U0001f980" * 3
    profile = parse(f'7 read(3,  <unfinished ...>\n7 <... read resumed{crabs}>"ab", 4) = 2\n')
    assert profile.tables["calls"]["args"].tolist() == ["3, "]
    assert any("does not end like one" in note.what for note in profile.notes)


def test_older_versions_have_a_blank_after_resumed() -> None:
    profile = parse('7 read(3,  <unfinished ...>\n7 <... read resumed> "ab", 4) = 2\n')
    assert calls_of(profile)["args"].tolist() == ['3, "ab", 4']


def test_a_restarted_call_has_the_name_of_the_interrupted_one() -> None:
    profile = parse(
        "7 restart_syscall(<... resuming interrupted nanosleep ...> <unfinished ...>\n"
        "8 getpid() = 8\n"
        "7 <... restart_syscall resumed>) = 0\n"
        "7 restart_syscall(<... resuming interrupted futex ...>) = 0\n"
    )
    calls = calls_of(profile)
    assert calls["syscall"].tolist() == ["nanosleep", "getpid", "futex"]
    assert calls["restarted"].tolist() == [True, False, True]
    assert calls["judged"].tolist() == ["waiting", "working", "waiting"]


def test_a_call_that_is_restarted_again_keeps_its_name() -> None:
    profile = parse(
        "7 restart_syscall(<... resuming interrupted clock_nanosleep ...> <unfinished ...>\n"
        "7 <... restart_syscall resumed>) = ? ERESTART_RESTARTBLOCK (Interrupted by signal) <3.3>\n"
        "8 restart_syscall(<... resuming interrupted restart_syscall ...> <unfinished ...>\n"
        "7 restart_syscall(<... resuming interrupted restart_syscall ...> <unfinished ...>\n"
        "7 <... restart_syscall resumed>) = ? ERESTART_RESTARTBLOCK (Interrupted by signal) <3.3>\n"
        "8 <... restart_syscall resumed>) = 0 <3.3>\n"
    )
    calls = calls_of(profile)
    assert calls["syscall"].tolist() == ["clock_nanosleep", "restart_syscall", "clock_nanosleep"]
    assert (calls["judged"] == "waiting").all()
    assert not calls["open"].any()


def test_what_has_no_other_half_is_kept_and_noted() -> None:
    profile = parse(
        '7 10:00:01.000000 <... read resumed>"", 4) = 0 <0.250000>\n'
        "7 10:00:02.000000 write(1,  <unfinished ...>\n"
        "7 10:00:03.000000 getpid() = 7 <0.000001>\n"
        "7 10:00:04.000000 futex(0x1, FUTEX_WAIT, 0, NULL <unfinished ...>\n"
        "8 10:00:09.000000 getpid() = 8 <0.000001>\n"
    )
    calls = calls_of(profile)
    assert calls["syscall"].tolist() == ["read", "write", "getpid", "futex", "getpid"]
    assert calls["open"].tolist() == [False, True, False, True, False]
    assert calls["start_ns"].iloc[0] == 36_000_750_000_000
    weights = {note.what: note.weight for note in profile.notes}
    assert weights["a call has no end in the log; at least this much of its time is not counted"] == 12e9
    assert len(weights) == 3


def test_an_execve_by_a_thread_ends_under_the_leader() -> None:
    profile = parse(
        "7 futex(0x1, FUTEX_WAIT, 0, NULL <unfinished ...>\n"
        '9 execve("/bin/true", ["true"], 0x1 <pid changed to 7 ...>\n'
        "7 +++ superseded by execve in pid 9 +++\n"
        "7 <... execve resumed>) = 0\n"
        "7 +++ exited with 0 +++\n"
    )
    calls = calls_of(profile)
    assert calls[["syscall", "pid", "open"]].to_dict("list") == {
        "syscall": ["futex", "execve"],
        "pid": [7, 7],
        "open": [True, False],
    }
    assert profile.tables["threads"][["pid", "name", "exit"]].iloc[0].tolist() == [7, "true", "exited with 0"]


def test_midnight_is_a_jump_back_of_half_a_day() -> None:
    profile = parse(
        "7 23:59:59.999999 getpid() = 7 <0.000001>\n"
        "7 00:00:00.000001 getpid() = 7 <0.000001>\n"
        "8 23:59:59.999998 getpid() = 7 <0.000001>\n"
        "7 00:00:00.000002 +++ exited with 0 +++\n",
        date="2026-01-31",
    )
    assert profile.meta["clock"] == "1970-01-01 UTC"
    start = pd.to_datetime(calls_of(profile)["start_ns"].astype("int64")).astype("str").tolist()
    assert start == ["2026-01-31 23:59:59.999999", "2026-02-01 00:00:00.000001", "2026-01-31 23:59:59.999998"]


def test_a_zone_is_taken_off() -> None:
    profile = parse("7 02:00:00.000000 getpid() = 7 <0.000001>\n", date="1970-01-01", utc_offset_s=3600)
    assert calls_of(profile)["start_ns"].tolist() == [3_600_000_000_000]
    with pytest.raises(ReadError, match="YYYY-MM-DD"):
        parse("7 getpid() = 7\n", date="yesterday")


def test_names_and_makers_of_threads() -> None:
    profile = parse(
        '7 execve("/usr/bin/indexer-service-rs", ["x"], 0x1) = 0\n'
        "7 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x1} => {parent_tid=[8]}, 88) = 8\n"
        '8 prctl(PR_SET_NAME, "tokio-runtime-w"...) = 0\n'
        "8 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[9]}, 88) = 9\n"
        "9 getpid() = 7\n"
        "7 vfork() = 10\n"
        "10 getpid() = 10\n"
        "10 +++ killed by SIGKILL (core dumped) +++\n"
    )
    threads = profile.tables["threads"].set_index("pid")
    assert threads["name"].to_dict() == {
        7: "indexer-service",
        8: "tokio-runtime-w",
        9: "tokio-runtime-w",
        10: "indexer-service",
    }
    assert threads["process"].to_dict() == {7: 7, 8: 7, 9: 7, 10: 10}
    assert threads.loc[10, "exit"] == "killed by SIGKILL (core dumped)"


def test_a_torn_call_is_put_together_and_said() -> None:
    profile = parse(
        "clone(child_stack=NULL, flags=SIGCHLDstrace: Process 12 attached\n"
        ", child_tidptr=0x1) = 12\n"
        "hello, world\n"
        'write(1, "hi\\n", 3hi\n'
        ") = 3\n"
        "[pid 12] getpid() = 12\n"
    )
    calls = calls_of(profile)
    assert calls["syscall"].tolist() == ["clone", "write", "getpid"]
    assert calls["args"].iloc[0] == "child_stack=NULL, flags=SIGCHLD, child_tidptr=0x1"
    assert [(note.count, note.where) for note in profile.notes[:2]] == [(2, "log:1"), (1, "log:3")]


def test_an_unknown_byte_is_shown_and_noted() -> None:
    profile = strace.read(Source(b'1 open("\xff", 0) = 3\n1 open("\xc3\xa4", 0) = 3\n', "log"))
    assert calls_of(profile)["args"].tolist() == ['"\\xff", 0', '"ä", 0']
    assert profile.notes[0].where == "log:1"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello\nworld\n", "no system call"),
        (b"\0" * 100, "no system call"),
        (b"% time     seconds  usecs/call     calls    errors syscall\n------ ---\n", "has no rows"),
        (b"".join(b"1 %d.0 f() = 0\n" % 90_000_000 for _ in range(200)), "sum of the time stamps"),
        (b"".join(b"1 f() = 0 <9000000000.0>\n" for _ in range(3)), "sum of the times in calls"),
        (b"".join(b"1 %02d:00:00 f() = 0\n" % ((23 + 11 * n) % 24) for n in range(100_000)), "jump back and forth"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        strace.read(Source(data, "log"))


@pytest.mark.slow
def test_a_log_cut_anywhere_gives_the_calls_before_the_cut() -> None:
    data = (
        b"7     10:00:00.000000 read(3,  <unfinished ...>\n"
        b'8     10:00:00.000002 open("/a) = 1 <0.1>", 0) = -1 ENOENT (No such file) <0.000012>\n'
        b'7     10:00:00.500001 <... read resumed>"ab", 4) = 12 <0.500000>\n'
        b"8     10:00:00.600000 exit_group(0) = ?\n"
        b"8     10:00:00.700000 +++ exited with 10 +++\n"
    )
    whole = calls_of(strace.read(Source(data, "log")))
    first_line = data.index(b"\n") + 1
    for size in range(first_line, len(data)):
        cut = calls_of(strace.read(Source(data[:size], "log")))
        ended = cut[~cut["open"]]
        wanted = whole[whole["line"].isin(ended["line"])]
        for column in ("syscall", "result", "duration_ns", "args", "error"):
            assert ended[column].astype("str").tolist() == wanted[column].astype("str").tolist(), data[:size]
        assert len(ended) >= data[first_line:size].count(b"\n") - (data[:size].count(b"\n") > 4)
        assert cut["syscall"].iloc[0] == "read"


def test_recognised_by_content_only() -> None:
    assert strace.recognise(Source(DEMO.read_bytes(), "x"))
    assert strace.recognise(Source(b"a;b;c 12\nmain;read(3) 4\n", "x")) is None
    assert strace.recognise(Source(b"# callgrind format\nversion: 1\nfn=(1) read(int)\n12 = 3\n", "x")) is None
    assert strace.recognise(Source(bytes(range(256)) * 50, "x")) is None


# generated logs


@dataclass(frozen=True)
class Call:
    pid: int
    name: str
    args: str
    result: str
    error: str
    duration_us: int
    split: bool


TEXT = st.text(st.sampled_from(' abc(){}=<>,"\\_0123456789?'), max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
CALL = st.builds(
    Call,
    pid=st.integers(1, 4).map(lambda number: number * 1111),
    name=st.sampled_from(["read", "write", "openat", "futex", "_llseek", "epoll_wait", "syscall_0x1b"]),
    args=st.lists(st.one_of(TEXT, st.integers(0, 999).map(str)), max_size=3).map(", ".join),
    result=st.integers(-1, 2**62).map(str),
    error=st.sampled_from(["", "", "EAGAIN", "E2BIG"]),
    duration_us=st.integers(0, 10**9),
    split=st.booleans(),
)


def written(calls: list[Call]) -> Iterator[str]:
    """The calls as strace writes them: a split call ends when its thread makes the next one."""
    open_calls: dict[int, Call] = {}
    for number, call in enumerate(calls):
        if call.pid in open_calls:
            yield ending(open_calls.pop(call.pid), number)
        stamp = f"{call.pid:<5} 12:00:00.{number:06}"
        if call.split:
            yield f"{stamp} {call.name}({call.args} <unfinished ...>"
            open_calls[call.pid] = call
        else:
            yield f"{stamp} {call.name}({call.args}) = {result(call)}"
    for call in open_calls.values():
        yield ending(call, len(calls))


def ending(call: Call, number: int) -> str:
    return f"{call.pid:<5} 12:00:00.{number:06} <... {call.name} resumed>)       = {result(call)}"


def result(call: Call) -> str:
    seconds, micros = divmod(call.duration_us, 10**6)
    text = f"-1 {call.error} (Some (odd) text)" if call.error else call.result
    return f"{text} <{seconds}.{micros:06}>"


@settings(max_examples=80, deadline=None)
@given(st.lists(CALL, min_size=1, max_size=30))
def test_a_generated_log_reads_as_what_it_was_made_from(calls: list[Call]) -> None:
    profile = parse("".join(f"{line}\n" for line in written(calls)))
    table = calls_of(profile)
    assert table["pid"].tolist() == [call.pid for call in calls]
    assert table["syscall"].tolist() == [call.name for call in calls]
    assert table["args"].tolist() == [call.args for call in calls]
    assert table["result"].tolist() == [-1 if call.error else int(call.result) for call in calls]
    assert table["error"].tolist() == [call.error for call in calls]
    assert table["duration_ns"].tolist() == [call.duration_us * 1000 for call in calls]
    assert profile.total("time") == sum(call.duration_us * 1000 for call in calls)
    assert profile.notes == ()


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_profile(DEMO, format="strace")
    monkeypatch.setattr(strace_log, "blocks", lambda data: strace_lines.blocks(data, 700))
    small = read_profile(DEMO, format="strace")
    for name in ("calls", "threads", "signals"):
        pd.testing.assert_frame_equal(whole.tables[name], small.tables[name])
    assert whole.notes == small.notes


@pytest.mark.parametrize(
    "tail",
    [
        b" > " + b"(" * 300_000 + b"\n",
        b"1 execve(" + b'\\"' * 150_000 + b") = 0\n",
        b"1 f(" + b") = 1" * 60_000 + b">\n1 f(",
        b"1 f() = " + b"9" * 300_000 + b"\n",
        b"1 f(" + b" " * 300_000 + b"= 1\n",
    ],
    ids=["brackets", "quotes", "results", "digits", "blanks"],
)
@pytest.mark.timeout(60)
def test_damage_costs_no_more_than_its_length(tail: bytes) -> None:
    # each of these once took time by the square of its length: minutes
    assert len(calls_of(strace.read(Source(b"1 g() = 0\n" + tail, "log")))) >= 1
