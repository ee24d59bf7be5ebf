"""The settings as keyword arguments, for type checkers; made by signature.py beside this file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal, TypedDict


class TargetParameters(TypedDict, total=False):
    """Where the receipts go and who pays. Defaults are the constants of the local test network."""

    target: str | None
    deployment: str
    receipt_version: Literal[1, 2]
    value_grt: Decimal | float | str
    query: str
    graph_url: str | None
    service_metrics_url: str | None
    agent_metrics_url: str | None
    allocation: str | None
    indexer: str
    data_service: str
    collector: str
    tap_verifier: str
    chain_id: int
    payers: list[str]
    limit_hint_grt: Decimal | float | str | None
    allow_remote: bool


class CommandParameters(TypedDict, total=False):
    """The service under test by the commands that start it."""

    service_command: str | None
    agent_command: str | None
    profile: Literal["service", "agent", "both"]
    idle_s: float | None
    database_url: str | None
    preflight: bool


class LoadParameters(TypedDict, total=False):
    """How much load is sent, and when."""

    num_receipts: int
    concurrency: int | None
    rate: float | None
    arrivals: str
    spin: bool
    seed: int
    timeout_s: float
    max_in_flight: int
    timestamp_window_s: float


class EngineParameters(TypedDict, total=False):
    """Who sends the load."""

    processes: int | Literal["auto"]
    engine: Literal["local", "dask"]
    scheduler: str | None
    allow_unencrypted: bool


class SweepParameters(TypedDict, total=False):
    """The steps of a sweep and what is done between them."""

    receipts: str
    repeats: int
    mode: Literal["fresh", "cumulative"]
    stop_after_denial: bool
    pinpoint: bool
    settle_timeout_s: float
    name: str
    runs_dir: Path | str


class ThresholdParameters(TypedDict, total=False):
    """Thresholds of a run."""

    fail_if: list[str]


class SearchParameters(TypedDict, total=False):
    """The search for a limit: of the sender, or of the service's capacity under thresholds."""

    capacity: bool
    search_receipts: int
    predict: bool
    max_p95_ms: float | None
    max_error_share: float
    trial_s: float
    max_trials: int
    precision: float
    start_rate: float


class ProfilerParameters(TypedDict, total=False):
    """The profiler of a sweep: each step is a window of its own."""

    profiler: Literal["none", "flamegraph", "massif", "callgrind", "strace", "pprofile"]
    profiler_flags: str | None
    profiler_attach: bool
    compose: Path | str | None
    paired: bool
    warm_up_receipts: int


class NetworkParameters(TypedDict, total=False):
    """The services around the two programs, so that they run on one machine without chain, graph-node or containers."""

    network: bool
    network_folder: Path | str
    postgres: str | None
    postgres_port: int
    migrations: Path | str | None
    aggregator: str | None
    aggregator_port: int
    syncing_interval_s: float


class StandinParameters(TypedDict, total=False):
    """The embedded stand-in. Defaults reproduce the guide's "about 1000 receipts": 1 GRT over 0.001 GRT."""

    limit_grt: Decimal | float | str
    escrow_grt: Decimal | float | str
    standin_payers: int
    max_receipt_value_grt: Decimal | float | str
    min_receipt_value_wei: int
    timestamp_tolerance_s: float
    trigger_value_divisor: float
    redeem_after_s: float | None
    agent_delay_ms: float
    backend_latency: str
    backend_down: bool
    store: Literal["ok", "slow", "lost", "failing", "gone"]
    store_delay_ms: float
    reset_share: float
    accept_v1: bool
    url_prefix: str
    host: str
    service_port: int
    service_metrics_port: int
    agent_metrics_port: int
    graph_port: int
    database: Path | str | None
    role: Literal["both", "service", "agent"]
    standin_seed: int
    profile_dir: Path | str | None
    profile_frequency: int
    profile_interval_s: float
    profile_delay_s: float


class Parameters(
    TargetParameters,
    CommandParameters,
    LoadParameters,
    EngineParameters,
    SweepParameters,
    ThresholdParameters,
    SearchParameters,
    ProfilerParameters,
    NetworkParameters,
    StandinParameters,
    total=False,
):
    """All settings that are not secret."""


class ServiceParameters(
    TargetParameters,
    CommandParameters,
    NetworkParameters,
    StandinParameters,
    total=False,
):
    """The settings of what is measured."""
