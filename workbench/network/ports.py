"""Ports that the two programs will listen on: given and free, or free ones chosen here."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from workbench.errors import TargetError


def choose_ports(wanted: Iterable[tuple[str, str, int]]) -> list[int]:
    """A port for each (option, host, port): the port itself, or a free one where it is 0, no one twice.

    The programs cannot say which port they got, so it has to be chosen for them. Raises TargetError naming address and
    option where a port is taken now: the program would only say so in its log.
    """
    with contextlib.ExitStack() as held:
        ports = []
        for option, host, port in wanted:
            listener = held.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
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
