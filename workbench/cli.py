"""The ``workbench`` command: thin, one function a subcommand.

Exit codes: 0 pass, 1 a service level was missed, 2 usage or configuration, 3 target unreachable or unhealthy,
4 invalid measurement, 5 a tool failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench import __version__, keyring
from workbench.errors import EXIT_INTERRUPTED, EXIT_TOOL, EXIT_USAGE, SettingsError, WorkbenchError, of_file
from workbench.masking import masked, masked_streams

if TYPE_CHECKING:
    from workbench.settings import Settings

T = TypeVar("T")

_COMMANDS = {
    "load": "send receipts once and measure",
    "sweep": "step the receipts up toward the sender limit; ends in a notebook and one HTML report",
    "find-limit": "find the sender limit to the receipt, or the capacity under thresholds",
    "batch": "a grid of sweeps by a plan, or the same one once a profiler mode; ends in one summary report",
    "runs": "the runs there are: list, ask, show, tag, note, remove; a figure's history",
    "findings": "what the profiles of a run or a batch say, ranked",
    "compare": "what a receipt costs before and after, which change explains it, and what is noise",
    "check": "the gate: a run against a baseline; exit code, JUnit XML, a table for a pull request",
    "baseline": "keep a run by name, for later ones to be compared with",
    "report": "make the notebook and the HTML report of a run again",
    "profile": "start a service under a profiler, cut windows, stop, restore",
    "read": "read a profile: totals, what costs most, notes",
    "convert": "write a profile in another tool's format",
    "diff": "what changed from one profile to another",
    "view": "show a profile: one offline HTML page, or SnakeViz",
    "requests": "write requests with receipts, signed ahead, for vegeta or k6 to send",
    "export": "write what a run measured in another tool's format",
    "network": "run all that the real programs need around them: up, status, set, down",
    "standin": "run the embedded stand-in of indexer-service and tap-agent",
    "calibrate": "find how fast this machine can offer receipts honestly, and keep it",
    "doctor": "what is installed and reachable, and how to mend what is not",
}
# the commands that need no settings, by the module that has them
_OF_FILES = {
    **dict.fromkeys(("read", "convert", "diff", "view"), "workbench.cli_profiles"),
    "findings": "workbench.cli_findings",
    **dict.fromkeys(("compare", "check", "baseline"), "workbench.cli_compare"),
    "runs": "workbench.cli_runs",
    "export": "workbench.cli_exchange",
    "calibrate": "workbench.cli_calibrate",
}
_OWN = ("command", "debug", "json", "resume", "run", "config", "to", "output", "start_in", "junit", "aa", "pairs")
_OWN_OF_BATCH = ("plan", "modes", "profiled_receipts", "dry_run", "keep_going")
_OWN_OF_NETWORK = ("action", "fresh", "payer", "balance_grt", "thawing_grt", "signer", "subgraph_down")
_PROGRAMS = {"noise": "calibrate --aa"}
# what the stand-in has alone when it runs by itself
_OF_STANDIN = ("host", "service_port", "service_metrics_port", "agent_metrics_port", "graph_port", "role")
# what the network takes of the stand-in's settings
_OF_NETWORK = (
    "limit_grt",
    "escrow_grt",
    "standin_payers",
    "max_receipt_value_grt",
    "timestamp_tolerance_s",
    "trigger_value_divisor",
    "backend_latency",
    "backend_down",
    "reset_share",
    "url_prefix",
    "host",
    "service_port",
    "service_metrics_port",
    "agent_metrics_port",
    "graph_port",
    "standin_seed",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are one line, with a traceback before it where --debug is given.

    What is said has no private key in it, and nothing that is started inherits the signer keys.
    """
    keyring.take()
    with masked_streams():
        return _said(list(sys.argv[1:] if argv is None else argv))


def _said(arguments: list[str]) -> int:
    own = arguments[: arguments.index("--") if "--" in arguments else len(arguments)]
    try:
        for word, before in zip(own, ["", *own], strict=False):
            if before != "--deployment" and not word.startswith("--deployment="):
                keyring.refuse(word.partition("=")[2] if word.startswith("--") and "=" in word else word, "an argument")
        return _run(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_TOOL
    except (Exception, KeyboardInterrupt) as error:
        debug = "--debug" in own
        if debug:
            traceback.print_exc()
        if isinstance(error, WorkbenchError):
            line, code = str(error), error.exit_code
        elif isinstance(error, KeyboardInterrupt):
            line, code = "interrupted", EXIT_INTERRUPTED
        elif isinstance(error, OSError) and (told := of_file(error)) is not None:
            line, code = str(told), told.exit_code
        else:
            text = masked(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
            line, code = f"unexpected error: {text}", EXIT_TOOL
            line += "" if debug else ". Run again with --debug for the details"
        print(f"workbench: {line}", file=sys.stderr)
        return code


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        return _overview(arguments)
    command = arguments[0]
    if command not in _COMMANDS:
        raise SettingsError(
            f"there is no command {command!r}", where="workbench", hint=f"There are {', '.join(_COMMANDS)}"
        )
    if command == "calibrate" and "--aa" in arguments:
        command = "noise"  # of a target: it has the settings of a load
    if command in _OF_FILES:
        return _of_files(command, arguments[1:])
    if command == "profile":
        return _profile(arguments[1:])
    options = _parser(command).parse_args(arguments[1:])
    commands = {
        "load": _load,
        "noise": _noise,
        "sweep": _sweep,
        "find-limit": _find_limit,
        "batch": _batch,
        "report": _report,
        "requests": _requests,
        "network": _network,
        "standin": _standin,
        "doctor": _doctor,
    }
    return commands[command](options)


def _overview(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--version":
        print(f"workbench {__version__}")
        return 0
    print("usage: workbench COMMAND [options]\n")
    print("Load-test and profile indexer-service and tap-agent as one experiment.\n")
    for name, what in _COMMANDS.items():
        print(f"  {name:10} {what}")
    print("\nEach command has --help, and --debug for tracebacks. Settings also come from WORKBENCH_* variables")
    print("and from workbench.toml in the working directory.")
    return 0 if arguments else EXIT_USAGE


def _bare_parser(command: str) -> argparse.ArgumentParser:
    """What every command has."""
    from workbench.parser import OneLineParser

    parser = OneLineParser(
        prog=f"workbench {_PROGRAMS.get(command, command)}",
        description=_COMMANDS.get(command, "find how far equal loads of a target differ").capitalize() + ".",
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="Show tracebacks.")
    return parser


def _parser(command: str) -> argparse.ArgumentParser:
    from workbench.options import add_settings
    from workbench.settings import (
        CommandSettings,
        NetworkSettings,
        StandinSettings,
        SweepSettings,
        TargetSettings,
    )

    parser = _bare_parser(command)
    parser.add_argument("--config", type=Path, metavar="PATH", help="Settings file (default: workbench.toml).")
    if command in ("load", "noise", "sweep", "find-limit", "batch"):
        _add_run(parser, command)
    if command in ("load", "noise"):
        _add_load(parser, command)
    elif command == "sweep":
        _add_sweep(parser)
        parser.add_argument("--resume", type=Path, metavar="RUN", help="Go on with an interrupted run.")
    elif command == "batch":
        from workbench import cli_batch

        cli_batch.add_arguments(parser)
        _add_sweep(parser, leave_out=("profiler", "profiler_flags", "profiler_attach"))
    elif command == "find-limit":
        import_module("workbench.cli_find_limit").add_find_limit(parser, _OF_STANDIN)
    elif command == "report":
        from workbench.cli_thresholds import add_fail_if

        parser.add_argument("run", type=Path, metavar="RUN", help="The run folder.")
        add_fail_if(parser)
    elif command == "requests":
        _add_requests(parser)
    elif command == "network":
        from workbench import cli_network

        cli_network.add_arguments(parser)
        add_settings(parser, NetworkSettings, "network", leave_out=("network",))
        add_settings(parser, StandinSettings, "as of the stand-in", leave_out=_all_but(StandinSettings, *_OF_NETWORK))
        target = ("deployment", "indexer", "data_service", "collector", "chain_id", "allow_remote")
        add_settings(parser, TargetSettings, "whose", leave_out=_all_but(TargetSettings, *target))
    elif command == "standin":
        add_settings(parser, StandinSettings, "stand-in")
        target = ("indexer", "data_service", "collector", "tap_verifier", "chain_id", "allow_remote")
        add_settings(parser, TargetSettings, "network", leave_out=_all_but(TargetSettings, *target))
    else:
        add_settings(parser, TargetSettings, "target")
        add_settings(parser, CommandSettings, "database", leave_out=_all_but(CommandSettings, "database_url"))
        add_settings(parser, SweepSettings, "run folder", leave_out=_all_but(SweepSettings, "runs_dir"))
    return parser


def _add_run(parser: argparse.ArgumentParser, command: str) -> None:
    """What all commands have that send receipts."""
    from workbench.cli_thresholds import add_junit
    from workbench.options import add_settings
    from workbench.settings import CommandSettings, NetworkSettings, ThresholdSettings

    unused = ("profile", "idle_s") if command in ("load", "noise", "find-limit") else ()
    add_settings(parser, CommandSettings, "the services by their commands", leave_out=unused)
    add_settings(parser, NetworkSettings, "the network around them")
    if command != "noise":
        add_settings(parser, ThresholdSettings, "thresholds")
        add_junit(parser)


def _add_load(parser: argparse.ArgumentParser, command: str) -> None:
    """The settings of a load, or of the equal loads that tell a noise floor."""
    from workbench.cli_noise import add_noise
    from workbench.options import add_settings
    from workbench.settings import EngineSettings, LoadSettings, StandinSettings, SweepSettings, TargetSettings

    add_settings(parser, LoadSettings, "load")
    add_settings(parser, EngineSettings, "generators")
    add_settings(parser, TargetSettings, "target")
    add_settings(parser, SweepSettings, "run folder", leave_out=_all_but(SweepSettings, "runs_dir", "name"))
    add_settings(parser, StandinSettings, "stand-in (without --target)", leave_out=_OF_STANDIN)
    if command == "noise":
        add_noise(parser)
    else:
        parser.add_argument("--json", action="store_true", help="Print the result as JSON.")


def _add_sweep(parser: argparse.ArgumentParser, leave_out: Sequence[str] = ()) -> None:
    """The settings of a sweep, of its profiler all but ``leave_out``."""
    from workbench.options import add_settings
    from workbench.settings import (
        EngineSettings,
        LoadSettings,
        ProfilerSettings,
        StandinSettings,
        SweepSettings,
        TargetSettings,
    )

    add_settings(parser, SweepSettings, "sweep")
    add_settings(parser, ProfilerSettings, "profiler", leave_out=leave_out)
    add_settings(parser, LoadSettings, "load", leave_out=("num_receipts",))
    add_settings(parser, EngineSettings, "generators")
    add_settings(parser, TargetSettings, "target")
    add_settings(parser, StandinSettings, "stand-in (without --target)", leave_out=_OF_STANDIN)


def _add_requests(parser: argparse.ArgumentParser) -> None:
    """What is asked for, and the service it is for."""
    from workbench import cli_exchange
    from workbench.options import add_settings
    from workbench.settings import CommandSettings, LoadSettings, StandinSettings, TargetSettings

    cli_exchange.add_requests(parser)
    plan = ("num_receipts", "rate", "concurrency", "seed", "timeout_s", "max_in_flight", "timestamp_window_s")
    add_settings(parser, LoadSettings, "load", leave_out=_all_but(LoadSettings, *plan))
    add_settings(parser, TargetSettings, "target")
    before = ("preflight", "database_url")
    add_settings(parser, CommandSettings, "before", leave_out=_all_but(CommandSettings, *before))
    add_settings(parser, StandinSettings, "route", leave_out=_all_but(StandinSettings, "url_prefix"))


def _of_files(command: str, arguments: list[str]) -> int:
    """The commands that need no settings, only files."""
    module = import_module(_OF_FILES[command])
    parser = _bare_parser(command)
    getattr(module, f"add_{command}")(parser)
    return int(getattr(module, command)(parser.parse_args(arguments)))


def _profile(arguments: list[str]) -> int:
    from workbench import cli_profilers

    parser = _bare_parser("profile")
    cli_profilers.add_arguments(parser)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_intermixed_args(arguments[:cut])
    options.command = arguments[cut + 1 :]
    return cli_profilers.run(options)


def _all_but(group: Any, *names: str) -> tuple[str, ...]:
    return tuple(name for name in group.model_fields if name not in names)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as options."""
    return {
        name: value for name, value in vars(options).items() if name not in (*_OWN, *_OWN_OF_BATCH, *_OWN_OF_NETWORK)
    }


def _settings(options: argparse.Namespace, **defaults: Any) -> Settings:
    """All settings of a command, with errors that name the option."""
    from workbench.options import option_of
    from workbench.settings import Settings

    given = {**defaults, **_given(options)}
    return Settings.resolve(toml=options.config, labels={name: option_of(name) for name in given}, **given)


def _awaited(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives, on a loop of its own. Imported here: commands about files need no loop."""
    import asyncio

    return asyncio.run(work)


def _load(options: argparse.Namespace) -> int:
    from workbench.progress import Progress
    from workbench.sweep.single import load_settings, run_load

    settings = load_settings(_settings(options, name="load"))
    progress = Progress(sys.stderr)
    result = _awaited(run_load(settings, on_event=progress))
    progress.end()
    if options.json:
        from workbench.exchange.load_json import load_json
        from workbench.runs.atomic import to_json

        print(to_json(load_json(result.summary, result.run.path)))
    else:
        print(result.text)
        print(f"Run         {result.run.path}")
    _write_junit(options, {"load": result.run.manifest})
    return result.exit_code


def _noise(options: argparse.Namespace) -> int:
    from workbench import cli_noise

    return cli_noise.noise(options, _settings(options, name="aa"))


def _sweep(options: argparse.Namespace) -> int:
    from workbench.report.sweep_report import report_sweep

    settings = None if options.resume else _settings(options)
    if options.resume and _given(options):
        raise SettingsError(
            f"--resume takes the run's own settings, found {', '.join(sorted(_given(options)))} as well",
            where="workbench sweep",
            hint="Leave them out, or start a new run",
        )
    run = _awaited(report_sweep(settings, resume=options.resume, config=options.config, say=_say))
    return _finish(run, options)


def _find_limit(options: argparse.Namespace) -> int:
    from workbench import cli_find_limit

    return cli_find_limit.run(options, _given(options), lambda: _settings(options, name="find-limit"))


def _batch(options: argparse.Namespace) -> int:
    from workbench import cli_batch

    return cli_batch.run(options, _given(options), _say)


def _report(options: argparse.Namespace) -> int:
    from workbench.report.sweep_report import report_run

    return _finish(_awaited(report_run(options.run, say=_say, fail_if=options.fail_if)), options)


def _finish(run: Any, options: argparse.Namespace) -> int:
    """The verdict in words, and as the last line the path of the report."""
    from workbench.analysis.repeats import sentences
    from workbench.cli_thresholds import lines_of, stored

    verdict = run.manifest.get("verdict") or {}
    prediction = run.manifest.get("prediction") or {}
    judged = stored(run.manifest)
    for line in (prediction.get("sentence"), f"{verdict.get('headline', run.verdict)}: {verdict.get('sentence', '')}"):
        if line:
            print(line)
    for line in [*sentences(run.repeats), *lines_of(judged)]:
        print(line)
    if run.missing:
        print(f"Missing from the run's folder: {', '.join(run.missing)}", file=sys.stderr)
    for reason in verdict.get("reasons", []):
        if reason not in {one.line for one in judged}:
            print(f"  {reason}")
    _write_junit(options, {run.path.name: run.manifest})
    print(run.path / "report.html")
    return int(run.exit_code)


def _write_junit(options: argparse.Namespace, runs: dict[str, Any]) -> None:
    if options.junit is not None:
        from workbench.cli_thresholds import write_junit

        write_junit(options.junit, runs)


def _requests(options: argparse.Namespace) -> int:
    from workbench import cli_exchange

    return cli_exchange.requests(options, _settings(options))


def _network(options: argparse.Namespace) -> int:
    from workbench import cli_network

    return cli_network.run(options, _settings(options), _given(options))


def _standin(options: argparse.Namespace) -> int:
    from workbench.standin.server import serve

    serve(_settings(options))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from workbench import doctor

    settings = _settings(options)
    found = _awaited(doctor.checks(settings))
    print(doctor.render(found))
    return int(doctor.exit_code(found))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
