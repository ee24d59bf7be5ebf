"""``workbench calibrate``: which rates this machine can send without falling behind."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result, say
from workbench.cli.waiting import awaited
from workbench.errors import EXIT_INVALID, EXIT_PASS, SettingsError
from workbench.masking import shown


def add_calibrate(parser: OneLineParser) -> None:
    """The arguments of ``workbench calibrate``."""
    from workbench.settings import default_runs_dir

    parser.add_argument(
        "--processes",
        default="auto",
        metavar="N,M|auto",
        help="Numbers of generator processes (auto: 1, 2, 4 .. cores).",
    )
    parser.add_argument(
        "--lag-p99-ms",
        type=float,
        default=1.0,
        metavar="X",
        help="Highest p99 of the lag, in ms, at which a rate counts (1).",
    )
    parser.add_argument("--seconds", type=float, default=2.0, metavar="X", help="Length of one trial (2).")
    parser.add_argument(
        "--servers", type=int, metavar="N", help="Processes of the null server (one for two generators)."
    )
    parser.add_argument(
        "--max-s", type=float, default=180.0, metavar="X", help="Longest search for one number of processes (180)."
    )
    parser.add_argument(
        "--runs-dir", type=Path, default=default_runs_dir(), metavar="PATH", help="Folder that keeps calibration.json."
    )
    add_json(parser)
    parser.add_argument(
        "--aa",
        action="store_true",
        help="The noise floor of a target instead, by pairs of equal loads; takes the options of `workbench load`.",
    )


def do_calibrate(options: argparse.Namespace) -> int:
    """Search the highest rate that this machine sends in time; if there is none, the exit code is that of an invalid
    measurement."""
    from workbench.calibration.identity import identity
    from workbench.calibration.run import Wanted, calibrate
    from workbench.calibration.stored import FILE
    from workbench.runs.machine import machine, versions

    wanted = Wanted(
        processes=_processes(options.processes),
        lag_p99_ms=_within("--lag-p99-ms", options.lag_p99_ms, 0.01, 1000),
        seconds=_within("--seconds", options.seconds, 0.1, 60),
        servers=None if options.servers is None else int(_within("--servers", options.servers, 1, 64)),
        max_s=_within("--max-s", options.max_s, 1, 3600),
    )
    found = awaited(calibrate(wanted, identity(machine(), versions()), options.runs_dir, say))
    if options.json:
        print_json(found.to_json())
    else:
        result(f"{found.text}\nKept in {options.runs_dir / FILE}")
    return EXIT_PASS if any(offer.rate_per_s for offer in found.offers) else EXIT_INVALID


def _processes(text: str) -> tuple[int, ...]:
    from workbench.load.cores import usable_cores

    if text == "auto":
        cores = usable_cores()
        return tuple(1 << power for power in range(cores.bit_length()) if 1 << power <= cores)
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 256 for part in parts):
        raise SettingsError(
            f"cannot read {shown(text)}", where="--processes", hint="Give numbers from 1 to 256 with commas, or auto"
        )
    return tuple(sorted({int(part) for part in parts}))


def _within(option: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise SettingsError(f"must be from {least:g} to {most:g}, found {value:g}", where=option)
    return value
