"""Ports for services of tests that run side by side."""

from __future__ import annotations

import random
import socket

# below what the workbench chooses itself (workbench.ports) and what a system gives to connections
FIRST, LAST = 2_000, 7_000

# A socket of UDP for each port given: no test's service uses UDP, so it keeps the number from other tests' processes
# until this one ends, and the service can listen on it by TCP.
_kept: list[socket.socket] = []
_any = random.SystemRandom()  # a test's seed gives every process the same numbers


def free_port() -> int:
    """A port of TCP nobody listens on, and that no other test is given while this process runs."""
    while True:
        port = _any.randint(FIRST, LAST)
        kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            kept.bind(("127.0.0.1", port))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            kept.close()
            continue
        _kept.append(kept)
        return port
