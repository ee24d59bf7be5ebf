"""What answers meant, remembered: a service says the same few things over and over, and reading JSON takes longer than
all the rest of a request."""

from __future__ import annotations

import hashlib

from workbench.load.outcome import CODE_OF, classify

MAX_ANSWER_BYTES = 64 << 20
"""The largest answer that is read, as it comes over the wire. A larger one ends the exchange: see
:attr:`workbench.load.outcome.Outcome.TOO_LARGE`."""

MAX_HEAD_BYTES = 64 << 10
"""The most that may come before the body of an answer, interim answers among it."""

_REMEMBERED = 4096
_KEPT_WHOLE_BYTES = 4096


class Answers:
    """The outcomes of answers by status and body.

    At most 4,096 are remembered: bodies of up to 4 KiB themselves, of larger ones a digest. So it never holds more
    than 20 MB, whatever a service answers. One that is not remembered is judged each time.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[int, bytes], int] = {}

    def code(self, status: int, body: bytes) -> int:
        """The code of the outcome of a complete answer."""
        key = (status, body)
        if len(body) > _KEPT_WHOLE_BYTES:
            # the minus, so that no small body can pass for the digest of a large one
            key = (-status, hashlib.blake2b(body).digest())
        code = self._codes.get(key)
        if code is None:
            code = CODE_OF[classify(status, body)]
            if len(self._codes) < _REMEMBERED:
                self._codes[key] = code
        return code
