"""Ports that the two programs will listen on: given and free, or free ones chosen here."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from workbench.errors import TargetError

FIRST, LAST = 10_000, 32_767
"""Where free ports are looked for: below those that Linux gives to outgoing connections."""
TRIES = 100

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose_ports(wanted: Iterable[tuple[str, str, int]]) -> list[int]:
    """A port for each (option, host, port): the port itself, or a free one where it is 0, no one twice.

    The programs cannot say which port they got, so it has to be chosen for them, and has to stay free until they take
    it, which may be after minutes: so it is none that a client's connection could get meanwhile. Raises TargetError
    naming address and option where a port is taken now: the program would only say so in its log.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for option, host, port in wanted:
            listener = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            try:
                if port == 0:
                    _bind_free(listener, host)
                else:
                    # as the programs do: connections that ended a moment ago are not in the way
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    listener.bind((host, port))
                listener.listen(1)
            except OSError as error:
                raise TargetError(
                    f"cannot listen: {(error.strerror or str(error)).lower()}",
                    where=f"{host}:{port}",
                    hint=f"Give another port with --{option} (0 takes a free one)",
                ) from None
            ports.append(listener.getsockname()[1])
        return ports


def outgoing_ports() -> range:
    """The ports that this system gives to outgoing connections; none where it does not say."""
    try:
        low, high = map(int, _OUTGOING.read_text("ascii").split())
    except (OSError, ValueError):
        return range(0)
    return range(low, high + 1)


def _bind_free(listener: socket.socket, host: str) -> None:
    outgoing = outgoing_ports()
    for _ in range(TRIES):
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        if port in outgoing:
            continue
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    listener.bind((host, 0))
