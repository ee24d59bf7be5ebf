"""The command that finds a limit. Thin."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.errors import SettingsError


def add_find_limit(parser: argparse.ArgumentParser, unused: tuple[str, ...]) -> None:
    """The arguments of ``workbench find-limit``; ``unused`` of the stand-in's settings are not offered."""
    from workbench.options import add_settings
    from workbench.settings import (
        EngineSettings,
        LoadSettings,
        SearchSettings,
        StandinSettings,
        SweepSettings,
        TargetSettings,
    )

    add_settings(parser, SearchSettings, "search")
    add_settings(parser, SweepSettings, "run folder", leave_out=("receipts", "mode", "stop_after_denial", "pinpoint"))
    add_settings(parser, LoadSettings, "load", leave_out=("num_receipts",))
    add_settings(parser, EngineSettings, "generators")
    add_settings(parser, TargetSettings, "target")
    add_settings(parser, StandinSettings, "stand-in (without --target)", leave_out=unused)
    parser.add_argument("--resume", type=Path, metavar="RUN", help="Go on with an interrupted search.")
    parser.add_argument("--json", action="store_true", help="Print the result as JSON, and make no report.")


def run(options: argparse.Namespace, given: dict[str, Any], settings: Callable[[], Any]) -> int:
    """Find the limit; the answer, what it cost and, as the last line, the path of the report.

    ``given`` are the settings among the options, ``settings`` resolves them."""
    from workbench.search.run import search_settings

    if options.resume and given:
        raise SettingsError(
            f"--resume takes the search's own settings, found {', '.join(sorted(given))} as well",
            where="workbench find-limit",
            hint="Leave them out, or start a new search",
        )
    asked = None if options.resume else search_settings(settings())
    if options.json:
        return _as_json(options, asked)
    from workbench.cli_tiles import print_tiles
    from workbench.report.search_report import report_search

    found = asyncio.run(report_search(asked, resume=options.resume, config=options.config, say=_say))
    verdict, search = found.manifest.get("verdict") or {}, found.manifest.get("search") or {}
    print((search.get("budget") or {}).get("sentence", ""))
    print(f"{found.verdict}: {verdict.get('sentence', '')}")
    for reason in verdict.get("reasons", []):
        print(f"  {reason}")
    print_tiles(found)
    print(found.path / "report.html")
    return int(found.exit_code)


def _as_json(options: argparse.Namespace, settings: Any) -> int:
    from workbench.progress import Progress
    from workbench.runs.atomic import to_json
    from workbench.runs.folder import RunFolder
    from workbench.search.run import resume_search, run_search

    progress = Progress(sys.stderr)
    search = (
        resume_search(RunFolder(options.resume), progress) if settings is None else run_search(settings, None, progress)
    )
    found = asyncio.run(search)
    progress.end()
    rates = found.rates or (None, None)
    print(
        to_json(
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
                "run": str(found.run.path),
            }
        )
    )
    return found.exit_code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
