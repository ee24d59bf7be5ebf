"""``workbench standin``: the stand-in alone, until it is stopped."""

from __future__ import annotations

import argparse

from workbench.cli.options import add_config, add_settings, all_but, settings_of
from workbench.cli.parser import OneLineParser
from workbench.leaving_out import without_collector


def add_standin(parser: OneLineParser) -> None:
    """The arguments of ``workbench standin``."""
    from workbench.settings import StandinSettings, TargetSettings

    parser.first = ("service_port", "limit_grt", "escrow_grt", "backend_latency", "store", "accept_v1", "config")
    add_config(parser)
    add_settings(parser, StandinSettings, "stand-in")
    target = ("indexer", "data_service", "collector", "tap_verifier", "chain_id", "allow_remote")
    add_settings(parser, TargetSettings, "network", leave_out=all_but(TargetSettings, *target))


def do_standin(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    with without_collector():
        from workbench.standin.server import serve

    serve(settings_of(options))
    return 0
