"""Ports for the two programs: given ones, checked to be free, or free ones chosen here."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from workbench.errors import TargetError

FIRST, LAST = 10_000, 32_767
"""The range for free ports: below those that Linux uses for outgoing connections."""
TRIES = 100

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose_ports(wanted: Iterable[tuple[str, str, int]]) -> list[int]:
    """A port for each (option, host, port): the port itself, or a free one for 0; no port twice.

    The programs cannot tell which port they got, so it is chosen here. It must stay free until they use it, perhaps
    minutes later, so it is not one that an outgoing connection could get. Raises TargetError naming address and option
    if a port is taken: the program would report that only in its log.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for option, host, port in wanted:
            listener = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            try:
                if port == 0:
                    _bind_free(listener, host)
                else:
                    # like the programs: recently closed connections do not block the port
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
    """The ports that this system uses for outgoing connections; empty if not known."""
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
