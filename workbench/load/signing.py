"""A process that signs receipts for a generator, so that signing does not hold the interpreter that sends.

Started by :class:`SigningProcess`. Its first line of input is JSON with receipt template and key; each other line holds
timestamps and nonces in turn and is answered by a line of headers. It ends when its input does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from workbench.errors import ToolError
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate

_READY = b"ready\n"


class SigningProcess:
    """The process, ready when the constructor returns. The key goes down its pipe and nowhere else.

    Raises ToolError when it does not start, or has ended.
    """

    def __init__(self, receipt: ReceiptTemplate, key: SigningKey) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.load.signing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is not for it: it ends with us
        )
        if self._ask(json.dumps({"receipt": asdict(receipt), "key": key.reveal()})) != _READY:
            raise ToolError("the process that signs receipts did not start")

    def headers(self, numbers: Sequence[tuple[int, int]]) -> list[str]:
        """The headers of receipts given by timestamp (nanoseconds) and nonce."""
        answer = self._ask(" ".join(f"{stamp} {nonce}" for stamp, nonce in numbers)).decode().split()
        if len(answer) != len(numbers):
            raise ToolError("the process that signs receipts has ended")
        return answer

    def close(self) -> None:
        """End it. What it is asked meanwhile is answered by a ToolError."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, line: str) -> bytes:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        return self._process.stdout.readline()


def main() -> int:
    """Sign what standard input asks for."""
    request = json.loads(sys.stdin.readline())
    receipt = ReceiptTemplate(**request["receipt"])
    signer = receipt.signer(SigningKey(request.pop("key")))
    with contextlib.suppress(BrokenPipeError):  # the generator is gone
        print(_READY.decode(), end="", flush=True)
        for line in sys.stdin:
            numbers = [int(word) for word in line.split()]
            pairs = zip(numbers[::2], numbers[1::2], strict=True)
            print(" ".join(signer.header(stamp, nonce, receipt.value_wei) for stamp, nonce in pairs), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
