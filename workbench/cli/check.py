"""``workbench check``: the gate, a run compared with a baseline for CI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.compare import add_receipts, given_receipts
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.errors import NAME_ANOTHER

if TYPE_CHECKING:
    from workbench.compare.gate import Gate
    from workbench.exchange.junit import Case, State

INVALID = "No answer: no figure is exact or certain enough on both sides, or the run is not valid"


def add_check(parser: OneLineParser) -> None:
    """The arguments of ``workbench check``."""
    parser.add_argument("run", metavar="RUN", help="The run, batch or profile to check.")
    parser.add_argument(
        "--baseline", required=True, metavar="RUN|NAME", help="The run, batch, baseline or profile to check it against."
    )
    parser.add_argument(
        "--max-regression", type=_percent, default="3%", metavar="P", help="How much a figure may rise (3%%)."
    )
    add_receipts(parser)
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="Compare runs even if their conditions differ; the differences are listed.",
    )
    add_json(parser, "the checks")
    parser.add_argument("--junit", type=Path, metavar="OUT.xml", help="Write the checks as JUnit XML.")
    parser.add_argument("--markdown", type=Path, metavar="OUT.md", help="Write a table for a pull request.")


def do_check(options: argparse.Namespace) -> int:
    """``workbench check``: 0 if no figure rose beyond the limit, 1 if one did, 4 if that cannot be decided."""
    from workbench.compare.comparison import compare_sides
    from workbench.compare.gate import gate
    from workbench.compare.gate_words import markdown, text
    from workbench.exchange.junit import write_junit
    from workbench.runs.atomic import replacing
    from workbench.sides.read import sides_of

    sides = sides_of([options.baseline, options.run], receipts=given_receipts(options.receipts))
    found = compare_sides(sides, anyway=options.anyway)
    judged = gate(found, max_regression_pct=options.max_regression, valid=sides[1].valid)
    if options.markdown is not None:
        with replacing(options.markdown, NAME_ANOTHER) as unfinished:
            unfinished.write_text(markdown(judged, found), encoding="utf-8")
    if options.junit is not None:
        write_junit(options.junit, f"{judged.run} against {judged.baseline}", junit_cases(judged))
    if options.json:
        print_json(judged.as_dict())
    else:
        result(text(judged))
    return judged.exit_code


def junit_cases(judged: Gate) -> list[Case]:
    """The checks as test cases; if nothing could be decided, one case that says so."""
    from workbench.exchange.junit import Case

    states: dict[str, State] = {"pass": "passed", "fail": "failed", "left out": "skipped"}
    found = [
        Case(row.name, states[row.verdict], message=row.why, details=row.why, group=row.mode or row.service)
        for row in judged.table.itertuples(index=False)
    ]
    if judged.state == "INVALID":
        found.append(Case("comparable", "error", message=INVALID))
    return found


def _percent(value: str) -> float:
    """``3%`` or ``3``, in percent."""
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is not a percentage of 0 or more, such as 3%")
    return number
