"""Processes that sign receipts for a generator, so that signing does not delay the sending interpreter.

A signer's input begins with a line of JSON: receipt template and key. Then come requests: the number of receipts
(uint32), their timestamps and nonces (uint64 each), in the machine's byte order. The answers follow in order: the
length (uint32) and the headers with a newline between them. A first, empty answer means that the signer is ready. It
ends when its input closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import struct
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import BinaryIO

from workbench.masking import ended
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate

MOST_SIGNERS = 8
"""The most signers: with more, a generator gets more receipts than it can send."""
NICE = 10
"""Priority (nice) during a step: signing is seconds ahead and can wait, the service under test cannot."""
_AT_ONCE = 2  # requests queued at a signer, so that it need not wait between two
_READ = 1 << 16
_SIZE = struct.Struct("=I")

Answer = tuple[int, list[bytes] | None]


class SigningPool:
    """``size`` signers, used from one thread at a time. They start in the background: ``ready`` tells how many have.

    The key is passed only through their pipes. A signer that has ended or never started is not an error: its requests
    are answered by None.
    """

    def __init__(self, receipt: ReceiptTemplate, key: SigningKey, size: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._signers: list[_Signer] = []
        self._lost: list[Answer] = []
        first_line = json.dumps({"receipt": asdict(receipt), "key": key.reveal()}).encode() + b"\n"
        with contextlib.suppress(OSError):  # the system allows no more processes
            for _ in range(min(size, MOST_SIGNERS)):
                signer = _Signer(first_line)
                self._signers.append(signer)
                self._selector.register(signer.output, selectors.EVENT_READ, signer)

    @property
    def ready(self) -> int:
        """How many of them are ready."""
        return sum(signer.ready for signer in self._signers)

    @property
    def free(self) -> bool:
        """Whether one of them can be asked now."""
        return any(signer.ready and len(signer.asked) < _AT_ONCE for signer in self._signers)

    def ask(self, ticket: int, stamps_ns: Sequence[int], nonces: bytes) -> None:
        """Ask the least busy signer to sign receipts. ``answers`` returns them with ``ticket``.

        ``nonces`` are uint64 in the machine's byte order, as many as there are timestamps.
        """
        signer = min((signer for signer in self._signers if signer.ready), key=lambda signer: len(signer.asked))
        signer.asked.append(ticket)
        try:
            signer.write(_SIZE.pack(len(stamps_ns)) + array("Q", stamps_ns).tobytes() + nonces)
        except OSError:
            self._end(signer)

    def answers(self, timeout_s: float) -> list[Answer]:
        """New signed receipts, by ticket; waits up to ``timeout_s`` for the first. None: its signer has ended."""
        found: list[Answer] = []
        if self._signers:
            for key, _ in self._selector.select(0 if self._lost else timeout_s):
                signer: _Signer = key.data
                if not signer.read(found):
                    self._end(signer)
        found.extend(self._lost)
        self._lost.clear()
        return found

    def step_back(self) -> None:
        """Lower their priority, as the step begins."""
        for signer in self._signers:
            with contextlib.suppress(OSError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, signer.pid, NICE)

    def close(self) -> None:
        """Stop all signers."""
        for signer in list(self._signers):
            self._end(signer)
        self._selector.close()

    def _end(self, signer: _Signer) -> None:
        self._selector.unregister(signer.output)
        self._signers.remove(signer)
        self._lost.extend((ticket, None) for ticket in signer.asked)
        signer.close()


class _Signer:
    """One signer process, seen from the generator."""

    def __init__(self, first_line: bytes) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.load.signing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C must not reach it: it ends with us
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        self._input, self.output = self._process.stdin, self._process.stdout
        self._rest = b""  # the beginning of an incomplete answer
        self.pid = self._process.pid
        self.ready = False
        self.asked: deque[int] = deque()
        with contextlib.suppress(OSError):  # it has ended, which reading will show
            self._input.write(first_line)

    def write(self, request: bytes) -> None:
        """Send a request, which is smaller than a pipe. Raises OSError where the process has ended."""
        self._input.write(request)

    def read(self, found: list[Answer]) -> bool:
        """Read once and add the answers that are complete to ``found``; False when the process has ended."""
        data = os.read(self.output.fileno(), _READ)
        alive = bool(data)
        if self._rest:
            data = self._rest + data
        begin = 0
        while len(data) >= begin + _SIZE.size:
            end = begin + _SIZE.size + _SIZE.unpack_from(data, begin)[0]
            if len(data) < end:
                break
            if self.ready:
                found.append((self.asked.popleft(), data[begin + _SIZE.size : end].split(b"\n")))
            self.ready = True
            begin = end
        self._rest = data[begin:]
        return alive

    def close(self) -> None:
        """Kill it; it has nothing to lose."""
        self._process.kill()
        for stream in (self._input, self.output):
            with contextlib.suppress(OSError):
                stream.close()
        self._process.wait()


def main() -> int:
    """Sign the requests from standard input."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    request = json.loads(requests.readline())
    receipt = ReceiptTemplate(**request["receipt"])
    signer = receipt.signer(SigningKey(request.pop("key")))
    with contextlib.suppress(BrokenPipeError):  # the generator is gone
        _say(answers, b"")
        while size := requests.read(_SIZE.size):
            numbers = array("Q", requests.read(2 * 8 * _SIZE.unpack(size)[0]))
            half = len(numbers) // 2
            headers = [
                signer.header(stamp, nonce, receipt.value_wei)
                for stamp, nonce in zip(numbers[:half], numbers[half:], strict=True)
            ]
            _say(answers, "\n".join(headers).encode())
    return 0


def _say(answers: BinaryIO, headers: bytes) -> None:
    answers.write(_SIZE.pack(len(headers)) + headers)
    answers.flush()


if __name__ == "__main__":
    sys.exit(ended(main))
