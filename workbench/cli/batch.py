"""``workbench batch``: a grid of sweeps by a plan, or the same sweep once per profiler mode."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.measuring import add_services, add_sweep_settings, add_thresholds
from workbench.cli.options import add_config, given, option_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.cli.thresholds import write_junit
from workbench.cli.tiles import tile_facts, tile_lines
from workbench.cli.waiting import awaited
from workbench.errors import SettingsError

if TYPE_CHECKING:
    from workbench.batches.folder import Batch
    from workbench.report.batch import Planned

_NOT_RESUMED = ("plan", "modes", "profiled_receipts", "dry_run", "keep_going")


def add_batch(parser: OneLineParser) -> None:
    """The arguments of ``workbench batch``."""
    parser.first = ("modes", "receipts", "profiled_receipts", "rate", "dry_run", "keep_going", "resume", "json",
                    "config")  # fmt: skip
    parser.epilog = "Example: workbench batch --receipts 50,100,200"
    parser.add_argument(
        "plan", nargs="?", type=Path, metavar="PLAN", help="A grid of settings, see docs/batches.md (none: --modes)."
    )
    parser.add_argument("--modes", help="Modes, with commas (none,flamegraph,massif,callgrind,strace as installed).")
    parser.add_argument(
        "--profiled-receipts", metavar="STEPS", help="Steps of the runs under a profiler (the same as --receipts)."
    )
    parser.add_argument("--resume", type=Path, metavar="BATCH", help="Go on with an interrupted batch.")
    parser.add_argument("--dry-run", action="store_true", help="Show the runs and how long they take; start nothing.")
    parser.add_argument("--keep-going", action="store_true", help="Leave out runs whose tool is not installed.")
    add_json(parser, "the runs")
    add_config(parser)
    add_sweep_settings(parser, leave_out=("profiler", "profiler_flags", "profiler_attach"))
    add_services(parser)
    add_thresholds(parser)


def do_batch(options: argparse.Namespace) -> int:
    """Run a batch, continue one, or show what would be run."""
    from workbench.progress import Progress
    from workbench.report import batch as batches

    settings = given(options)
    if options.resume:
        if settings or any(getattr(options, name) for name in _NOT_RESUMED):
            raise SettingsError("--resume takes the batch's own settings and nothing else", where="workbench batch")
        with Progress(sys.stderr) as progress:
            resumed = batches.resume_batch(options.resume, config=options.config, say=progress)
            return _print(awaited(resumed), options)
    made = _planned(options, settings)
    if options.dry_run:
        return _dry_run(made, options.json)
    keep_going = options.keep_going or (options.plan is None and options.modes is None)
    with Progress(sys.stderr) as progress:
        running = batches.run_batch(made, keep_going=keep_going, config=options.config, say=progress)
        return _print(awaited(running), options)


def _planned(options: argparse.Namespace, values: Mapping[str, Any]) -> Planned:
    from workbench.batches.modes import DEFAULT_MODES, parse_modes, runs_of_modes
    from workbench.batches.plan import read_plan
    from workbench.report.batch import NAME, of_runs, planned
    from workbench.settings import Settings

    labels = {name: option_of(name) for name in values}
    if options.plan is not None:
        for option in ("modes", "profiled_receipts"):
            if getattr(options, option):
                raise SettingsError(
                    "the plan already names the modes",
                    where=option_of(option),
                    hint='Write profiler = ["none"] in [axes]',
                )
        return planned(read_plan(options.plan), values, labels, options.config)
    modes = DEFAULT_MODES if options.modes is None else parse_modes(options.modes)
    settings = Settings.resolve(toml=options.config, labels=labels, **{"name": NAME, **values})
    runs = runs_of_modes(modes, options.profiled_receipts)
    each = {one.name: settings.model_copy(update={**one.changes, "name": one.name}) for one in runs}
    return of_runs(settings.name, settings.runs_dir, runs, each)


def _dry_run(made: Planned, as_json: bool) -> int:
    from workbench.report.batch import dry_run_lines

    if as_json:
        rows = [
            {
                "run": one.name,
                **one.axes,
                "repeat": one.repeat,
                "seconds": estimate.seconds,
                "guess": estimate.guessed > 0,
            }
            for one, estimate in made.estimates()
        ]
        print_json({"runs": rows, "unfit": {name: str(error) for name, error in made.unfit.items()}})
    else:
        result("\n".join(dry_run_lines(made)))
    return 0


def _print(batch: Batch, options: argparse.Namespace) -> int:
    from workbench.report.batch import exit_code

    write_junit(options.junit, {name: run.manifest for name, run in batch.runs().items()})
    if options.json:
        rows = batch.table.to_dict("records")
        print_json({"batch": str(batch.path), "runs": rows, "skipped": batch.skipped, "tiles": tile_facts(batch)})
    else:
        result("\n".join([*batch.lines(), tile_lines(batch), str(batch.path / "report.html")]))
    return exit_code(batch)
