"""Free ports for services that are started again later: on those that the system gives to whoever asks for any, an
outgoing connection may be by then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FIRST, LAST = 10_000, 32_767
"""The range for free ports: below those that Linux uses for outgoing connections."""
TRIES = 100

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports() -> Iterator[int]:
    """Ports to try, each of which may be taken, at random; at last 0, by which the system chooses one."""
    outgoing = outgoing_ports()
    for _ in range(TRIES):
        port = FIRST + int.from_bytes(os.urandom(4), "big") % (LAST - FIRST + 1)
        if port not in outgoing:
            yield port
    yield 0


def outgoing_ports() -> range:
    """The ports that this system uses for outgoing connections; empty if not known."""
    try:
        low, high = map(int, _OUTGOING.read_text("ascii").split())
    except (OSError, ValueError):
        return range(0)
    return range(low, high + 1)
