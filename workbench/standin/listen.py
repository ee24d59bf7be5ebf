"""Listening sockets: one handler on one address."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
from collections.abc import Callable

from workbench.errors import SettingsError, TargetError
from workbench.ports import free_ports
from workbench.standin.answers import text_answer
from workbench.standin.http.connection import Handler, Service
from workbench.standin.http.messages import Answer, Request

# How long a stop waits for unfinished answers.
SHUTDOWN_S = 5.0


def check_host(host: str, allow_remote: bool) -> None:
    """Raise SettingsError if ``host`` would make the stand-in reachable from other machines without permission."""
    if host == "localhost" or allow_remote:
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SettingsError(
            f"the stand-in would be reachable from other machines at {host!r}",
            where="host",
            hint="Use 127.0.0.1, or --allow-remote if that is meant",
        )


class Listener:
    """A service on its address, until closed."""

    def __init__(self, service: Service, server: asyncio.Server, host: str) -> None:
        self._service = service
        self._server = server
        self.url = _url(host, server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Accept no more connections, give running requests some time, and end."""
        self._server.close()
        await self._service.close(SHUTDOWN_S)


async def listen(service: Service, host: str, port: int, option: str) -> Listener:
    """Serve on an address. Port 0 takes a free one, which stays free for a later start.

    Raises TargetError naming the address and the ``option`` to change, if the port is taken.
    """
    try:
        server = await _server(service, host, port)
    except OSError as error:
        # asyncio and uvloop have different texts, so the system's text is used
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise TargetError(
            f"cannot listen: {reason.lower()}",
            where=f"{host}:{port}",
            hint=f"Give another port with --{option.replace('_', '-')} (0 takes a free one)",
        ) from error
    return Listener(service, server, host)


async def _server(service: Service, host: str, port: int) -> asyncio.Server:
    create = asyncio.get_running_loop().create_server
    for tried in free_ports() if port == 0 else ():
        try:
            return await create(service, host, tried, backlog=1024)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return await create(service, host, port, backlog=1024)


def metrics_handler(exposition: Callable[[], bytes], content_type: str) -> Handler:
    """Serves ``/metrics`` and a 404 text everywhere else."""

    async def metrics(request: Request) -> Answer:
        if request.head.path == "/metrics":
            return Answer(200, exposition(), content_type)
        return text_answer("404 Not Found", 404)

    return metrics


def _url(host: str, port: int) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
