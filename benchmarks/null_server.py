"""A server that does nothing: nginx answers every paid request with the body of a good query."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWER = r'{"graphQLResponse":"{\"data\":{\"_meta\":{\"block\":{\"number\":1}}}}","attestation":null}'
READY_S = 10.0

# one worker; connections are never closed from this side; every path nginx could write to is in the prefix folder
_CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        location = / {{ return 200 'Service is up and running'; }}
        location / {{ return 200 '{answer}'; }}
    }}
}}
"""


@contextmanager
def null_server(core: int | None) -> Iterator[str]:
    """The URL of a running nginx, pinned to ``core`` where one is given."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise SystemExit("nginx is not installed: apt-get install nginx")
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        configuration = Path(folder) / "nginx.conf"
        answer = ANSWER.replace("\\", "\\\\").replace("'", "\\'")
        configuration.write_text(_CONFIGURATION.format(port=port, answer=answer))
        process = subprocess.Popen([nginx, "-p", folder, "-c", str(configuration), "-e", "error.log"])
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process)
            yield url
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_S
    while True:
        if process.poll() is not None:
            raise SystemExit(f"nginx ended with code {process.returncode}")
        try:
            with opener.open(f"{url}/subgraphs/id/any", data=b"{}") as response:
                body = response.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"nginx does not answer within {READY_S:.0f} s") from None
            time.sleep(0.02)
            continue
        if body != ANSWER:
            raise SystemExit(f"nginx answers {body!r}, wanted {ANSWER!r}")
        return
