"""The two processes that serve: graph-node with the network subgraph, and the aggregator."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from workbench.child import Lifeline, loop_factory
from workbench.errors import TargetError
from workbench.network.world import World, known_payers
from workbench.receipts import v2
from workbench.receipts.address import parse_address
from workbench.settings import Settings

HOST = "127.0.0.1"
"""Both listen only on this machine, wherever the service listens."""
BACKLOG = 1024


def serve(role: str, line: bytes) -> None:
    """Serve until SIGTERM or the end of standard input. ``line`` is the settings as JSON.

    Raises TargetError if the port is taken.
    """
    settings = Settings.model_validate_json(line)
    start = {"graph": _graph, "aggregator": _aggregator}[role]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(start, settings))


async def _serve(start: Callable[[Settings], Awaitable[tuple[str, Any]]], settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lifeline, _ = await loop.connect_read_pipe(lambda: Lifeline(stop), sys.stdin)
    try:
        url, server = await start(settings)
        # existing objects stay: the garbage collector need not scan them
        gc.collect()
        gc.freeze()
        print(json.dumps({"url": url}), flush=True)
        await stop.wait()
        server.close()
    finally:
        lifeline.close()


async def _graph(settings: Settings) -> tuple[str, Any]:
    from workbench.network.http import Connection
    from workbench.network.node import GraphNode

    node = GraphNode(World.of(settings), settings.standin_seed)
    listener = _bind(settings.graph_port, "graph-port")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(node.handle), sock=listener, backlog=BACKLOG)
    return _url(listener), server


async def _aggregator(settings: Settings) -> tuple[str, Any]:
    from grpclib.config import Configuration
    from grpclib.server import Server

    from workbench.network.aggregator import MAX_REQUEST_BYTES, Aggregator

    keys = {payer.key.address: payer.key for payer in known_payers(settings)}
    domain = v2.domain(settings.chain_id, parse_address(settings.collector))
    # a request fits into the window and arrives at once
    window = Configuration(
        http2_connection_window_size=2 * MAX_REQUEST_BYTES, http2_stream_window_size=2 * MAX_REQUEST_BYTES
    )
    server = Server([Aggregator(domain, keys)], config=window)
    listener = _bind(settings.aggregator_port, "aggregator-port")
    await server.start(sock=listener, backlog=BACKLOG)
    return _url(listener), server


def _bind(port: int, option: str) -> socket.socket:
    """A socket on the loopback address, port 0 for a free one. Raises TargetError naming the option if the port is
    taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        # a taken address is reported here, not at the first connection
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise TargetError(
            f"cannot listen: {(error.strerror or str(error)).lower()}",
            where=f"{HOST}:{port}",
            hint=f"Give another port with --{option} (0 takes a free one)",
        ) from None
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"
