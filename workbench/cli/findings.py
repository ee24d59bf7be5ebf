"""``workbench findings``: what was found in the profiles of a run or batch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.cli.thresholds import add_fail_if, exit_code_of, judge_folder, lines_of, write_junit

if TYPE_CHECKING:
    from workbench.analysis.findings import Findings


def add_findings(parser: OneLineParser) -> None:
    """The arguments of ``workbench findings``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="The folder of a run under a profiler, or of a batch.")
    add_json(parser, "them, with their evidence,")
    add_fail_if(parser)


def do_findings(options: argparse.Namespace) -> int:
    """Print the findings in the profiles of a run or batch, the most important first."""
    found = findings_of(options.run)
    judged = judge_folder(options.run, options.fail_if)
    if options.json:
        print_json({**found.as_dict(), "thresholds": [one.as_dict() for one in judged]})
    else:
        result("\n".join([found.text(), *lines_of(judged)]))
    write_junit(options.junit, {options.run.name: {"thresholds": [one.as_dict() for one in judged]}})
    return exit_code_of(judged)


def findings_of(path: Path) -> Findings:
    """The findings of the run or batch in a folder. Raises RunFolderError if it is neither."""
    from workbench.batches.folder import FILE, Batch
    from workbench.errors import RunFolderError
    from workbench.profilers.state import FILE as SESSION
    from workbench.sweep.opened import open_run

    if (path / SESSION).exists():
        raise RunFolderError(
            "this is a session of windows by hand, not a run",
            where=str(path),
            hint=f"workbench profile report --folder {path} makes a run of it, and says where",
        )
    return Batch.open(path).findings if (path / FILE).exists() else open_run(path).findings
