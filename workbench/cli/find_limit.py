"""``workbench find-limit``: the sender limit to the receipt, or the capacity under thresholds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from workbench.cli.measuring import OF_STANDIN_ALONE, STANDIN, add_services, add_thresholds
from workbench.cli.options import add_config, add_settings, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.cli.sweep import require_alone
from workbench.cli.thresholds import write_junit
from workbench.cli.tiles import tile_facts, tile_lines
from workbench.cli.waiting import awaited


def add_find_limit(parser: OneLineParser) -> None:
    """The arguments of ``workbench find-limit``."""
    from workbench.settings import (
        EngineSettings,
        LoadSettings,
        SearchSettings,
        StandinSettings,
        SweepSettings,
        TargetSettings,
    )

    parser.first = ("capacity", "max_p95_ms", "search_receipts", "rate", "target", "resume", "json", "config")
    parser.epilog = "Example: workbench find-limit --capacity --max-p95-ms 50"
    parser.add_argument("--resume", type=Path, metavar="RUN", help="Go on with an interrupted search.")
    add_json(parser, "the result, and make no report,")
    add_config(parser)
    add_settings(parser, SearchSettings, "search")
    add_settings(parser, SweepSettings, "run folder", leave_out=("receipts", "mode", "stop_after_denial", "pinpoint"))
    add_settings(parser, LoadSettings, "load", leave_out=("num_receipts",))
    add_settings(parser, EngineSettings, "generators")
    add_settings(parser, TargetSettings, "target")
    add_settings(parser, StandinSettings, STANDIN, leave_out=OF_STANDIN_ALONE)
    add_services(parser, unused=("profile", "idle_s"))
    add_thresholds(parser)


def do_find_limit(options: argparse.Namespace) -> int:
    """Find the limit; print the answer, what the search cost and, as the last line, the path of the report."""
    from workbench.search.run import search_settings

    require_alone(options, "search")
    asked = None if options.resume else search_settings(settings_of(options, name="find-limit"))
    if options.json:
        return _as_json(options, asked)
    from workbench.progress import Progress
    from workbench.report.search_report import report_search

    with Progress(sys.stderr) as progress:
        found = awaited(report_search(asked, resume=options.resume, config=options.config, say=progress))
    verdict, search = found.manifest.get("verdict") or {}, found.manifest.get("search") or {}
    reasons = [f"  {reason}" for reason in verdict.get("reasons", [])]
    said = [(search.get("budget") or {}).get("sentence", ""), f"{found.verdict}: {verdict.get('sentence', '')}"]
    result("\n".join([*said, *reasons, tile_lines(found), str(found.path / "report.html")]))
    write_junit(options.junit, {found.path.name: found.manifest})
    return int(found.exit_code)


def _as_json(options: argparse.Namespace, settings: Any) -> int:
    from workbench.progress import Progress
    from workbench.runs.folder import RunFolder
    from workbench.search.run import resume_search, run_search

    with Progress(sys.stderr) as progress:
        found = awaited(
            resume_search(RunFolder(options.resume), progress.event)
            if settings is None
            else run_search(settings, None, progress.event)
        )
    rates = found.rates or (None, None)
    print_json(
        {
            "schema": 1,
            "kind": found.search.get("kind"),
            "verdict": found.run.verdict,
            "sentence": found.sentence,
            "reasons": (found.run.manifest.get("verdict") or {}).get("reasons", []),
            "limit_receipts": found.receipts,
            "capacity_low_per_s": rates[0],
            "capacity_high_per_s": rates[1],
            "confidence": (found.search.get("bracket") or {}).get("confidence"),
            "budget": {key: value for key, value in found.search["budget"].items() if key != "sentence"},
            "spent": found.search.get("spent"),
            "tiles": tile_facts(found.run),
            "run": str(found.run.path),
        }
    )
    write_junit(options.junit, {found.run.path.name: found.run.manifest})
    return found.exit_code
