"""``workbench doctor``: what is installed and reachable, and how to fix what is not."""

from __future__ import annotations

import argparse
import sys

from workbench.cli.options import add_config, add_settings, all_but, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json
from workbench.cli.waiting import awaited
from workbench.terminal import coloured


def add_doctor(parser: OneLineParser) -> None:
    """The arguments of ``workbench doctor``."""
    from workbench.settings import CommandSettings, SweepSettings, TargetSettings

    parser.first = ("target", "service_command", "database_url", "service_metrics_url", "agent_metrics_url", "runs_dir",
                    "json", "config")  # fmt: skip
    add_json(parser, "what was found")
    add_config(parser)
    add_settings(parser, TargetSettings, "target")
    own = ("service_command", "agent_command", "database_url")
    add_settings(parser, CommandSettings, "services", leave_out=all_but(CommandSettings, *own))
    add_settings(parser, SweepSettings, "run folder", leave_out=all_but(SweepSettings, "runs_dir"))


def do_doctor(options: argparse.Namespace) -> int:
    """Run the checks and print a row for each."""
    from workbench import doctor

    found = awaited(doctor.checks(settings_of(options)))
    if options.json:
        print_json([one.as_dict() for one in found])
    else:
        print(doctor.render(found, colours=coloured(sys.stdout)))
    return int(doctor.exit_code(found))
