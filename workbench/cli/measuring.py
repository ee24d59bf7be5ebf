"""What the commands that send receipts share: options for services and thresholds, and the last lines of output."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from workbench.cli.options import add_settings, all_but
from workbench.cli.saying import print_json, result, say
from workbench.cli.thresholds import add_junit, lines_of, stored, write_junit
from workbench.cli.tiles import tile_facts, tile_lines
from workbench.settings import (
    CommandSettings,
    EngineSettings,
    LoadSettings,
    NetworkSettings,
    ProfilerSettings,
    StandinSettings,
    SweepSettings,
    TargetSettings,
    ThresholdSettings,
)

# settings that only a stand-in running by itself has
OF_STANDIN_ALONE = ("host", "service_port", "service_metrics_port", "agent_metrics_port", "graph_port", "role")
STANDIN = "stand-in (without --target)"


def add_services(parser: argparse.ArgumentParser, *, unused: Sequence[str] = ()) -> None:
    """The services by their commands, and the network around them; ``unused`` of their settings are left out."""
    add_settings(parser, CommandSettings, "the services by their commands", leave_out=unused)
    add_settings(parser, NetworkSettings, "the network around them")


def add_thresholds(parser: argparse.ArgumentParser) -> None:
    """Thresholds of a run, and JUnit XML of the verdict."""
    add_settings(parser, ThresholdSettings, "thresholds")
    add_junit(parser)


def add_load_settings(parser: argparse.ArgumentParser) -> None:
    """The settings of a load, or of the equal loads that measure a noise floor."""
    add_settings(parser, LoadSettings, "load")
    add_settings(parser, EngineSettings, "generators")
    add_settings(parser, TargetSettings, "target")
    add_settings(parser, SweepSettings, "run folder", leave_out=all_but(SweepSettings, "runs_dir", "name"))
    add_settings(parser, StandinSettings, STANDIN, leave_out=OF_STANDIN_ALONE)


def add_sweep_settings(parser: argparse.ArgumentParser, leave_out: Sequence[str] = ()) -> None:
    """The settings of a sweep; ``leave_out``: those of its profiler to leave out."""
    add_settings(parser, SweepSettings, "sweep")
    add_settings(parser, ProfilerSettings, "profiler", leave_out=leave_out)
    add_settings(parser, LoadSettings, "load", leave_out=("num_receipts",))
    add_settings(parser, EngineSettings, "generators")
    add_settings(parser, TargetSettings, "target")
    add_settings(parser, StandinSettings, STANDIN, leave_out=OF_STANDIN_ALONE)


def finish(run: Any, options: argparse.Namespace) -> int:
    """Print the verdict of a run, the tiles of its report and, as the last line, its path; or all of that as JSON."""
    write_junit(options.junit, {run.path.name: run.manifest})
    if options.json:
        print_json(facts_of(run))
    else:
        result("\n".join([*lines(run), tile_lines(run), str(run.path / "report.html")]))
    if run.missing:
        say(f"Missing from the run's folder: {', '.join(run.missing)}")
    return int(run.exit_code)


def lines(run: Any) -> list[str]:
    """What a run measured and its verdict, one sentence per line."""
    verdict = run.manifest.get("verdict") or {}
    prediction = run.manifest.get("prediction") or {}
    judged = stored(run.manifest)
    said = [
        str(prediction.get("sentence") or ""),
        f"{verdict.get('headline', run.verdict)}: {verdict.get('sentence', '')}",
        *_of_repeats(run),
        *lines_of(judged),
    ]
    known = {one.line for one in judged}
    return [line for line in said if line] + [f"  {why}" for why in verdict.get("reasons", []) if why not in known]


def _of_repeats(run: Any) -> Sequence[str]:
    """Sentences about repeated steps. If there are none, neither the steps are read nor pandas imported."""
    if (run.manifest.get("settings") or {}).get("repeats", 1) < 2:
        return ()
    from workbench.analysis.repeats import sentences

    return sentences(run.repeats)


def facts_of(run: Any) -> dict[str, Any]:
    """The result of a run as plain values: where it is, its verdict, prediction, limit and thresholds, and a row per
    step, with the columns of ``steps.parquet``."""
    manifest = run.manifest
    return {
        "schema": 1,
        "kind": manifest.get("what") or "sweep",
        "run": str(run.path),
        "report": str(run.path / "report.html"),
        "state": run.state,
        "exit_code": run.exit_code,
        **{name: manifest.get(name) for name in ("verdict", "prediction", "limit")},
        "thresholds": manifest.get("thresholds") or [],
        "tiles": tile_facts(run),
        "steps": run.steps.astype(object).where(run.steps.notna(), None).to_dict("records"),
    }
