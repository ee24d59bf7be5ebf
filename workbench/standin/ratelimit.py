"""A rate limit per client, by the generic cell rate algorithm, like the real service's limiter.

One number per client: the theoretical arrival time of the next request.
https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable

_KEPT_CLIENTS = 10_000
_FORWARDED_FOR = re.compile(r'for="?\[?([0-9A-Fa-f.:]+)', re.IGNORECASE)


class RateLimit:
    """``burst`` requests at once, then one every ``interval_s`` seconds, for each client separately."""

    def __init__(self, burst: int, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval_s
        self._tolerance = burst * interval_s
        self._clock = clock
        self._arrivals: dict[str, float] = {}

    def wait(self, client: str) -> float:
        """0 if the request may pass, otherwise the seconds until one may."""
        now = self._clock()
        arrival = max(self._arrivals.get(client, now), now) + self._interval
        if arrival - now > self._tolerance + 1e-9:
            return arrival - now - self._tolerance
        if len(self._arrivals) >= _KEPT_CLIENTS:
            self._arrivals = {key: at for key, at in self._arrivals.items() if at > now}
        self._arrivals[client] = arrival
        return 0.0


def client_of(headers: list[tuple[str, str]], peer: str) -> str:
    """The client's address: x-forwarded-for, x-real-ip, forwarded, then the peer; invalid addresses are skipped.

    Of x-forwarded-for and x-real-ip only the first header counts.
    """
    for name in ("x-forwarded-for", "x-real-ip", "forwarded"):
        values = [value for found, value in headers if found == name]
        for candidate in _candidates(name, values):
            try:
                return str(ipaddress.ip_address(candidate))
            except ValueError:
                continue
    return peer


def _candidates(name: str, values: list[str]) -> list[str]:
    if name == "forwarded":
        return [address for value in values for address in _FORWARDED_FOR.findall(value)]
    if name == "x-forwarded-for":
        return [part.strip() for value in values[:1] for part in value.split(",")]
    return values[:1]
