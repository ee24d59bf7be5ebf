"""Real servers on a loopback port, good and bad ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from workbench.load.plan import Plan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepSpec

GOOD = json.dumps({"graphQLResponse": json.dumps({"data": {"ok": True}}), "attestation": None}).encode()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http_server(handler: Handler, port: int = 0) -> AsyncIterator[str]:
    """A server that answers every POST by ``handler`` and everything else like an indexer-service's misc routes."""

    async def route(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return await handler(request)
        return web.Response(text="Service is up and running")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", route)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def good(request: web.Request) -> web.Response:
    """A null service: reads the request, answers well."""
    await request.read()
    return web.Response(body=GOOD)


@asynccontextmanager
async def raw_server(answer: bytes | None) -> AsyncIterator[str]:
    """A TCP server: sends ``answer`` and closes; None accepts and never says a word; b"" closes at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            if answer is None:
                await reader.read()  # until the client goes
            else:
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def step(url: str, plan: Plan, folder: Path, **changes: object) -> StepSpec:
    """A spec without receipts and its buffer."""
    spec = StepSpec(url=url, query="{ a }", plan=plan, buffer=folder / "step.live", receipt=None, **changes)  # type: ignore[arg-type]
    SampleBuffer.create(spec.buffer, plan.count)
    return spec
