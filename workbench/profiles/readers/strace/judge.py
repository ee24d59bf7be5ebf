"""Judges each call of a log by the table in ``waiting``: it waits, it works, or the log does not show which."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.readers.strace.calls import ENDED
from workbench.profiles.readers.strace.descriptors import Calls, Column, descriptors_of
from workbench.profiles.readers.strace.waiting import DEFAULT, LONG_NS, WORKING, families, reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.join import Pairs
    from workbench.profiles.readers.strace.lines import Codes, Mask, Places
    from workbench.profiles.readers.strace.log import Log
    from workbench.profiles.readers.strace.waiting import Rule

    Small = NDArray[np.int8]

# Bytes of the arguments that the table's patterns need: a path and the text after it, or the last few arguments.
_FIRST_BYTES, _LAST_BYTES = 4608, 512


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The judgement of each call (a position in ``waiting.JUDGEMENTS``) and the reason (one in ``words``)."""

    means: Small
    why: Small
    words: Sequence[str]


def judge(log: Log, pairs: Pairs, process: Places, made_by: Mapping[int, tuple[int, int]]) -> Judgement:
    """Judge all calls. ``process`` is the number of each call's process; ``made_by``: the parent of a process, and the
    line of its creation."""
    words = reasons()
    number = {reason: place for place, reason in enumerate(words)}
    size = len(pairs.first)
    means, why = np.full(size, WORKING, np.int8), np.full(size, number[DEFAULT], np.int8)
    calls = calls_of(log, pairs, process)
    asked = [(_rows_of(calls.name, log.names, names), rules) for names, rules in families(log.names)]
    of_descriptors = [rows for rows, rules in asked if any(rule.kinds or rule.mode is not None for rule in rules)]
    kind, mode = np.zeros(size, np.int8), np.zeros(size, np.int8)
    if of_descriptors:
        rows = np.sort(np.concatenate(of_descriptors))
        kind[rows], mode[rows] = descriptors_of(calls, rows, made_by)
    for rows, rules in asked:
        for rule in rules:
            fits = _fitting(calls, rows, rule, kind, mode)
            means[rows[fits]], why[rows[fits]] = rule.means, number[rule.why]
            rows = rows[~fits]
            if not rows.size:
                break
    return Judgement(means, why, words)


def calls_of(log: Log, pairs: Pairs, process: Places) -> Calls:
    """The calls of a log in the form that the rules use."""
    first = pairs.first
    end = pairs.end
    # if the beginning of a call is missing, its first arguments are not known
    begun: Mask = log.kind[first] != ENDED

    def before(rows: Places, pattern: str) -> Mask:
        found = log.args.matching(first[rows], pattern, first=_FIRST_BYTES)
        return found & begun[rows] if pattern != "^$" else found | ~begun[rows]

    def after(rows: Places, pattern: str) -> Mask:
        return log.args.matching(end[rows], pattern, last=_LAST_BYTES)

    def pairs_of(rows: Places, pattern: str) -> tuple[Places, Places]:
        return _two_numbers(log.args.objects(end[rows]), pattern)

    return Calls(
        process=process,
        name=log.name[first],
        fd=Column(log.fd, first),
        value=Column(log.value, end),
        has_value=Column(log.has_value, end),
        error=log.error[end],
        duration_ns=Column(log.duration_ns, end),
        begins=Column(log.line, first),
        ends=Column(log.line, end),
        decorated=Column(log.decorated, first),
        names=log.names,
        errors=log.errors,
        before=before,
        after=after,
        pairs_of=pairs_of,
    )


def _two_numbers(texts: NDArray[Any], pattern: str) -> tuple[Places, Places]:
    """The two descriptors in each text, -1 if there are none."""
    found = [re.search(pattern, text) for text in texts]
    first, second = (
        np.array([int(match[place]) if match else -1 for match in found], dtype=np.int64) for place in (1, 2)
    )
    return first, second


def _rows_of(name: Codes, names: Sequence[str], wanted: Sequence[int]) -> Places:
    is_wanted = np.zeros(len(names), dtype=bool)
    is_wanted[list(wanted)] = True
    return np.flatnonzero(is_wanted[name])


def _fitting(calls: Calls, rows: Places, rule: Rule, kind: Small, mode: Small) -> Mask:
    """Which of these calls the rule applies to; cheap checks come first."""
    fits = np.ones(len(rows), dtype=bool)
    if rule.mode is not None:
        fits &= mode[rows] == rule.mode
    if rule.kinds:
        fits &= np.isin(kind[rows], rule.kinds)
    if rule.long:
        fits &= calls.duration_ns[rows] >= LONG_NS
    if rule.errors:
        wanted = np.array([error in rule.errors for error in calls.errors], dtype=bool)
        fits &= wanted[calls.error[rows]]
    for ask, pattern in ((calls.before, rule.before), (calls.after, rule.after)):
        left = np.flatnonzero(fits) if pattern else np.zeros(0, dtype=np.int64)
        if left.size:
            fits[left] = ask(rows[left], pattern)
    return fits
