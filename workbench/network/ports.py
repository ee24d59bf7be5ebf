"""Ports for the two programs: given ones, checked to be free, or free ones chosen here."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable

from workbench.errors import TargetError
from workbench.ports import free_ports


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


def _bind_free(listener: socket.socket, host: str) -> None:
    for port in free_ports():
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
