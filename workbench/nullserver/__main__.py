"""The process of a null server: one line of JSON on standard input, one on standard output, then it serves until
standard input ends or SIGTERM comes.

``{"delay_ms": 0.0, "port": 0, "shared": false}`` is answered by ``{"port": 40123}``. ``shared``: several processes
listen on the port, and the kernel distributes the connections (SO_REUSEPORT).
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import socket
import sys
from functools import partial
from typing import IO

from workbench.child import Lifeline, loop_factory
from workbench.masking import ended
from workbench.nullserver.delayed import Delayed
from workbench.nullserver.protocol import NullProtocol, at_once

HOST = "127.0.0.1"
BACKLOG = 4096
_YOUNG_OBJECTS = 100_000  # requests leave no reference cycles, so there is hardly anything to collect


def main() -> int:
    """Serve until told to stop."""
    stdin = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  unbuffered: what follows the line stays in the pipe
    asked = json.loads(stdin.readline())
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(stdin, int(asked["delay_ms"] * 1e6), asked["port"], shared=asked["shared"]))
    return 0


async def _serve(stdin: IO[bytes], delay_ns: int, port: int, *, shared: bool) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    await loop.connect_read_pipe(partial(Lifeline, stop), stdin)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    delayed = Delayed(loop, delay_ns) if delay_ns else None
    server = await loop.create_server(partial(NullProtocol, delayed or at_once), sock=_listening(port, shared))
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await stop.wait()
    if delayed is not None:
        delayed.close()
    server.close()


def _listening(port: int, shared: bool) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((HOST, port))
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


if __name__ == "__main__":
    sys.exit(ended(main))
