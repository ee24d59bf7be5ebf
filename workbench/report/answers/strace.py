"""Is there a system-call bottleneck? Answered in words from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.markup import markup
from workbench.numbers import counted
from workbench.profiles.readers.strace.waiting import JUDGEMENTS, UNTOLD, WORKING
from workbench.profiles.views.syscalls import (
    call_table,
    errors,
    has_all_calls,
    is_judged,
    process_tree,
    slowest,
    thread_table,
)
from workbench.report.tables import table
from workbench.report.view import View, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import plotly.graph_objects as go

    from workbench.profiles.model import Profile

# A thread with less than this share of its lifetime in working calls is not held back by them.
IDLE_PCT = 20.0
# strace's stops take about 50 µs each, so they do not explain calls longer than this.
LONG_NS = 200_000
# Errors of normal operation: nothing to read yet, interrupted, restarted.
ORDINARY = frozenset(("EAGAIN", "EINPROGRESS", "EINTR", "ERESTARTSYS", "ERESTARTNOINTR", "ERESTART_RESTARTBLOCK"))
_NO_LOG = "This is a table of sums (strace -c), without single calls. Write a log with strace -f -tt -T -o FILE."
_LEAST_ERRORS = 10
_MOST_FAILED_PCT = 5.0


def answer(profile: Profile) -> View:
    """The answer and its grounds: where the time in calls goes, which thread is busiest, which calls fail.

    The rule looks at the thread with the largest share of its lifetime in working calls. Below IDLE_PCT, the calls do
    not hold the service back. Above it, they do if calls longer than LONG_NS alone make up that share; if they do not,
    most of it may be strace's own stops, and the log cannot tell. The rule is applied again with all undecided calls
    (they may have waited or worked) counted as working: if the answer then differs, it is "not known".
    """
    if not _is_log(profile):
        return _of_table(profile)
    if not profile.tables["calls"]["returned"].any():
        return _view("Not known: no call in the log returned.", _open(thread_table(profile)))
    if not profile.meta["timed"]:
        return _view(
            "Not known: the log has no times of calls.",
            ["Write it with strace -f -tt -T -o FILE.", *_frequency(call_table(profile))],
        )
    lives = thread_table(profile)
    sentences = [_times(lives), *_calls(profile), *_open(lives), *_errors(errors(profile))]
    verdict = _verdict(profile, lives)
    sentences += _undecided(profile)
    if not has_all_calls(profile):
        chosen = len(profile.tables["calls"])
        sentences.insert(0, f"This covers {chosen:,} selected calls of {profile.meta['calls']:,} in the log.")
    sentences.append(
        "Times include strace's own stops, which make short calls look long: compare proportions, not absolute times."
    )
    return _view(verdict, sentences)


def threads_chart(profile: Profile) -> go.Figure | View:
    """Time by thread. Here and in the functions below: a sentence if the file is a table of sums."""
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
    """The slowest calls that work."""
    return _of_log(profile, lambda log: slowest(log, rows, JUDGEMENTS[WORKING]))


def failures(profile: Profile, rows: int | None = None) -> View:
    """Which calls failed, and with what."""
    return _of_log(profile, errors, rows)


def _of_log(profile: Profile, view: Callable[[Profile], pd.DataFrame], rows: int | None = None) -> View:
    return table(view(profile), rows) if _is_log(profile) else sentence(_NO_LOG)


def _is_log(profile: Profile) -> bool:
    return "calls" in profile.tables


_YES, _PERHAPS, _NO = "Yes", "Perhaps", "No"
_HOW_TO_TELL = (
    "Trace the service from its start, with strace -f -tt -T -yy: then the log shows which descriptors are sockets and "
    "pipes, and which of them block."
)


def _verdict(profile: Profile, lives: pd.DataFrame) -> str:
    """The answer in one sentence; "not known" if the undecided calls could change it."""
    least, most = _busiest(lives, ["working_ns"]), _busiest(lives, ["working_ns", "undecided_ns"])
    if least is None or most is None:
        return "Not known: the log has no time stamps, so the threads' lives are not known."
    at_least, sentence = _judged(profile, least, (WORKING,), "in working system calls")
    at_most, _ = _judged(profile, most, (WORKING, UNTOLD), "in calls that work or may work")
    if at_least == at_most:
        return sentence
    return (
        f"Not known: {most['thread']} ({most['pid']}) spent {_share(most, 'undecided_ns'):.0f} % of its life "
        f"in calls that may have worked or waited, which the log does not show; the answer is {at_least} "
        f"if they waited and {at_most} if they worked."
    )


def _judged(profile: Profile, thread: pd.Series, judgements: tuple[int, ...], where: str) -> tuple[str, str]:
    """Yes, Perhaps or No, and the sentence that says so, with calls of these judgements counted as working."""
    calls = profile.tables["calls"]
    own = calls[calls["pid"] == thread["pid"]]
    chosen = own[sum(is_judged(own, judgement) for judgement in judgements) > 0]
    long_ns = int(chosen.loc[chosen["duration_ns"].fillna(0) >= LONG_NS, "duration_ns"].sum())
    long_pct = 100.0 * long_ns / int(thread["lifetime_ns"])
    share = f"{thread['thread']} ({thread['pid']}), spent {thread['share_pct']:.0f} % of its life {where}"
    if thread["share_pct"] < IDLE_PCT:
        return _NO, f"No: the busiest thread, {share}, less than {IDLE_PCT:.0f} %."
    if long_pct >= IDLE_PCT:
        return _YES, f"Yes: the busiest thread, {share}, {long_pct:.0f} % in calls longer than {LONG_NS / 1e6} ms."
    return _PERHAPS, (
        f"Perhaps: the busiest thread, {share}, but only {long_pct:.0f} % in calls longer than {LONG_NS / 1e6} ms. "
        "The time of short calls is mostly strace's own stops: judge them by their number."
    )


def _share(thread: pd.Series, column: str) -> float:
    return 100.0 * float(thread[column]) / float(thread["lifetime_ns"])


def _undecided(profile: Profile) -> list[str]:
    """Which calls may have waited or worked, why that is not known, and how to find out."""
    calls = profile.tables["calls"]
    chosen = calls[is_judged(calls, UNTOLD)]
    spent = chosen.assign(time_ns=chosen["duration_ns"].fillna(0)).groupby(["syscall", "why"], observed=True)["time_ns"]
    times = spent.sum().sort_values(ascending=False)
    whole = int(times.sum())
    if 100 * whole < int(calls["duration_ns"].fillna(0).sum()):
        return []  # less than a hundredth
    (name, why), most = times.index[0], int(times.iloc[0])
    return [
        f"For calls that took {whole / 1e9:,.3f} s the log does not show whether they worked or waited. "
        "Most of that is "
        f"{name} ({most / 1e9:,.3f} s): {why}.",
        _HOW_TO_TELL,
    ]


def _of_table(profile: Profile) -> View:
    sums = call_table(profile)
    return _view(
        "Not known from a table of sums: it has no threads and no waiting.",
        [_largest(sums), "Write a log with strace -f -tt -T -o FILE.", *_frequency(sums)],
    )


def _busiest(threads: pd.DataFrame, columns: list[str]) -> pd.Series | None:
    """The thread with the largest share of its lifetime in these columns; short-lived threads are left out."""
    known = threads[(threads["lifetime_ns"].fillna(0) > 0) & threads["working_ns"].notna()]
    # a process that only starts another lives for milliseconds, nearly all in system calls, and delays nothing
    known = known[known["lifetime_ns"] * 10 >= known["lifetime_ns"].max()]
    if known.empty:
        return None
    share = 100.0 * known[columns].astype(float).sum(axis=1) / known["lifetime_ns"].astype(float)
    return known.assign(share_pct=share).loc[share.idxmax()]


def _times(threads: pd.DataFrame) -> str:
    working, waiting, undecided = (int(threads[name].sum()) for name in ("working_ns", "waiting_ns", "undecided_ns"))
    whole = working + waiting + undecided
    if not whole:
        return "No time was spent in system calls."
    rest = f", {100 * undecided / whole:.1f} % ({undecided / 1e9:,.3f} s) is not known" if undecided else ""
    return (
        f"{counted(len(threads), 'thread')} spent {whole / 1e9:,.3f} s in system calls: "
        f"{100 * waiting / whole:.1f} % waiting for something else, {100 * working / whole:.1f} % "
        f"({working / 1e9:,.3f} s) working{rest}."
    )


def _calls(profile: Profile) -> list[str]:
    table = call_table(profile)
    table = table.assign(working_ns=table["time_ns"] - table["waiting_ns"] - table["undecided_ns"])
    whole = int(table["working_ns"].sum())
    if not whole:
        return _frequency(table)
    row = table.loc[table["working_ns"].idxmax()]
    most = (
        f"{row['syscall']} has the largest share of the working time: {100 * row['working_ns'] / whole:.0f} % in "
        f"{counted(int(row['calls']), 'call')} (median {row['p50_ns'] / 1e3:,.0f} µs, "
        f"longest {row['max_ns'] / 1e6:,.3f} ms)."
    )
    return [most, *_frequency(table)]


def _largest(table: pd.DataFrame) -> str:
    row = table.iloc[0]
    if not row["time_ns"]:
        return "The table has no times: the calls were shorter than strace counts, or it was written without times."
    calls = f" in {counted(int(row['calls']), 'call')}" if table["calls"].notna().all() else ""
    return f"{row['syscall']} has the most time: {row['time_pct']:.0f} %{calls}."


def _frequency(table: pd.DataFrame) -> list[str]:
    if table["calls"].isna().any():
        return ["The table does not say how often each was called."]
    whole = int(table["calls"].sum())
    if not whole:
        return ["No call returned."]
    row = table.loc[table["calls"].idxmax()]
    return [f"{row['syscall']} is called most often: {int(row['calls']):,} of {counted(whole, 'call')}."]


def _open(threads: pd.DataFrame) -> list[str]:
    still = threads[threads["open_ns"] > 0]
    return (
        [
            f"{counted(len(still), 'thread')} had an unfinished call when the log ended; its time, at least "
            f"{int(still['open_ns'].sum()) / 1e9:,.3f} s, is not in any sum."
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


def _view(verdict: str, sentences: list[str]) -> View:
    return View(markup("report/answer", verdict=verdict, sentences=sentences), "\n".join([verdict, *sentences]))
