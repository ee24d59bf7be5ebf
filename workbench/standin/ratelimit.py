"""A rate limit per client, by the generic cell rate algorithm that the real service's limiter uses.

One number a client: the theoretical arrival time of the next request. https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Mapping

_KEPT_CLIENTS = 10_000
_FORWARDED_FOR = re.compile(r'for="?\[?([0-9A-Fa-f.:]+)', re.IGNORECASE)


class RateLimit:
    """``burst`` requests at once, then one every ``interval_s`` seconds, for each client on its own."""

    def __init__(self, burst: int, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval_s
        self._tolerance = burst * interval_s
        self._clock = clock
        self._arrivals: dict[str, float] = {}

    def wait(self, client: str) -> float:
        """0 when the request may pass, else the seconds after which one may."""
        now = self._clock()
        arrival = max(self._arrivals.get(client, now), now) + self._interval
        if arrival - now > self._tolerance + 1e-9:
            return arrival - now - self._tolerance
        if len(self._arrivals) >= _KEPT_CLIENTS:
            self._arrivals = {key: at for key, at in self._arrivals.items() if at > now}
        self._arrivals[client] = arrival
        return 0.0


def client_of(headers: Mapping[str, str], peer: str | None) -> str:
    """The client's address: x-forwarded-for, x-real-ip, forwarded, then the peer; what is no address is passed over."""
    forwarded = _FORWARDED_FOR.search(headers.get("forwarded", ""))
    candidates = [
        *headers.get("x-forwarded-for", "").split(","),
        headers.get("x-real-ip", ""),
        forwarded[1] if forwarded else "",
    ]
    for candidate in candidates:
        try:
            return str(ipaddress.ip_address(candidate.strip()))
        except ValueError:
            continue
    return peer or ""
