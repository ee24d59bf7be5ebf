"""Views of a system call log: calls, times, threads and errors.

Times are wall clock nanoseconds in the call, including strace's own overhead. **Waiting** calls wait for something else
to happen (another thread, a peer, a clock); **working** calls do their work. If the log does not show which, they are
**undecided**. The table in ``readers/strace/waiting.py`` has the rule and reason for each call. Only calls that
**returned** are counted as calls, as in strace -c: not exit, and not calls still open at the end of the log.
Percentiles are over calls with a time (nearest rank, so each is a measured time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_
from workbench.profiles.model import Profile
from workbench.profiles.notes import Note
from workbench.profiles.readers.strace.timeline import lane_labels, timeline_table
from workbench.profiles.readers.strace.tree import costs
from workbench.profiles.readers.strace.waiting import JUDGEMENTS, UNTOLD, WAITING, WORKING
from workbench.profiles.table import Deferred, Table
from workbench.profiles.transforms.stacks import used_frames, with_tree
from workbench.profiles.tree import regrow, subtree_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PERCENTILES = (50, 90, 99)
ARGS_SHOWN = 100
_SPENT = ("working_ns", "waiting_ns", "undecided_ns")
_TIMES = ("time_ns", "waiting_ns", "undecided_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns")


def call_table(profile: Profile, by_thread: bool = False) -> pd.DataFrame:
    """One row per system call (with ``by_thread`` per thread and system call), the longest time first.

    Columns: (pid, thread,) syscall, calls, errors, unreturned, time_ns, time_pct, waiting_ns, undecided_ns, mean_ns,
    p50_ns, p90_ns, p99_ns, max_ns, why (the reason for the judgement of most of its time). Calls and errors are those
    of ``strace -c``, except that the continuation of an interrupted call counts for that call and not for
    ``restart_syscall``. For a profile of ``strace -c`` itself only calls, errors, time and mean are known.

    Raises WorkbenchError for a profile of another format, or by thread if the log is only a table.
    """
    if "calls" not in profile.tables and not by_thread:
        return _of_summary(profile)
    calls = calls_of(profile)
    keys = ["pid", "syscall"] if by_thread else ["syscall"]
    rows = pd.DataFrame(
        {
            **{key: calls[key] for key in keys},
            "calls": calls["returned"].astype(np.int64),
            "errors": (calls["error"] != "").astype(np.int64),
            "unreturned": (~calls["returned"]).astype(np.int64),
            "time_ns": calls["duration_ns"].fillna(0).astype(np.int64),
        }
    )
    for column, judgement in (("waiting_ns", WAITING), ("undecided_ns", UNTOLD)):
        rows[column] = rows["time_ns"].where(is_judged(calls, judgement), 0)
    grouped = rows.groupby(keys, observed=True, sort=False)
    table = grouped.sum().join([_percentiles(calls, keys), _reasons(rows, calls["why"], keys)]).reset_index()
    table = table.astype(dict.fromkeys(_TIMES[3:], "Int64"))
    table["syscall"] = table["syscall"].astype("str")
    table["time_pct"] = _percent(table["time_ns"], table["time_ns"].sum())
    if by_thread:
        table["thread"] = _thread_names(profile, table["pid"].to_numpy())
    columns = [*(["pid", "thread"] if by_thread else []), "syscall", "calls", "errors", "unreturned"]
    columns += ["time_ns", "time_pct", *_TIMES[1:], "why"]
    table = table.sort_values(["time_ns", "calls"], ascending=False, kind="stable", ignore_index=True)
    return table[columns]


def thread_table(profile: Profile) -> pd.DataFrame:
    """One row per thread or process, in order of appearance.

    Columns: pid, thread, kind, process, parent_pid, calls, errors, working_ns, waiting_ns, undecided_ns (of calls for
    which the log does not show whether they worked or waited), open_ns (of a call still running at the end of the log,
    a lower bound), lifetime_ns (from its first line to its exit, or to the log's end), outside_ns (of that, not in a
    call: running, or ready to run; <NA> if only some calls of the log were chosen), exit. Times are <NA> if the log has
    none.
    """
    calls = calls_of(profile)
    tasks = profile.tables["threads"]
    row = rows_of(tasks, calls["pid"].to_numpy())
    duration = calls["duration_ns"].fillna(0).to_numpy(dtype=np.int64)
    judged = [is_judged(calls, judgement) for judgement in (WORKING, WAITING, UNTOLD)]
    table = pd.DataFrame(
        {
            "pid": tasks["pid"],
            "thread": labels(tasks),
            "kind": tasks["kind"].astype("str"),
            "process": tasks["process"],
            "parent_pid": tasks["parent_pid"],
            "calls": _sum_at(row, calls["returned"].to_numpy(dtype=np.int64), len(tasks)),
            "errors": _sum_at(row, (calls["error"] != "").to_numpy(dtype=np.int64), len(tasks)),
            **{
                name: pd.array(_sum_at(row, np.where(chosen, duration, 0), len(tasks)), dtype="Int64")
                for name, chosen in zip(_SPENT, judged, strict=True)
            },
        }
    )
    end = profile.meta["ended_ns"]
    opened = calls["open"].to_numpy() & calls["start_ns"].notna().to_numpy()
    began = calls["start_ns"].fillna(0).to_numpy(dtype=np.int64)
    so_far = np.where(opened, np.maximum(0, (end or 0) - began), 0)
    table["open_ns"] = pd.array(_sum_at(row, so_far, len(tasks)), dtype="Int64")
    table["lifetime_ns"] = tasks["ended_ns"].fillna(pd.NA if end is None else end) - tasks["started_ns"]
    spent = table["working_ns"] + table["waiting_ns"] + table["undecided_ns"]
    table["outside_ns"] = (table["lifetime_ns"] - spent - table["open_ns"]).clip(lower=0)
    if not profile.meta["timed"]:
        table[[*_SPENT, "outside_ns"]] = pd.NA
    if not has_all_calls(profile):
        table["outside_ns"] = pd.array([pd.NA] * len(table), dtype="Int64")
    table["exit"] = tasks["exit"]
    return table


def latency_histogram(profile: Profile, syscall: str | None = None) -> pd.DataFrame:
    """The number of calls by time, in doubling buckets: from_ns <= time < to_ns.

    Columns: from_ns, to_ns, working, waiting, undecided (calls), time_ns. The first bucket is 0 to 1 ns; empty buckets
    between others are kept. ``syscall`` limits it to one call. Raises WorkbenchError for a call that is not in the log.
    """
    calls = _chosen(profile, syscall)
    known = calls[calls["duration_ns"].notna()]
    duration = known["duration_ns"].to_numpy(dtype=np.int64)
    bucket = _bit_lengths(duration)
    low, high = (int(bucket.min()), int(bucket.max())) if len(bucket) else (0, -1)
    size = high - low + 1
    edges = [0, *(1 << bit for bit in range(63))]
    return pd.DataFrame(
        {
            "from_ns": np.array(edges[low : high + 1], dtype=np.int64),
            "to_ns": np.array([1 << bit for bit in range(low, high + 1)], dtype=np.uint64),
            **{
                name: _sum_at(bucket - low, is_judged(known, judgement).astype(np.int64), size)
                for name, judgement in (("working", WORKING), ("waiting", WAITING), ("undecided", UNTOLD))
            },
            "time_ns": _sum_at(bucket - low, duration, size),
        }
    )


def errors(profile: Profile) -> pd.DataFrame:
    """One row per system call and error, the most frequent first: syscall, error, meaning, calls, share_pct (of this
    call's calls), time_ns, first_line."""
    calls = calls_of(profile)
    failed = calls[calls["error"] != ""]
    keys = [failed["syscall"].astype("str"), failed["error"].astype("str")]
    grouped = failed.assign(time_ns=failed["duration_ns"].fillna(0)).groupby(keys)
    table = grouped.agg(
        calls=("call_id", "size"), time_ns=("time_ns", "sum"), first_line=("line", "min"), text=("result_text", "first")
    ).reset_index()
    of_call = calls.loc[calls["returned"], "syscall"].astype("str").value_counts()
    table["share_pct"] = 100.0 * table["calls"] / table["syscall"].map(of_call).astype(np.float64)
    meanings = [text.partition("(")[2].removesuffix(")") for text in table["text"]]
    table["meaning"] = pd.Series(meanings, dtype="str")
    table["time_ns"] = table["time_ns"].astype(np.int64)
    table = table.sort_values(["calls", "time_ns"], ascending=False, kind="stable", ignore_index=True)
    return table[["syscall", "error", "meaning", "calls", "share_pct", "time_ns", "first_line"]]


def slowest(profile: Profile, n: int = 20, judged: str | None = None) -> pd.DataFrame:
    """The ``n`` calls that took longest: pid, thread, syscall, duration_ns, result, args (the first ARGS_SHOWN
    characters), start_ns, judged, why, line. ``judged`` limits them to ``working``, ``waiting`` or ``cannot be told``.

    Raises WorkbenchError for another word."""
    calls = calls_of(profile)
    if judged is not None:
        if judged not in JUDGEMENTS:
            raise WorkbenchError(f"no call is judged {judged!r}", where="judged", hint=f"Give {', '.join(JUDGEMENTS)}")
        calls = calls[is_judged(calls, JUDGEMENTS.index(judged))]
    duration = calls["duration_ns"].fillna(-1).to_numpy(dtype=np.int64)
    order = np.argsort(-duration, kind="stable")[: max(0, n)]
    chosen = calls.iloc[order[duration[order] >= 0]].reset_index(drop=True)
    return pd.DataFrame(
        {
            "pid": chosen["pid"],
            "thread": _thread_names(profile, chosen["pid"].to_numpy()),
            "syscall": chosen["syscall"].astype("str"),
            "duration_ns": chosen["duration_ns"],
            "result": chosen["result_text"],
            "args": pd.Series([_shortened(text) for text in chosen["args"]], dtype="str"),
            "start_ns": chosen["start_ns"],
            "judged": chosen["judged"].astype("str"),
            "why": chosen["why"].astype("str"),
            "line": chosen["line"],
        }
    )


def process_tree(profile: Profile) -> pd.DataFrame:
    """The threads as a tree, parents before children.

    Columns: depth, tree (the name, indented by a dot per level), pid, kind, calls, working_ns, waiting_ns,
    undecided_ns, exit.
    """
    table = thread_table(profile)
    known = {pid: row for row, pid in enumerate(table["pid"].tolist())}
    children: dict[int, list[int]] = {}
    for row, parent in enumerate(table["parent_pid"].tolist()):
        above = known.get(parent, -1) if parent is not pd.NA else -1
        children.setdefault(above if above != row else -1, []).append(row)
    order: list[int] = []
    depth: list[int] = []
    seen: set[int] = set()
    # tasks that created each other (reused pids) are below no root: they come last
    for start in (*children.get(-1, []), *range(len(table))):
        stack = [(start, 0)]
        while stack:
            row, level = stack.pop()
            if row in seen:
                continue
            seen.add(row)
            order.append(row)
            depth.append(level)
            stack += [(child, level + 1) for child in reversed(children.get(row, []))]
    result = table.iloc[order].reset_index(drop=True)
    result.insert(0, "depth", np.array(depth, dtype=np.int64))
    names = [f"{'· ' * level}{name}" for level, name in zip(depth, result["thread"], strict=True)]
    result.insert(1, "tree", pd.Series(names, dtype="str"))
    return result[["depth", "tree", "pid", "kind", "calls", *_SPENT, "exit"]]


def between(profile: Profile, start_ns: int, end_ns: int) -> Profile:
    """The profile of the calls that *began* in the window: start_ns <= start < end_ns, on the clock of the log.

    A call counts with its whole time in the window where it began. So the windows of a log add up to the log, in calls
    and time, and percentiles are of measured times. A note gives the time after the window's end, and the time of
    earlier calls inside it.

    Raises WorkbenchError if the log has no time stamps.
    """
    calls = calls_of(profile)
    if profile.meta["clock"] == "none":
        raise WorkbenchError("the log has no time stamps", where=profile.name, hint="Write it with strace -tt")
    start = calls["start_ns"].fillna(np.iinfo(np.int64).min).to_numpy(dtype=np.int64)
    inside = (start >= start_ns) & (start < end_ns)
    known = calls["start_ns"].notna().to_numpy()
    end = start + np.where(known, calls["duration_ns"].fillna(0).to_numpy(dtype=np.int64), 0)
    beyond = int(np.maximum(0, end - end_ns)[inside].sum())
    earlier = known & (start < start_ns)
    reaching = int(np.maximum(0, np.minimum(end, end_ns) - start_ns)[earlier].sum())
    window = select_calls(profile, inside)
    notes = [
        Note(what, metric="time", weight=weight)
        for what, weight in (
            ("time of calls that began in the window and ended after it, counted here", beyond),
            ("time in the window of calls that began before it, not counted here", reaching),
        )
        if weight
    ]
    return window.with_notes(*notes)


def working(profile: Profile) -> Profile:
    """The profile of the calls known to work; a note tells how much time is undecided."""
    calls = calls_of(profile)
    chosen = select_calls(profile, is_judged(calls, WORKING))
    undecided = is_judged(calls, UNTOLD)
    if not undecided.any():
        return chosen
    what = "calls were left out for which the log does not show whether they worked or waited"
    weight = float(calls.loc[undecided, "duration_ns"].fillna(0).sum()) if profile.meta["timed"] else None
    metric = profile.metric_names[0] if profile.meta["timed"] else None
    return chosen.with_notes(Note(what, int(undecided.sum()), metric=metric, weight=weight))


def is_judged(calls: pd.DataFrame, judgement: int) -> NDArray[np.bool_]:
    """Which calls have this judgement: WORKING, WAITING or UNTOLD."""
    return np.asarray(calls["judged"] == JUDGEMENTS[judgement], dtype=bool)


def select_calls(profile: Profile, chosen: NDArray[np.bool_]) -> Profile:
    """The profile of the ``chosen`` calls, with their tree. ``threads`` and ``signals`` stay complete.

    Raises WorkbenchError if the calls have no place in its tree.
    """

    calls, nodes = calls_of(profile), profile.nodes
    timed = bool(profile.meta["timed"])
    parent, frame = nodes["parent_id"].to_numpy(), nodes["frame_id"].to_numpy()
    node = calls["node_id"].to_numpy()
    duration = calls["duration_ns"].fillna(0).to_numpy(dtype=np.int64) if timed else None
    in_place = len(node) == 0 or int(node.max()) < len(parent)
    if not in_place or (costs(len(parent), node, duration)[:, -1] != nodes[self_("calls")].to_numpy()).any():
        raise WorkbenchError(
            "this profile was transformed", where=profile.name, hint="Choose calls first, then transform"
        )
    own = costs(len(parent), node[chosen], None if duration is None else duration[chosen])
    tree = regrow(parent, frame, subtree_sums(parent, own)[:, -1] > 0)
    frames, frame = used_frames(profile.arrays.frames, tree.frame)
    kept = calls[chosen].reset_index(drop=True)
    kept["node_id"] = tree.node_of[node[chosen]]
    grown = with_tree(
        profile,
        costs(len(tree.parent), kept["node_id"].to_numpy(), None if duration is None else duration[chosen]),
        parent=tree.parent,
        frame=frame,
        frames=frames,
        exact=np.ones(len(tree.parent), dtype=bool),
    )
    tables: dict[str, Any] = {"calls": kept}
    if "timeline" in profile.tables:
        tables["timeline"] = Deferred(lambda: _timeline(grown, kept))
    return grown.but(tables=grown.arrays.tables.but(**tables))


def _timeline(profile: Profile, calls: pd.DataFrame) -> Table:
    """The spans of these calls, made as in the reader."""
    tasks, end = profile.tables["threads"], profile.meta["ended_ns"]
    calls = calls[calls["start_ns"].notna() & (calls["open"] | calls["duration_ns"].notna())]
    start = calls["start_ns"].to_numpy(dtype=np.int64)
    until = np.where(calls["open"], end, start + calls["duration_ns"].fillna(0).to_numpy(dtype=np.int64))
    names = lane_labels(labels(tasks).tolist(), tasks["pid"].to_numpy())
    row, node = rows_of(tasks, calls["pid"].to_numpy()), calls["node_id"].to_numpy()
    nodes = profile.nodes
    return timeline_table(row, names, start, until, node, nodes["parent_id"].to_numpy(), nodes["frame_id"].to_numpy())


def has_all_calls(profile: Profile) -> bool:
    """Whether the table of calls has the whole log, not a selection."""
    return len(calls_of(profile)) == int(profile.meta["calls"])


def calls_of(profile: Profile) -> pd.DataFrame:
    """The table of calls. Raises WorkbenchError if the profile has none."""
    if "calls" not in profile.tables:
        raise WorkbenchError(
            "this profile has no single system calls",
            where=profile.name,
            hint="Write a log with strace -f -tt -T, and look at one log at a time",
        )
    return profile.tables["calls"]


def _chosen(profile: Profile, syscall: str | None) -> pd.DataFrame:
    calls = calls_of(profile)
    if syscall is None:
        return calls
    known = calls["syscall"].cat.categories.tolist()
    if syscall not in known:
        raise WorkbenchError(f"there is no call {syscall!r}", where=profile.name, hint=f"It has {', '.join(known)}")
    return calls[calls["syscall"] == syscall]


def _percentiles(calls: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """mean_ns, p50_ns .. and max_ns of the calls with a time, by ``keys``."""
    known = calls.loc[calls["duration_ns"].notna(), [*keys, "duration_ns"]]
    known = known.assign(duration_ns=known["duration_ns"].astype(np.int64))
    grouped = known.groupby(list(keys), observed=True)["duration_ns"]
    table = pd.DataFrame({"mean_ns": grouped.mean().round()})
    # nearest rank from one sort by group and time
    ordered = known.sort_values([*keys, "duration_ns"], kind="stable")["duration_ns"].to_numpy()
    count = grouped.size().to_numpy()
    first = np.cumsum(count) - count
    for percent in PERCENTILES:
        rank = np.maximum(0, np.ceil(count * (percent / 100)).astype(np.int64) - 1)
        table[f"p{percent}_ns"] = ordered[first + rank] if len(count) else np.zeros(0, dtype=np.int64)
    table["max_ns"] = grouped.max()
    return table


def _reasons(rows: pd.DataFrame, why: pd.Series, keys: Sequence[str]) -> pd.DataFrame:
    """The reason for most of the time of each group, or for most of its calls if it took no time."""
    weighed = rows[list(keys)].assign(why=why.astype("str"), calls=1, time_ns=rows["time_ns"])
    summed = weighed.groupby([*keys, "why"], observed=True, sort=False)[["time_ns", "calls"]].sum().reset_index()
    summed = summed.sort_values(["time_ns", "calls"], ascending=False, kind="stable")
    return summed.drop_duplicates(list(keys)).set_index(list(keys))[["why"]]


def _of_summary(profile: Profile) -> pd.DataFrame:
    if "summary" not in profile.tables:
        calls_of(profile)
    summary = profile.tables["summary"]
    unknown = pd.array([pd.NA] * len(summary), dtype="Int64")
    table = pd.DataFrame({"syscall": summary["syscall"]})
    for column in ("calls", "errors"):
        table[column] = summary.get(column, unknown)
    table["unreturned"] = 0
    table["time_ns"] = (summary["seconds"] * 1e9).round().astype(np.int64) if "seconds" in summary else 0
    table["time_pct"] = _percent(table["time_ns"], table["time_ns"].sum())
    for column in _TIMES[1:]:
        table[column] = unknown
    if "calls" in summary and "seconds" in summary:
        table["mean_ns"] = (table["time_ns"] / summary["calls"].clip(lower=1)).round().astype("Int64")
    table["why"] = ""
    return table.sort_values(["time_ns", "calls"], ascending=False, kind="stable", ignore_index=True)


def labels(tasks: pd.DataFrame) -> pd.Series:
    """The label of each task in tables and charts: its name, otherwise its pid."""
    return tasks["name"].where(tasks["name"] != "", "pid " + tasks["pid"].astype("str"))


def rows_of(tasks: pd.DataFrame, pid: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of each pid in the table of tasks."""
    return np.asarray(pd.Index(tasks["pid"]).get_indexer(pid), dtype=np.int64)


def _shortened(text: str) -> str:
    return text if len(text) <= ARGS_SHOWN else f"{text[: ARGS_SHOWN - 1]}…"


def _thread_names(profile: Profile, pid: NDArray[np.int64]) -> Any:
    tasks = profile.tables["threads"]
    return labels(tasks).iloc[rows_of(tasks, pid)].reset_index(drop=True)


def _percent(part: pd.Series, whole: float) -> pd.Series:
    return 100.0 * part / whole if whole else part * np.nan


def _sum_at(row: NDArray[np.int64], values: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Exact sums of ``values`` by row (bincount with weights would use floats)."""
    out = np.zeros(max(0, size), dtype=np.int64)
    np.add.at(out, row, values)
    return out


def _bit_lengths(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many binary digits each value has: 0 for 0, n for 2^(n-1) <= value < 2^n."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    # rounding to a float can lift a large value to the next power of two
    return np.where((bits > 0) & (values < np.left_shift(np.int64(1), np.minimum(bits - 1, 62))), bits - 1, bits)
