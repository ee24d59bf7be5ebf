"""Listening sockets: one aiohttp application on one address."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable

from aiohttp import web

from workbench.errors import SettingsError, TargetError
from workbench.standin.answers import text_answer

# How long a stop waits for requests that are still being answered.
SHUTDOWN_S = 5.0


def check_host(host: str, allow_remote: bool) -> None:
    """Raise SettingsError when ``host`` would make the stand-in reachable from other machines unasked."""
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


async def listen(app: web.Application, host: str, port: int, option: str) -> tuple[web.AppRunner, str]:
    """Serve an application; the runner to clean up and the base URL.

    Port 0 takes a free one. Raises TargetError naming the address and the ``option`` to change when it is taken.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        await runner.cleanup()
        # asyncio and uvloop word it differently, so the system's own words are taken
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise TargetError(
            f"cannot listen: {reason.lower()}",
            where=f"{host}:{port}",
            hint=f"Give another port with --{option.replace('_', '-')} (0 takes a free one)",
        ) from error
    return runner, _url(host, runner.addresses[0][1])


def metrics_app(exposition: Callable[[], bytes], content_type: str) -> web.Application:
    """An application that serves ``/metrics`` and a 404 text everywhere else."""

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"content-type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_route("*", "/{path:.*}", _not_found)
    return app


async def _not_found(request: web.Request) -> web.Response:
    return text_answer("404 Not Found", 404)


def _url(host: str, port: int) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
