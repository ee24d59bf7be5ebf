"""The settings in groups, each field with its meaning and default."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from workbench.loopback import is_loopback
from workbench.ramp import Ramp, is_ramp
from workbench.receipts.fields import U128_MAX
from workbench.settings.kinds import (
    Address,
    Arrivals,
    Command,
    Deployment,
    Flags,
    Grt,
    Latency,
    PostgresUrl,
    Processes,
    ProfilerMode,
    SchedulerUrl,
    ServiceUrl,
    Url,
    Version,
    check_threshold,
    to_wei,
)

LEAST = 1e-6
"""The smallest number above 0 that a setting with decimals can have."""
TOML_FILE = "workbench.toml"
ENV_PREFIX = "WORKBENCH_"
CONFIG_VARIABLE = "WORKBENCH_CONFIG"  # path of a settings file in place of workbench.toml
MEMORY_VARIABLE = "WORKBENCH_MEMORY_MIB"  # for reading profiles, not for runs; see workbench.profiles.memory


def default_runs_dir() -> Path:
    """``data/runs`` of the nearest folder above with a workbench.toml or pyproject.toml, else of the current one.

    A notebook's kernel works in the notebook's folder, the command line in the project's; both must find the same runs.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / TOML_FILE).is_file() or (folder / "pyproject.toml").is_file():
            return Path(os.path.relpath(folder / "data" / "runs"))
    return Path("data/runs")


class Group(BaseModel):
    """Base of the groups: unknown names are refused, values of secrets never shown.

    The groups are parts of :class:`workbench.Settings`. Alone they check nothing, so their own checks are not built.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
        allow_inf_nan=False,
        defer_build=True,
    )

    @field_validator("*")
    @classmethod
    def _not_next_to_nothing(cls, value: object) -> object:
        """Refuse values next to 0: a rate of 1e-300 would make a plan that never ends."""
        if isinstance(value, float) and 0 < abs(value) < LEAST:
            raise ValueError(f"must be 0 or at least {LEAST:g}, found {value:g}")
        return value


class TargetSettings(Group):
    """Where the receipts go and who pays. Defaults are the constants of the local test network."""

    target: ServiceUrl | None = Field(
        None, description="URL of the indexer-service; without it the embedded stand-in is started."
    )
    deployment: Deployment = Field(
        "QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs",
        description="Subgraph deployment to query, as Qm... or 32 bytes of hex.",
    )
    receipt_version: Version = Field(2, description="2 (Horizon) or 1 (legacy; services before 2.0.0).")
    value_grt: Grt = Field(Decimal("0.001"), description="Value of one receipt in GRT.")
    query: str = Field("{ _meta { block { number } } }", description="GraphQL query that each request carries.")
    graph_url: Url | None = Field(None, description="Network subgraph, for finding the allocation and the escrow.")
    service_metrics_url: Url | None = Field(None, description="Metrics of the indexer-service.")
    agent_metrics_url: Url | None = Field(
        None, description="Metrics of the tap-agent: gives the budget and shows denial."
    )
    allocation: Address | None = Field(
        None, description="Allocation to pay; without it the indexer's first active one is looked up."
    )
    indexer: Address = Field(
        "0xf4EF6650E48d099a4972ea5B414daB86e1998Bd3", description="The indexer (service provider)."
    )
    data_service: Address = Field(
        "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9", description="The SubgraphService contract."
    )
    collector: Address = Field(
        "0xB0D4afd8879eD9F52b28595d31B441D079B2Ca07",
        description="The GraphTallyCollector contract (verifies V2 receipts).",
    )
    tap_verifier: Address = Field(
        "0xC9a43158891282A2B1475592D5719c001986Aaec",
        description="The TAPVerifier contract (verifies V1 receipts).",
    )
    chain_id: int = Field(1337, ge=0, lt=1 << 64, description="Chain id of the signing domain.")
    payers: list[Address] = Field(
        default_factory=list,
        description="Payers whose escrow is spent, one per signer key; default: those of the stand-in.",
    )
    signer_keys: list[SecretStr] = Field(
        default_factory=list,
        description="Receipt signing keys, one per payer, as 64 hex digits. Environment or file only.",
    )
    limit_hint_grt: Grt | None = Field(
        None, description="The agent's limit in GRT, for a target whose agent metrics cannot be read."
    )
    allow_remote: bool = Field(False, description="Allow a target that is not on this machine.")

    @model_validator(mode="after")
    def _consistent_target(self) -> TargetSettings:
        if len(self.payers) != len(self.signer_keys):
            raise ValueError(
                f"payers and signer_keys go in pairs, found {len(self.payers)} and {len(self.signer_keys)}"
            )
        if self.target and not self.allow_remote and not is_loopback(self.target):
            raise ValueError(f"the target {self.target} is not on this machine; pass --allow-remote to load it")
        return self

    @property
    def value_wei(self) -> int:
        """Value of one receipt in wei."""
        return to_wei(self.value_grt)


class LoadSettings(Group):
    """How much load is sent, and when."""

    num_receipts: int = Field(1000, ge=1, le=10_000_000, description="How many receipts to send.")
    concurrency: int | None = Field(None, ge=1, le=10_000, description="Closed loop: this many requests in flight.")
    rate: float | None = Field(
        None, gt=0, le=1_000_000, description="Open loop: receipts per second, at planned times."
    )
    arrivals: Arrivals = Field(
        "constant",
        description="Spacing of an open loop: constant, poisson, or ramp:FROM:TO:DURATION such as ramp:100:2000:60s, "
        "which needs no rate; further receipts are sent at its last rate.",
    )
    spin: bool = Field(
        False,
        description="Open loop: wait the last 200 microseconds before a due time without sleeping. Less lag, "
        "at the cost of up to a whole core.",
    )
    seed: int = Field(1, ge=0, lt=1 << 63, description="Seed of nonces and Poisson arrivals.")
    timeout_s: float = Field(
        10.0, gt=0, le=600, description="Time limit of one request in seconds (at least 60 under a profiler)."
    )
    max_in_flight: int = Field(
        1000, ge=1, le=20_000, description="Open loop: most requests in flight before sending waits."
    )
    timestamp_window_s: float = Field(
        15.0, gt=0, le=600, description="A receipt is sent within this many seconds of its timestamp."
    )

    @model_validator(mode="after")
    def _one_loop(self) -> LoadSettings:
        if self.concurrency is not None and self.rate is not None:
            raise ValueError("concurrency (closed loop) and rate (open loop) exclude each other; give one")
        for name in ("concurrency", "rate"):
            if self.ramp is not None and getattr(self, name) is not None:
                raise ValueError(f"arrivals {self.arrivals} sets its own rates; leave {name} out")
        return self

    @property
    def ramp(self) -> Ramp | None:
        """The ramp of an open loop; None if its arrivals are not a ramp."""
        return Ramp.parse(self.arrivals) if is_ramp(self.arrivals) else None

    @property
    def loop_given(self) -> bool:
        """Whether a setting chooses between open and closed loop."""
        return self.concurrency is not None or self.rate is not None or self.ramp is not None


class EngineSettings(Group):
    """Who sends the load."""

    processes: Processes = Field(
        1, description="Generator processes that share a step, or auto: as many as its rate needs, leaving a core free."
    )
    engine: Literal["local", "dask"] = Field(
        "local", description="Where the generators run: local, or one at each worker of a Dask cluster."
    )
    scheduler: SchedulerUrl | None = Field(
        None, description="Dask: address of the scheduler, such as tcp://127.0.0.1:8786 or tls://host:8786."
    )
    allow_unencrypted: bool = Field(
        False, description="Dask: send signing keys unencrypted over tcp:// to other machines."
    )

    @model_validator(mode="after")
    def _one_engine(self) -> EngineSettings:
        if self.scheduler is not None and self.engine != "dask":
            raise ValueError(f"a scheduler is used with --engine dask only, found {self.engine}")
        if self.engine == "dask" and self.processes != 1:
            raise ValueError(f"with --engine dask each worker is one generator; leave out --processes {self.processes}")
        if self.engine == "dask" and self.scheduler is None:
            raise ValueError("--engine dask needs the address of a Dask scheduler; give it with --scheduler")
        return self


class SweepSettings(Group):
    """The steps of a sweep and what is done between them."""

    receipts: str = Field(
        "250,500,750,1000,1250",
        description="Receipts of each step: a list 250,500,1000, a range 250:1250:250, or geometric 125:2000:x2.",
    )
    repeats: int = Field(
        1, ge=1, le=100, description="Number of times each step is measured, in turn (1, 2, 3, 1, 2, 3) against drift."
    )
    mode: Literal["fresh", "cumulative"] = Field(
        "fresh",
        description="fresh: each step spends a new payer; cumulative: all steps spend one payer's budget.",
    )
    stop_after_denial: bool = Field(False, description="Leave out the steps after the first denied one.")
    pinpoint: bool = Field(
        True, description="At the end, bring one payer to the limit receipt by receipt, to find it exactly."
    )
    settle_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="How long the tap-agent may take to account for a step."
    )
    name: str = Field(
        "sweep",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the run, part of its folder.",
    )
    runs_dir: Annotated[Path, BeforeValidator(lambda given: given or default_runs_dir())] = Field(
        default_factory=lambda: default_runs_dir(), description="Where run folders are made."
    )


class ThresholdSettings(Group):
    """Thresholds of a run."""

    fail_if: list[Annotated[str, AfterValidator(check_threshold)]] = Field(
        default_factory=list,
        description="Fail if this holds, such as 'response_p95_ms > 50', 'refused_share > 0.1%' or "
        "'instructions_per_receipt > 7e6'; may be repeated. All names are in docs/thresholds.md.",
    )


class SearchSettings(Group):
    """The search for a limit: of the sender, or of the service's capacity under thresholds."""

    capacity: bool = Field(
        False, description="Search the highest rate that passes the thresholds, instead of the sender limit."
    )
    search_receipts: int = Field(
        200_000, ge=1, le=1_000_000_000, description="The search sends at most this many receipts."
    )
    predict: bool = Field(
        True, description="Sender limit: start at the number the agent's figures predict; if off, search blindly."
    )
    max_p95_ms: float | None = Field(
        None, gt=0, description="Capacity: a trial passes up to this 95th percentile of the response time in ms."
    )
    max_error_share: float = Field(
        0.0, ge=0, lt=1, description="Capacity: a trial passes up to this share of receipts that were not accepted."
    )
    trial_s: float = Field(2.0, gt=0, le=3600, description="Capacity: length of one trial in seconds.")
    max_trials: int = Field(40, ge=1, le=1000, description="Capacity: the search makes at most this many trials.")
    precision: float = Field(
        1.1,
        gt=1.03,  # a smaller overload is not seen in a trial: search.condition.unseen
        le=10,
        description="Capacity: the search ends when high / low of the bracket is below this factor.",
    )
    start_rate: float = Field(50.0, gt=0, le=1_000_000, description="Capacity: the first rate that is tried.")


class ProfilerSettings(Group):
    """The profiler of a sweep: each step is a window of its own."""

    profiler: Annotated[ProfilerMode, BeforeValidator(lambda text: "massif" if text == "valgrind" else text)] = Field(
        "none", description="Profile the service: flamegraph, massif (valgrind), callgrind, strace or pprofile."
    )
    profiler_flags: Flags | None = Field(None, description="The tool's flags instead of the guide's, in one string.")
    profiler_attach: bool = Field(
        False, description="strace: attach to the running service for each step instead of tracing its whole life."
    )
    compose: Path | None = Field(
        None, description="Profile the services of this docker compose file; --target says where its service answers."
    )
    paired: bool = Field(
        True, description="Under a profiler: first measure a step without it, to get the profiler's overhead."
    )
    warm_up_receipts: int = Field(
        50, ge=0, le=100_000, description="Under a profiler: warm-up receipts sent before the first window."
    )

    @model_validator(mode="after")
    def _fitting_profiler(self) -> ProfilerSettings:
        if self.profiler_attach and self.profiler != "strace":
            raise ValueError(f"only strace can be attached to a running service, the profiler is {self.profiler}")
        return self


class CommandSettings(Group):
    """The service under test by the commands that start it."""

    service_command: Command | None = Field(
        None, description="Command that starts the indexer-service, as in a shell; stopped at the end."
    )
    agent_command: Command | None = Field(
        None, description="Command that starts the tap-agent, as in a shell; stopped at the end."
    )
    profile: Literal["service", "agent", "both"] = Field(
        "service", description="Which of the two programs is profiled."
    )
    idle_s: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="Under a profiler: seconds of an idle window, which measures background cost (default: as long as "
        "the shortest step, 30 at most; 0 leaves it out).",
    )
    database_url: PostgresUrl | None = Field(
        None, description="PostgreSQL of the services, to count stored receipts and see denial."
    )
    preflight: bool = Field(
        True, description="Refuse to start if receipts would be denied or the measurement spoilt; if off, only warn."
    )


class NetworkSettings(Group):
    """The services around the two programs, so that they run on one machine without chain, graph-node or containers."""

    network: bool = Field(False, description="Start the network around the commands, and stop it at the end.")
    network_folder: Path = Field(
        default_factory=lambda: default_runs_dir().parent / "network", description="Where the network keeps its data."
    )
    postgres: PostgresUrl | None = Field(
        None, description="A PostgreSQL database to use; without it an embedded server is started."
    )
    postgres_port: int = Field(0, ge=0, le=65535, description="Port of the embedded PostgreSQL; 0 takes a free one.")
    migrations: Path | None = Field(
        None, description="Folder of SQL migrations that make the schema; default: built-in statements."
    )
    aggregator: Url | None = Field(None, description="tap-aggregator to use; default: a built-in one is started.")
    aggregator_port: int = Field(
        7610, ge=0, le=65535, description="Port of the built-in aggregator; 0 takes a free one."
    )
    syncing_interval_s: float = Field(
        10.0, gt=0, le=3600, description="How often the two programs poll the network subgraph (their default is 60)."
    )


class StandinSettings(Group):
    """The embedded stand-in. Defaults reproduce the guide's "about 1000 receipts": 1 GRT over 0.001 GRT."""

    limit_grt: Grt = Field(
        Decimal(1), description="tap.max_amount_willing_to_lose_grt: unaggregated fees that deny a payer."
    )
    escrow_grt: Grt = Field(Decimal(10), description="Escrow of each payer.")
    standin_payers: int = Field(64, ge=1, le=10_000, description="Number of funded payers.")
    max_receipt_value_grt: Grt = Field(
        Decimal("0.002"),
        description="A receipt of this value or more is refused (upstream's 0.001 would refuse 0.001 itself).",
    )
    min_receipt_value_wei: int = Field(1, ge=0, le=U128_MAX, description="Smallest value that is accepted.")
    timestamp_tolerance_s: float = Field(
        60.0,
        gt=0,
        description="tap.rav_request.timestamp_buffer_secs: tolerance, and age before aggregation.",
    )
    trigger_value_divisor: float = Field(
        10.0, gt=0, description="A RAV is requested when limit / divisor of fees can be aggregated."
    )
    redeem_after_s: float | None = Field(
        None, ge=0, description="Redeem a RAV on chain this long after it was made; default: never."
    )
    agent_delay_ms: float = Field(
        50.0, ge=0, le=60_000, description="Time from a receipt's commit until the agent counts it."
    )
    backend_latency: Latency = Field(
        "lognormal:1:0.3",
        description=(
            "Latency of graph-node in ms: constant:MS, uniform:LOW:HIGH, exponential:MEAN, lognormal:MEDIAN:SIGMA."
        ),
    )
    backend_down: bool = Field(False, description="graph-node fails: 200 with an error body.")
    store: Literal["ok", "slow", "lost", "failing", "gone"] = Field(
        "ok",
        description=(
            "Receipt store: ok; slow: store_delay_ms a batch; lost: batches vanish and the request still gets 200; "
            "failing: the result is lost (500); gone: the storage task has ended (500)."
        ),
    )
    store_delay_ms: float = Field(100.0, ge=0, le=60_000, description="Delay of one batch with store=slow.")
    reset_share: float = Field(
        0.0, ge=0, le=1, description="Share of paid requests whose connection is reset without an answer."
    )
    accept_v1: bool = Field(False, description="Take V1 receipts too, as services before 2.0.0 did.")
    free_query_token: str = Field("freestuff", description="Bearer token that needs no receipt.")
    url_prefix: str = Field("/", pattern=r"^/[A-Za-z0-9._/-]*$", description="Prefix of the paid route.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    service_port: int = Field(7601, ge=0, le=65535, description="Port of the service; 0 takes a free one.")
    service_metrics_port: int = Field(7302, ge=0, le=65535, description="Port of the service's metrics.")
    agent_metrics_port: int = Field(7303, ge=0, le=65535, description="Port of the agent's metrics.")
    graph_port: int = Field(8000, ge=0, le=65535, description="Port of the network subgraph.")
    database: Path | None = Field(None, description="SQLite file; without it one in a temporary folder.")
    role: Literal["both", "service", "agent"] = Field(
        "both", description="both in one process, or one of the two over the same database file."
    )
    standin_seed: int = Field(1, ge=0, description="Seed of backend latency and resets.")
    profile_dir: Path | None = Field(
        None, description="Folder for CPU profiles of the stand-in itself, as the real services write them."
    )
    profile_frequency: int = Field(150, ge=1, le=1000, description="Samples for each second of CPU time.")
    profile_interval_s: float = Field(
        120.0, gt=0, description="Time between two profiles, each of all since the start."
    )
    profile_delay_s: float = Field(10.0, ge=0, description="Time before sampling begins.")
