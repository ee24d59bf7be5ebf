"""Small services with known costs, a C program and a Python script: they answer ``/work``, and ``/`` without work.

A request for ``/work`` calls ``work`` once, makes SYSCALLS calls of getppid, and loses LEAK_BYTES.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from workbench.profilers.backends.local import LocalService

SYSCALLS = 3
LEAK_BYTES = 1000

C_SERVICE = """
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t over;
static volatile unsigned sink;
static void *kept;

static void stop(int signal) { over = 1; }

__attribute__((noinline)) void work(void) {
    for (unsigned i = 0; i < 20000; i++) sink += i * sink;
}

__attribute__((noinline)) void leak(void) {
    void **block = malloc(LEAK_BYTES);
    *block = kept;
    kept = block;
}

__attribute__((noinline)) void handle(int client) {
    char request[4096];
    size_t size = 0;
    while (size < sizeof request - 1) {
        ssize_t got = read(client, request + size, sizeof request - 1 - size);
        if (got <= 0) break;
        size += got;
        request[size] = 0;
        if (strstr(request, "\\r\\n\\r\\n")) break;
    }
    request[size] = 0;
    if (!strncmp(request, "GET /work", 9)) {
        work();
        leak();
        for (int i = 0; i < SYSCALLS; i++) syscall(SYS_getppid);
    }
    static const char answer[] = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok";
    if (write(client, answer, sizeof answer - 1) < 0) over = over;
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = argc > 2 && !strcmp(argv[2], "stubborn") ? SIG_IGN : stop};
    sigaction(SIGTERM, &action, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 16)) {
        perror("service");
        return 3;
    }
    while (!over) {
        int client = accept(server, 0, 0);
        if (client < 0) continue;
        handle(client);
        close(client);
    }
    return 0;
}
"""

PYTHON_SERVICE = '''
"""Without a handler for SIGTERM, as many services are."""
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

def work():
    total = 0
    for number in range(200):
        total += number
    return total

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/work":
            work()
        self.send_response(200)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''


def needs(*tools: str) -> pytest.MarkDecorator:
    """Skip where one of the tools is not installed; in CI that is a failure."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing or tools)} is not installed")


def compiled(folder: Path) -> Path:
    """The C service."""
    source, program = folder / "service.c", folder / "service"
    source.write_text(C_SERVICE)
    subprocess.run(
        ["gcc", "-g", "-O1", f"-DSYSCALLS={SYSCALLS}", f"-DLEAK_BYTES={LEAK_BYTES}", str(source), "-o", str(program)],
        check=True,
    )
    return program


def c_service(program: Path, port: int, *arguments: str, **changes: object) -> LocalService:
    """The C service on a port; with ``stubborn`` as an argument it does not end on SIGTERM."""
    return LocalService("service", (str(program), str(port), *arguments), f"http://127.0.0.1:{port}/", **changes)  # type: ignore[arg-type]


def python_service(folder: Path, port: int) -> LocalService:
    """The Python service on a port."""
    script = folder / "service.py"
    script.write_text(PYTHON_SERVICE)
    return LocalService("script", (sys.executable, str(script), str(port)), f"http://127.0.0.1:{port}/")


async def work(service: LocalService | str, times: int) -> None:
    """Requests that make a service work, one after another."""
    url = service if isinstance(service, str) else str(service.health_url)
    async with aiohttp.ClientSession() as session:
        for _ in range(times):
            async with session.get(f"{url}work") as response:
                assert response.status == 200
                await response.read()


async def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, changed."""
    return {**os.environ, **changes}
