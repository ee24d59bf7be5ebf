"""The metrics of both services: names, labels and buckets of the real ones, with one registry per instance.

prometheus_client adds ``_created`` series and insists on counters ending in ``_total``; the Rust client does neither
and leaves out families without series. ``exposition`` writes the Rust client's form.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest

from workbench.receipts.address import checksum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# The Rust client's default buckets.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Counters whose name does not end in _total are kept as gauges and exposed as counters.
_COUNTERS_BY_VERSION = (
    "tap_ravs_created_total_by_version",
    "tap_ravs_failed_total_by_version",
)


class _Present(CollectorRegistry):
    """A view of a registry without ``_created`` samples and without families that have no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._whole = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._whole.collect():
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            if family.samples:
                yield family


def exposition(registry: CollectorRegistry) -> bytes:
    """The registry in Prometheus text format 0.0.4."""
    text = generate_latest(_Present(registry)).decode()
    for name in _COUNTERS_BY_VERSION:
        text = text.replace(f"# TYPE {name} gauge", f"# TYPE {name} counter")
    return text.encode()


class ServiceMetrics:
    """indexer-service's families; those without labels appear at their first use."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._handler = Histogram(
            "indexer_query_handler_seconds",
            "Histogram for default indexer query handler",
            ["deployment", "allocation", "sender", "status_code"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._failed = Counter(
            "indexer_receipt_failed_total",
            "Failed receipt checks",
            ["deployment", "allocation", "sender"],
            registry=self.registry,
        )
        self.cost_model_seconds = Histogram(
            "indexer_cost_model_seconds",
            "Histogram metric for single cost model query",
            ["deployment"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._handler_series: dict[tuple[tuple[str, str, str], int], Histogram] = {}

    def handled(self, labels: tuple[str, str, str], status: int, seconds: float) -> None:
        """A request with a sender or a free token ended with this status after this time."""
        series = self._handler_series.get((labels, status))
        if series is None:
            series = self._handler.labels(*labels, str(status))
            self._handler_series[labels, status] = series
        series.observe(seconds)

    def receipt_failed(self, labels: tuple[str, str, str]) -> None:
        """A check or the store refused a receipt."""
        self._failed.labels(*labels).inc()

    @cached_property
    def tap_invalid(self) -> Counter:
        """Requests whose receipt header is missing or cannot be decoded."""
        return Counter("indexer_tap_invalid_total", "Invalid tap receipt decode", registry=self.registry)

    @cached_property
    def cost_model_invalid(self) -> Counter:
        """Single cost model queries with an invalid deployment id."""
        return Counter(
            "indexer_cost_model_invalid_total",
            "Cost model queries with invalid deployment id",
            registry=self.registry,
        )

    @cached_property
    def cost_model_batch_seconds(self) -> Histogram:
        """Duration of batch cost model queries."""
        return Histogram(
            "indexer_cost_model_batch_seconds",
            "Histogram metric for batch cost model query",
            buckets=BUCKETS,
            registry=self.registry,
        )

    @cached_property
    def cost_model_batch_size(self) -> Histogram:
        """Deployments requested in one batch query."""
        return Histogram(
            "indexer_cost_model_batch_size",
            "This shows the size of deployment ids cost model batch queries got",
            buckets=BUCKETS,
            registry=self.registry,
        )

    @cached_property
    def cost_model_batch_invalid(self) -> Counter:
        """Batch queries with an invalid deployment id."""
        return Counter(
            "indexer_cost_model_batch_invalid_total",
            "Batch cost model queries with invalid deployment ids",
            registry=self.registry,
        )

    @cached_property
    def cost_model_batch_limit_exceeded(self) -> Counter:
        """Batch queries for too many deployments."""
        return Counter(
            "indexer_cost_model_batch_limit_exceeded_total",
            "Batch cost model queries rejected for exceeding size limit",
            registry=self.registry,
        )


class AgentMetrics:
    """tap-agent's families. All amounts are in wei although the names contain grt, as in the real agent."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        sender, by_allocation = ["sender"], ["sender", "allocation"]
        by_version = ["sender", "allocation", "version"]
        self.denied = self._gauge("tap_sender_denied", "Sender is denied", sender)
        self.escrow = self._gauge("tap_sender_escrow_balance_grt_total", "Sender escrow balance", sender)
        self.unaggregated = self._gauge(
            "tap_unaggregated_fees_grt_total_by_version",
            "Unaggregated fees per sender, allocation and TAP version",
            by_version,
        )
        self.fee_tracker = self._gauge("tap_sender_fee_tracker_grt_total", "Sender fee tracker metric", sender)
        self.invalid = self._gauge("tap_invalid_receipt_fees_grt_total", "Failed receipt fees", by_allocation)
        self.pending = self._gauge("tap_pending_rav_grt_total", "Pending ravs values", by_allocation)
        self.max_fee = self._gauge("tap_max_fee_per_sender_grt_total", "Max fee per sender in the config", sender)
        self.trigger = self._gauge("tap_rav_request_trigger_value", "RAV request trigger value divisor", sender)
        self.received = Counter(
            "tap_receipts_received_total",
            "Receipts received since start of the program.",
            by_allocation,
            registry=self.registry,
        )
        self.ravs_created = self._gauge(
            "tap_ravs_created_total_by_version",
            "RAVs created/updated per sender allocation and TAP version",
            by_version,
        )
        self.ravs_failed = self._gauge(
            "tap_ravs_failed_total_by_version",
            "RAV requests failed per sender allocation and TAP version",
            by_version,
        )
        self.rav_seconds = Histogram(
            "tap_rav_response_time_seconds_by_version",
            "RAV response time per sender and TAP version",
            ["sender", "version"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


@lru_cache(maxsize=16_384)
def address_label(address: bytes) -> str:
    """How metrics name a payer or an allocation: the checksummed address."""
    return checksum(address)
