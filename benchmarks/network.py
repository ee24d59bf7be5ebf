"""CPU time of the network's graph-node for a paid query: every receipt of the real service causes one.

20,000 queries over kept connections, for several numbers of connections; CPU time is that of the server process, which
a busy machine hardly changes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path

import psutil

from benchmarks.harness import arguments, interleave, table, write
from workbench.network.child import child
from workbench.settings import Settings

QUERIES = 20_000
CONNECTIONS = (1, 4, 16, 64)
TARGET_US = 100.0
QUANTITY = "CPU microseconds per query"

_QUERY = b'{"query":"{ _meta { block { number } } }"}'


async def _measure(connections: int) -> float:
    settings = Settings(graph_port=0)
    request = (
        f"POST /subgraphs/id/{settings.deployment} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"accept: */*\r\ncontent-length: {len(_QUERY)}\r\n\r\n"
    ).encode() + _QUERY

    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(QUERIES // connections):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        async with child("graph", settings, Path(folder) / "log") as graph:
            server, port = psutil.Process(graph.pid), int(graph.url.rpartition(":")[2])
            before = server.cpu_times()
            await asyncio.gather(*(client(port) for _ in range(connections)))
            after = server.cpu_times()
    return (after.user + after.system - before.user - before.system) / QUERIES * 1e6


def measure(connections: int) -> dict[str, float]:
    """CPU time of one query, in microseconds."""
    return {QUANTITY: asyncio.run(_measure(connections))}


def main() -> int:
    """Measure, print, write; 1 if a query costs more than the target."""
    options = arguments(__doc__.splitlines()[0]).parse_args()
    figures = interleave({f"{n} connections": partial(measure, n) for n in CONNECTIONS}, options.rounds)
    print(table(figures))
    missed = [f for f in figures if f.median > TARGET_US]
    for figure in missed:
        print(f"{figure.rival}: {figure.median:.0f} us, target at most {TARGET_US:.0f} us")
    write(options.out, "network", figures, target_us=TARGET_US)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
