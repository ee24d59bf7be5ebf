"""The same requests by Locust's fast client. Run by benchmarks/load.py, in Locust's own environment.

Prints one line of JSON: requests, seconds and CPU seconds from when all users have started until the end.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

PATH = os.environ["BENCH_PATH"]
BODY = os.environ["BENCH_BODY"].encode()
JSON = {"Content-Type": "application/json"}


def _headers() -> Iterator[dict[str, str]]:
    """A receipt for each request, from the file of signed ones if there is one."""
    signed = os.environ.get("BENCH_RECEIPTS")
    if signed is None:
        return itertools.repeat(JSON)
    return itertools.cycle([{**JSON, "Tap-Receipt": line} for line in Path(signed).read_text().split()])


HEADERS = _headers()


class Consumer(FastHttpUser):
    """Sends the next request as soon as the answer has come."""

    @task
    def query(self) -> None:
        """One request."""
        self.client.post(PATH, data=BODY, headers=next(HEADERS))


def _now(environment: Any) -> tuple[int, float, float]:
    return environment.stats.total.num_requests, time.perf_counter(), time.process_time()


@events.init.add_listener
def _measure(environment: Any, **_: Any) -> None:
    started: list[tuple[int, float, float]] = []

    def all_users(**_: Any) -> None:
        started.append(_now(environment))

    def stopping(**_: Any) -> None:
        requests, wall, cpu = (end - start for start, end in zip(started[-1], _now(environment), strict=True))
        failed = environment.stats.total.num_failures
        print(json.dumps({"requests": requests, "seconds": wall, "cpu_s": cpu, "failed": failed}), flush=True)

    environment.events.spawning_complete.add_listener(all_users)
    environment.events.test_stopping.add_listener(stopping)
