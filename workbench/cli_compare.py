"""The commands about several runs: compare, check, baseline. Thin."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.compare.gate import Gate
    from workbench.exchange.junit import Case, State

INVALID = "Nothing can be said: no figure is exact, or certain enough, on both sides, or the run is not valid"
NAME_ANOTHER = "Name another file, or make room"


def add_compare(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench compare``."""
    parser.add_argument("before", metavar="A", help="The run, batch, baseline or profile before.")
    parser.add_argument("after", nargs="+", metavar="B", help="Those after; each is compared with A.")
    add_receipts(parser)
    parser.add_argument("--anyway", action="store_true", help="Compare runs that are not alike; what differs is said.")
    parser.add_argument("--json", action="store_true", help="Print all tables as JSON.")
    parser.add_argument(
        "--html", type=Path, metavar="OUT.html", help="Write one offline page with the difference flame graph as well."
    )


def add_receipts(parser: argparse.ArgumentParser) -> None:
    """How many receipts profiles are of."""
    parser.add_argument(
        "--receipts",
        nargs="+",
        type=float,
        metavar="N",
        help="Of profiles: how many receipts were sent in them, one number for all or one each.",
    )


def compare(options: argparse.Namespace) -> int:
    """``workbench compare``: what changed, which change explains it, and what is no more than noise."""
    from workbench.compare.comparison import compare_sides
    from workbench.comparing.compared import sides_of

    sides = sides_of([options.before, *options.after], receipts=given_receipts(options.receipts))
    found = compare_sides(sides, anyway=options.anyway)
    if options.html is not None:
        from workbench.report.comparing import write_comparison

        write_comparison(found, sides, options.html)
    if options.json:
        print_json(found.as_dict())
    else:
        from workbench.cli_tiles import print_tiles

        print(found.text)
        print_tiles(found)
    if options.html is not None:
        print(options.html, file=sys.stderr if options.json else sys.stdout)
    return 0


def given_receipts(numbers: list[float] | None) -> float | list[float] | None:
    """One number for all, or one each."""
    return numbers if numbers is None or len(numbers) > 1 else numbers[0]


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench baseline``."""
    parser.add_argument("action", choices=("save", "list", "rm"), help="What to do.")
    parser.add_argument("name", nargs="?", help="What the baseline is called.")
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="With save: the folder of the run.")
    parser.add_argument("--json", action="store_true", help="With list: print them as JSON.")


def baseline(options: argparse.Namespace) -> int:
    """``workbench baseline``: keep a run by name, list what is kept, forget one."""
    from workbench.comparing.baselines import baseline_table, remove_baseline, save_baseline
    from workbench.errors import SettingsError

    wanted = {"save": 2, "list": 0, "rm": 1}[options.action]
    given = [one for one in (options.name, options.run) if one is not None]
    if len(given) != wanted:
        raise SettingsError(
            f"found {len(given)} of the {wanted} names that {options.action} takes",
            where="workbench baseline",
            hint="It is: baseline save NAME RUN, baseline list, or baseline rm NAME",
        )
    if options.action == "save":
        kept = save_baseline(options.name, options.run)
        print(f"{kept.name}: {kept.run}, {kept.size_bytes:,} bytes")
        for note in kept.notes:
            print(f"Note: {note}.", file=sys.stderr)
        print(kept.path)
    elif options.action == "rm":
        remove_baseline(options.name)
    else:
        table = baseline_table()
        if options.json:
            print_json(table.to_dict("records"))
        elif table.empty:
            print("No baseline is kept. workbench baseline save NAME RUN keeps one.")
        else:
            for row in table.itertuples():
                size = f"{row.size_bytes:,} bytes, saved {row.saved}, of {row.run}" if row.saved else row.state
                print(f"{row.name}: {size}")
    return 0


def print_json(value: Any) -> None:
    """Plain values as JSON."""
    from workbench.runs.atomic import to_json

    print(to_json(value))


def add_check(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench check``."""
    parser.add_argument("run", metavar="RUN", help="The run, batch or profile that is checked.")
    parser.add_argument("--baseline", required=True, metavar="RUN|NAME", help="What it is checked against.")
    parser.add_argument(
        "--max-regression", type=_percent, default="3%", metavar="P", help="How much dearer a figure may be (3%%)."
    )
    add_receipts(parser)
    parser.add_argument("--anyway", action="store_true", help="Compare runs that are not alike; what differs is said.")
    parser.add_argument("--json", action="store_true", help="Print the checks as JSON.")
    parser.add_argument("--junit", type=Path, metavar="OUT.xml", help="Write the checks as JUnit XML.")
    parser.add_argument("--markdown", type=Path, metavar="OUT.md", help="Write a table for a pull request.")


def check(options: argparse.Namespace) -> int:
    """``workbench check``: 0 where nothing became dearer, 1 where something did, 4 where nothing can be said."""
    from workbench.compare.comparison import compare_sides
    from workbench.compare.gate import gate
    from workbench.compare.gate_words import markdown, text
    from workbench.comparing.compared import sides_of
    from workbench.exchange.junit import write_junit
    from workbench.runs.atomic import replacing

    sides = sides_of([options.baseline, options.run], receipts=given_receipts(options.receipts))
    found = compare_sides(sides, anyway=options.anyway)
    result = gate(found, max_regression_pct=options.max_regression, valid=sides[1].valid)
    if options.markdown is not None:
        with replacing(options.markdown, NAME_ANOTHER) as unfinished:
            unfinished.write_text(markdown(result, found), encoding="utf-8")
    if options.junit is not None:
        write_junit(options.junit, f"{result.run} against {result.baseline}", junit_cases(result))
    if options.json:
        print_json(result.as_dict())
    else:
        print(text(result))
    return result.exit_code


def junit_cases(result: Gate) -> list[Case]:
    """The checks as test cases; where nothing could be said, one that says so."""
    from workbench.exchange.junit import Case

    states: dict[str, State] = {"pass": "passed", "fail": "failed", "left out": "skipped"}
    found = [
        Case(row.name, states[row.verdict], message=row.why, details=row.why, group=row.mode or row.service)
        for row in result.table.itertuples(index=False)
    ]
    if result.state == "INVALID":
        found.append(Case("comparable", "error", message=INVALID))
    return found


def _percent(value: str) -> float:
    """``3%`` or ``3``, in percent."""
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{value!r} is no percentage of 0 or more, as 3%")
    return number
