"""Thresholds on the command line: lines in the terminal, JUnit for CI, and a finished run judged by new ones."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import EXIT_PASS, EXIT_SLO_FAILED

if TYPE_CHECKING:
    from workbench.exchange.junit import Case
    from workbench.thresholds.judge import Judged

_STATES = {"PASS": "passed", "FAIL": "failed", "UNMEASURED": "error"}
_BADGES = {"good": "passed", "bad": "failed", "doubt": "skipped", "none": "skipped"}


def add_junit(parser: argparse.ArgumentParser) -> None:
    """``--junit`` of the commands that judge."""
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="Write verdict and thresholds as JUnit XML, a test case each."
    )


def add_fail_if(parser: argparse.ArgumentParser) -> None:
    """``--fail-if`` and ``--junit`` for the commands that read a finished run."""
    parser.add_argument(
        "--fail-if",
        action="append",  # one value each: the next word may be the folder
        default=[],
        metavar="THRESHOLD",
        help="Fail if this holds, such as 'response_p95_ms > 50'; may be repeated.",
    )
    add_junit(parser)


def lines_of(judged: Sequence[Judged]) -> list[str]:
    """One line for each threshold, and a last one that sums them up."""
    failed = sum(one.verdict != "PASS" for one in judged)
    if not judged:
        return []
    whole = f"{failed} of {len(judged)} thresholds failed" if failed else f"all {len(judged)} thresholds held"
    return [*(one.line for one in judged), *([whole] if len(judged) > 1 else [])]


def exit_code_of(judged: Sequence[Judged]) -> int:
    """1 if a threshold was exceeded or not measured, otherwise 0."""
    return EXIT_SLO_FAILED if any(one.verdict != "PASS" for one in judged) else EXIT_PASS


def stored(manifest: Mapping[str, Any]) -> list[Judged]:
    """The thresholds that a run was judged by when it ended."""
    from workbench.thresholds.judge import Judged

    return [Judged.from_dict(one) for one in manifest.get("thresholds") or ()]


def write_junit(path: Path | None, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the badges and thresholds of runs, manifests by name, as one JUnit file; nothing if no path is given."""
    if path is None:
        return
    from workbench.exchange import junit

    cases = [case for name, manifest in runs.items() for case in _cases(name, manifest)]
    junit.write_junit(path, "workbench " + ", ".join(runs), cases)


def judge_folder(path: Path, fail_if: Sequence[str]) -> list[Judged]:
    """Judge the run in a folder by thresholds; in a batch, each threshold judges the runs that can measure it. Raises
    SettingsError for one that cannot be read, RunFolderError if there is no run."""
    from workbench.batches.folder import FILE, Batch
    from workbench.sweep.judged import fitting, judge_run
    from workbench.sweep.opened import open_run

    if not fail_if:
        return []
    if not (path / FILE).exists():
        return list(judge_run(open_run(path), fail_if))
    judged: list[Judged] = []
    modes = {mode: open_run(run.path) for mode, run in Batch.open(path).runs().items()}
    for text in fail_if:
        fits = [run for mode, run in modes.items() if fitting([text], mode)] or list(modes.values())[:1]
        judged += [one for run in fits for one in judge_run(run, [text])]
    return judged


def _cases(name: str, manifest: Mapping[str, Any]) -> list[Case]:
    from workbench.analysis.badges import badges_of
    from workbench.exchange.junit import Case

    verdict = manifest.get("verdict") or {}
    judged = stored(manifest)
    said = {one.line for one in judged}
    reasons = "\n".join(reason for reason in verdict.get("reasons") or () if reason not in said)
    cases = [
        Case(
            badge.what,
            _BADGES[badge.state],  # type: ignore[arg-type]
            badge.text,
            reasons if badge.state in ("bad", "doubt") else badge.text,
            group=f"{name}.run",
        )
        for badge in badges_of(verdict)
        if badge.what != "thresholds"
    ]
    return cases + [threshold_case(one, f"{name}.thresholds") for one in judged]


def threshold_case(one: Judged, group: str) -> Case:
    """A threshold as a test case."""
    from workbench.exchange.junit import Case

    return Case(f"fail if {one.fail_if}", _STATES[one.verdict], one.said, one.said, group=group)  # type: ignore[arg-type]
