"""Service times as the kernel sees them: from a request's packet on the loopback interface to that of its answer.

What a tool adds to it is its own. Needs tcpdump, and the right to capture.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

_LINE = re.compile(rb"(\d+)\.(\d{9}) IP 127\.0\.0\.1\.(\d+) > 127\.0\.0\.1\.(\d+): tcp (\d+)")
_PACKETS = 1 << 16  # KiB of the capture's buffer


@dataclass
class Seen:
    """The capture after its end: when each request was sent and how long its answer took, in nanoseconds."""

    sent_ns: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    service_ns: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def after(self, warm_up_ns: int) -> Seen:
        """Without requests of the first ``warm_up_ns``."""
        kept = self.sent_ns >= self.sent_ns.min() + warm_up_ns
        return Seen(self.sent_ns[kept], self.service_ns[kept])

    @property
    def gaps_ns(self) -> np.ndarray:
        """The time from each request to the next."""
        return np.diff(np.sort(self.sent_ns))


def can_capture() -> bool:
    """Whether tcpdump is installed and may capture on the loopback interface."""
    if shutil.which("tcpdump") is None:
        return False
    listed = subprocess.run(["tcpdump", "-i", "lo", "-d", "tcp"], capture_output=True, check=False)
    return listed.returncode == 0


@contextmanager
def captured(port: int) -> Iterator[Seen]:
    """Capture the packets of ``port`` while the block runs."""
    command = ["tcpdump", "-i", "lo", "-nn", "-q", "-tt", "--time-stamp-precision=nano", "-B", str(_PACKETS)]
    payload = "(ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2)) > 0"  # no bare acknowledgements
    seen = Seen()
    with tempfile.TemporaryFile() as lines:  # a pipe would fill up
        process = subprocess.Popen([*command, f"tcp port {port} and {payload}"], stdout=lines, stderr=subprocess.PIPE)
        try:
            if process.stderr is None or not any(b"listening on" in line for line in process.stderr):
                raise SystemExit("tcpdump did not start to capture")
            yield seen
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
        lines.seek(0)
        seen.sent_ns, seen.service_ns = _paired(lines.read(), port)


def _paired(lines: bytes, port: int) -> tuple[np.ndarray, np.ndarray]:
    """From the first packet of each request to the last one of its answer, by connection."""
    asked: dict[int, int] = {}
    answered: dict[int, int] = {}
    found = []
    for line in _LINE.finditer(lines):
        moment, source, to = int(line[1]) * 10**9 + int(line[2]), int(line[3]), int(line[4])
        if source == port:
            answered[to] = moment
        elif to == port:
            if source in answered and source in asked:
                found.append((asked.pop(source), answered.pop(source)))
            asked.setdefault(source, moment)
    found += [(moment, answered[client]) for client, moment in asked.items() if client in answered]
    times = np.array(found, dtype=np.int64).reshape(-1, 2)
    return times[:, 0], times[:, 1] - times[:, 0]
