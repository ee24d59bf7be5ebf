"""All findings of a measurement, ranked, with symptoms of all kinds and modes folded into their causes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.analysis.findings.grown import growing, leaking
from workbench.analysis.findings.idle import background_work
from workbench.analysis.findings.kernel import many_calls, waiting
from workbench.analysis.findings.machine import misses, profilers_share
from workbench.analysis.findings.model import Finding, Findings, folded, ranked
from workbench.analysis.findings.paths import work_by_path
from workbench.analysis.findings.repeated import repeated_work
from workbench.profiles.names import tidy_rust

if TYPE_CHECKING:
    from workbench.analysis.findings.measured import Measured

# the order in which a mode's finding of the background is preferred: counts, then time
_ORDER = ("callgrind", "flamegraph", "pprofile", "strace", "massif")


def find(measured: Sequence[Measured]) -> Findings:
    """The findings of all modes and services as one list. A mode without costs has no findings."""
    found: list[Finding] = []
    notes: list[str] = []
    for one in measured:
        if one.costs.empty:
            continue
        found += [*_repeated(one), *growing(one), *leaking(one), *background_work(one)]
        found += [*waiting(one), *many_calls(one), *misses(one), *profilers_share(one)]
        notes += _untold(one)
    return ranked(_one_background(_same_work(found)), notes)


def _repeated(one: Measured) -> list[Finding]:
    if one.profile is None or one.mode in ("strace", "massif") or one.metric not in one.profile.metric_names:
        return []
    if one.profile.basis == "graph":
        return repeated_work(one.costs, one.profile, one.metric, service=one.service, mode=one.mode)
    return work_by_path(one.profile, one.metric, one.receipts, service=one.service, mode=one.mode)


def _untold(one: Measured) -> list[str]:
    """Why the background of a mode is not known."""
    if one.background.empty:
        return []
    rows = one.background[(one.background["metric"] == one.metric) & ~one.background["told"].astype(bool)]
    return [f"{one.service}, {one.mode}: {sentence}" for sentence in rows["sentence"]]


def _same_work(found: Sequence[Finding]) -> list[Finding]:
    """Repeated work found both in samples and in counts becomes one finding: counts give the number of calls, samples
    the callers and the time."""
    own = [one for one in found if one.kind == "repeated work" and not one.folded_into]
    exact = [one for one in own if one.mode not in ("flamegraph", "pprof")]
    moved: dict[str, str] = {}
    added: dict[str, str] = {}
    for sampled in (one for one in own if one not in exact):
        names = {tidy_rust(name) for name in sampled.names}
        cause = next((one for one in exact if one.service == sampled.service and tidy_rust(one.subject) in names), None)
        if cause is not None:
            moved[sampled.id] = cause.id
            ways = ", ".join(
                f"{asker} {share:.1f} %"
                for asker, share in zip(sampled.evidence["asked by"], sampled.evidence["share_pct"], strict=True)
            )
            added[cause.id] = f" Share of CPU samples by caller: {ways}."
    result = []
    for one in found:
        if one.id in added:
            one = replace(one, sentence=one.sentence + added[one.id])
        cause_id = moved.get(one.id) or moved.get(one.folded_into) or one.folded_into
        result.append(replace(one, folded_into=cause_id) if cause_id != one.folded_into else one)
    return result


def _one_background(found: Sequence[Finding]) -> list[Finding]:
    """All modes find the same background of a service: the first mode's finding stays, the others are folded in."""
    result = list(found)
    for service in dict.fromkeys(one.service for one in found):
        same = [one for one in found if one.kind == "background" and one.service == service]
        if len(same) > 1:
            same.sort(key=lambda one: _ORDER.index(one.mode) if one.mode in _ORDER else len(_ORDER))
            for other in same[1:]:
                result[result.index(other)] = folded(other, same[0])
    return result
