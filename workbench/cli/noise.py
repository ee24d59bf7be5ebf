"""``workbench calibrate --aa``: the noise floor of a target, by pairs of equal loads."""

from __future__ import annotations

import argparse
import sys

from workbench.cli.measuring import add_load_settings, add_services
from workbench.cli.options import add_config, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.cli.waiting import awaited
from workbench.errors import EXIT_INVALID, EXIT_PASS, SettingsError

DEFAULT_PAIRS = 10


def add_noise(parser: OneLineParser) -> None:
    """The arguments of ``workbench calibrate --aa``."""
    parser.first = ("aa", "pairs", "num_receipts", "rate", "concurrency", "target", "json", "config")
    parser.epilog = "Example: workbench calibrate --aa -n 500 --rate 200"
    parser.add_argument(
        "--aa", action="store_true", required=True, help="Measures pairs of equal loads, and how much they differ."
    )
    parser.add_argument(
        "--pairs", type=int, default=DEFAULT_PAIRS, metavar="N", help=f"Pairs of loads, from 3 ({DEFAULT_PAIRS})."
    )
    add_json(parser)
    add_config(parser)
    add_load_settings(parser)
    add_services(parser, unused=("profile", "idle_s"))


def do_noise(options: argparse.Namespace) -> int:
    """Measure the noise floor of a target and keep it; if no figure has one, the exit code is that of an invalid
    measurement."""
    from workbench.calibration.noise_stored import FILE
    from workbench.progress import Progress
    from workbench.sweep.noise import measure_noise

    if not 3 <= options.pairs <= 50:
        raise SettingsError(f"must be from 3 to 50, found {options.pairs}", where="--pairs")
    settings = settings_of(options, name="aa")
    with Progress(sys.stderr) as progress:
        found = awaited(measure_noise(settings, options.pairs, progress.event))
    if options.json:
        print_json({"run": str(found.run.path), "floors": [floor.to_json() for floor in found.floors]})
    else:
        kept = f"Kept in {settings.runs_dir / FILE}" if found.known else "Nothing is kept: too few loads were valid"
        result(f"{found.text}\n{kept}; the loads are in {found.run.path}")
    return EXIT_PASS if found.known else EXIT_INVALID
