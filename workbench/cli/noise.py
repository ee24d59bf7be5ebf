"""``workbench calibrate --aa``: the noise floor of a target. Thin."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from workbench.errors import EXIT_INVALID, EXIT_PASS, SettingsError

if TYPE_CHECKING:
    from workbench.settings import Settings

FLAG = "--aa"
DEFAULT_PAIRS = 10


def add_noise(parser: argparse.ArgumentParser) -> None:
    """What the command has beside the settings of a load."""
    parser.add_argument(FLAG, action="store_true", required=True, help="Pairs of equal loads: how far they differ.")
    parser.add_argument(
        "--pairs", type=int, default=DEFAULT_PAIRS, metavar="N", help=f"Pairs of loads, from 3 ({DEFAULT_PAIRS})."
    )
    parser.add_argument("--json", action="store_true", help="Print the result as JSON.")


def noise(options: argparse.Namespace, settings: Settings) -> int:
    """Measure the noise floor of a target and keep it; the exit code is that of an invalid measurement where no figure
    has one."""
    from workbench.calibration.noise_stored import FILE
    from workbench.progress import Progress
    from workbench.runs.atomic import to_json
    from workbench.sweep.noise import measure_noise

    if not 3 <= options.pairs <= 50:
        raise SettingsError(f"must be from 3 to 50, found {options.pairs}", where="--pairs")
    progress = Progress(sys.stderr)
    found = asyncio.run(measure_noise(settings, options.pairs, progress))
    progress.end()
    if options.json:
        print(to_json({"run": str(found.run.path), "floors": [floor.to_json() for floor in found.floors]}))
    else:
        print(found.text)
        kept = f"Kept in {settings.runs_dir / FILE}" if found.known else "Nothing is kept: too few loads were valid"
        print(f"{kept}; the loads are in {found.run.path}")
    return EXIT_PASS if found.known else EXIT_INVALID
