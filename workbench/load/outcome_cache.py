"""The outcomes of answers, remembered: a service sends the same few answers over and over, and parsing their JSON would
take longer than all the rest of a request."""

from __future__ import annotations

import hashlib

from workbench.load.outcome import CODE_OF, Outcome, classify

MAX_ANSWER_BYTES = 64 << 20
"""The largest answer that is read, as it comes over the wire. A larger one ends the exchange: see
:attr:`workbench.load.outcome.Outcome.TOO_LARGE`."""

MAX_HEAD_BYTES = 64 << 10
"""The most that may come before the body of an answer, interim answers among it."""

MAX_HELD_BYTES = 128 << 20
"""The most of answers that are not whole yet, over all connections of a generator: a thousand connections with a large
answer each would else hold 64 GB. The answer that would bring it over this ends as one that is too large. In memory
they take up to twice as much, since they grow while they are read."""

MAX_JUDGED_BYTES = 512 << 20
"""The most memory that the JSON of one answer may take while it is judged: text of brackets alone takes 25 times its
bytes."""

# What Python keeps for an empty object, an empty list, and one more item or member, in bytes.
_OF_OBJECT, _OF_LIST, _OF_ITEM = 64, 56, 60
_SMALL_BYTES = 1 << 20  # judged as it is

_REMEMBERED = 4096
_KEPT_WHOLE_BYTES = 4096


_TOO_LARGE = CODE_OF[Outcome.TOO_LARGE]


def _takes_too_much(body: bytes) -> bool:
    """Whether an answer would take more memory as objects than MAX_JUDGED_BYTES. JSON inside of JSON counts too."""
    if len(body) < _SMALL_BYTES:
        return False
    marks = body.count(b"{") * _OF_OBJECT + body.count(b"[") * _OF_LIST + body.count(b",") * _OF_ITEM
    return marks > MAX_JUDGED_BYTES


class OutcomeCache:
    """The outcomes of answers by status and body.

    At most 4,096 are remembered: bodies of up to 4 KiB themselves, of larger ones a digest. So it never holds more
    than 20 MB, whatever a service answers. One that is not remembered is judged each time.
    """

    def __init__(self) -> None:
        self.held = 0  # bytes of answers that are not whole yet, kept by their connections
        self._codes: dict[tuple[int, bytes], int] = {}

    def code(self, status: int, body: bytes) -> int:
        """The code of the outcome of a complete answer."""
        key = (status, body)
        if len(body) > _KEPT_WHOLE_BYTES:
            # the minus, so that no small body can pass for the digest of a large one
            key = (-status, hashlib.blake2b(body).digest())
        code = self._codes.get(key)
        if code is None:
            code = _TOO_LARGE if _takes_too_much(body) else CODE_OF[classify(status, body)]
            if len(self._codes) < _REMEMBERED:
                self._codes[key] = code
        return code
