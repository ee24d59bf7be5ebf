"""Is there a system-call bottleneck? Answered in words from the log."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from workbench.profiles.views.syscalls import call_table, errors, has_all_calls, process_tree, slowest, thread_table
from workbench.report.answers.words import sentence
from workbench.report.display import View, table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import plotly.graph_objects as go

    from workbench.profiles.model import Profile

# Below this share of its life in working calls a thread is not held back by them.
IDLE_PCT = 20.0
# Longer calls than this are not made long by strace's stops, which take some 50 µs each.
LONG_NS = 200_000
# An error that a service meets in its ordinary course: nothing to read yet, interrupted, restarted.
ORDINARY = frozenset(("EAGAIN", "EINPROGRESS", "EINTR", "ERESTARTSYS", "ERESTARTNOINTR", "ERESTART_RESTARTBLOCK"))
_NO_LOG = "This is a table of sums (strace -c), without single calls. Write a log with strace -f -tt -T -o FILE."
_LEAST_ERRORS = 10
_MOST_FAILED_PCT = 5.0


def answer(profile: Profile) -> View:
    """The answer, and what it rests on: where the time in calls goes, which thread is busiest, what fails.

    The rule looks at the thread with the largest share of its life in working calls. Below IDLE_PCT the calls do not
    hold the service back, whatever they wait for. Above, they do if calls longer than LONG_NS make up that much by
    themselves; if not, strace's own stops may be most of it, and the log cannot tell.
    """
    if not _is_log(profile):
        return _of_table(profile)
    if profile.tables["calls"].empty or not call_table(profile)["calls"].sum():
        return _view("That cannot be said: no call of the log returned.", _open(thread_table(profile)))
    if not profile.meta["timed"]:
        return _view(
            "That cannot be said: the log has no times of calls.",
            ["Write it with strace -f -tt -T -o FILE.", *_frequency(call_table(profile))],
        )
    lives = thread_table(profile)
    sentences = [_times(lives), *_calls(profile), *_open(lives), *_errors(errors(profile))]
    busiest = _busiest(lives)
    if busiest is None:
        verdict = "That cannot be said: the log has no time stamps, so the threads' lives are not known."
    else:
        verdict = _verdict(profile, busiest)
    if not has_all_calls(profile):
        chosen = len(profile.tables["calls"])
        sentences.insert(0, f"This speaks of {chosen:,} calls chosen from {profile.meta['calls']:,} in the log.")
    sentences.append(
        "Times include strace's own stops, which make short calls look long: compare shapes, not absolutes."
    )
    return _view(verdict, sentences)


def threads_chart(profile: Profile) -> go.Figure | View:
    """Time by thread; in words where the file is a table of sums, as with all that follows."""
    from workbench.charts.syscalls import thread_time

    return thread_time(profile) if _is_log(profile) else sentence(_NO_LOG)


def latency_chart(profile: Profile, syscall: str | None = None) -> go.Figure | View:
    """How long calls took."""
    from workbench.charts.syscalls import syscall_latency

    return syscall_latency(profile, syscall) if _is_log(profile) else sentence(_NO_LOG)


def threads(profile: Profile, rows: int | None = None) -> View:
    """The threads with their times."""
    return _of_log(profile, thread_table, rows)


def tree(profile: Profile, rows: int | None = None) -> View:
    """Which process started which."""
    return _of_log(profile, process_tree, rows)


def slowest_working(profile: Profile, rows: int) -> View:
    """The slowest calls that do not wait."""
    return _of_log(profile, lambda log: slowest(log, rows, waiting=False))


def failures(profile: Profile, rows: int | None = None) -> View:
    """Which calls failed, and with what."""
    return _of_log(profile, errors, rows)


def _of_log(profile: Profile, view: Callable[[Profile], pd.DataFrame], rows: int | None = None) -> View:
    return table(view(profile), rows) if _is_log(profile) else sentence(_NO_LOG)


def _is_log(profile: Profile) -> bool:
    return "calls" in profile.tables


def _verdict(profile: Profile, thread: pd.Series) -> str:
    calls = profile.tables["calls"]
    own = calls[(calls["pid"] == thread["pid"]) & ~calls["waiting"]]
    long_ns = int(own.loc[own["duration_ns"].fillna(0) >= LONG_NS, "duration_ns"].sum())
    long_pct = 100.0 * long_ns / int(thread["lifetime_ns"])
    share = (
        f"{thread['thread']} ({thread['pid']}), spent {thread['share_pct']:.0f} % of its life in working system calls"
    )
    if thread["share_pct"] < IDLE_PCT:
        return f"No: the busiest thread, {share}, less than {IDLE_PCT:.0f} %."
    if long_pct >= IDLE_PCT:
        return f"Yes: the busiest thread, {share}, {long_pct:.0f} % in calls longer than {LONG_NS / 1e6} ms."
    return (
        f"Perhaps: the busiest thread, {share}, but only {long_pct:.0f} % in calls longer than {LONG_NS / 1e6} ms. "
        "Of short calls strace's own stops are the larger part: what counts is how many there are."
    )


def _of_table(profile: Profile) -> View:
    sums = call_table(profile)
    return _view(
        "That cannot be said from a table of sums: it has no threads and no waiting.",
        [_largest(sums), "Write a log with strace -f -tt -T -o FILE.", *_frequency(sums)],
    )


def _busiest(threads: pd.DataFrame) -> pd.Series | None:
    """The thread with the largest share of its life in working calls, among those that hold most of such time."""
    known = threads[(threads["lifetime_ns"].fillna(0) > 0) & threads["working_ns"].notna()]
    # a process that only starts another lives for milliseconds and is all system calls: it holds nobody back
    known = known[known["lifetime_ns"] * 10 >= known["lifetime_ns"].max()]
    if known.empty:
        return None
    share = 100.0 * known["working_ns"].astype(float) / known["lifetime_ns"].astype(float)
    return known.assign(share_pct=share).loc[share.idxmax()]


def _times(threads: pd.DataFrame) -> str:
    working, waiting = int(threads["working_ns"].sum()), int(threads["waiting_ns"].sum())
    whole = working + waiting
    if not whole:
        return "No time was spent in system calls."
    return (
        f"{_count(len(threads), 'thread')} spent {whole / 1e9:,.3f} s in system calls: "
        f"{100 * waiting / whole:.1f} % waiting for something else, {100 * working / whole:.1f} % "
        f"({working / 1e9:,.3f} s) working."
    )


def _calls(profile: Profile) -> list[str]:
    table = call_table(profile)
    table = table.assign(working_ns=table["time_ns"] - table["waiting_ns"])
    whole = int(table["working_ns"].sum())
    if not whole:
        return _frequency(table)
    row = table.loc[table["working_ns"].idxmax()]
    most = (
        f"Of the working time, {row['syscall']} has the most: {100 * row['working_ns'] / whole:.0f} % in "
        f"{_count(int(row['calls']), 'call')} (median {row['p50_ns'] / 1e3:,.0f} µs, "
        f"longest {row['max_ns'] / 1e6:,.3f} ms)."
    )
    return [most, *_frequency(table)]


def _largest(table: pd.DataFrame) -> str:
    row = table.iloc[0]
    if not row["time_ns"]:
        return "The table holds no time: the calls took less than strace counts."
    return f"{row['syscall']} has the most time: {row['time_pct']:.0f} % in {_count(int(row['calls']), 'call')}."


def _frequency(table: pd.DataFrame) -> list[str]:
    whole = int(table["calls"].sum())
    if not whole:
        return ["No call returned."]
    row = table.loc[table["calls"].idxmax()]
    return [f"{row['syscall']} is called most often: {int(row['calls']):,} of {_count(whole, 'call')}."]


def _open(threads: pd.DataFrame) -> list[str]:
    still = threads[threads["open_ns"] > 0]
    return (
        [
            f"{_count(len(still), 'thread')} had a call open when the log ended; its time, at least "
            f"{int(still['open_ns'].sum()) / 1e9:,.3f} s, is in no sum."
        ]
        if len(still)
        else []
    )


def _errors(table: pd.DataFrame) -> list[str]:
    odd = table[
        ~table["error"].isin(ORDINARY) & (table["calls"] >= _LEAST_ERRORS) & (table["share_pct"] >= _MOST_FAILED_PCT)
    ]
    if odd.empty:
        return ["No call fails often."]
    return [
        f"{row.syscall} failed {row.calls:,} times with {row.error} ({row.share_pct:.0f} % of its calls)."
        for row in odd.head(3).itertuples()
    ]


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _view(verdict: str, sentences: list[str]) -> View:
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return View(
        f'<div class="answer"><p><strong>{html.escape(verdict)}</strong></p>{said}</div>',
        "\n".join([verdict, *sentences]),
    )
