"""A cache of the outcomes of answers: a service repeats the same few answers, and parsing their JSON would take longer
than the rest of a request."""

from __future__ import annotations

import hashlib

from workbench.load.outcome import CODE_OF, Outcome, classify

MAX_ANSWER_BYTES = 64 << 20
"""The largest answer that is read, in bytes on the wire. A larger one ends the exchange: see
:attr:`workbench.load.outcome.Outcome.TOO_LARGE`."""

MAX_HEAD_BYTES = 64 << 10
"""The most bytes before the body of an answer, including interim answers."""

MAX_HELD_BYTES = 128 << 20
"""The most bytes of unfinished answers over all connections of a generator: a thousand connections with a large answer
each would hold 64 GB. The answer that exceeds this ends as too large. They take up to twice as much memory, since they
grow while they are read."""

MAX_JUDGED_BYTES = 512 << 20
"""The most memory for parsing the JSON of one answer: text of only brackets takes 25 times its bytes."""

# Python's memory in bytes for an empty object, an empty list, and each item or member.
_OF_OBJECT, _OF_LIST, _OF_ITEM = 64, 56, 60
_SMALL_BYTES = 1 << 20  # parsed without this check

_REMEMBERED = 4096
_KEPT_WHOLE_BYTES = 4096


_TOO_LARGE = CODE_OF[Outcome.TOO_LARGE]


def _takes_too_much(body: bytes) -> bool:
    """Whether an answer would take more memory as objects than MAX_JUDGED_BYTES. JSON inside JSON strings counts
    too."""
    if len(body) < _SMALL_BYTES:
        return False
    marks = body.count(b"{") * _OF_OBJECT + body.count(b"[") * _OF_LIST + body.count(b",") * _OF_ITEM
    return marks > MAX_JUDGED_BYTES


class OutcomeCache:
    """The outcomes of answers by status and body.

    At most 4,096 are kept: bodies of up to 4 KiB, digests of larger ones; so at most 20 MB. Others are parsed each
    time.
    """

    def __init__(self) -> None:
        self.held = 0  # bytes of unfinished answers, updated by their connections
        self._codes: dict[tuple[int, bytes], int] = {}

    def code(self, status: int, body: bytes) -> int:
        """The code of the outcome of a complete answer."""
        key = (status, body)
        if len(body) > _KEPT_WHOLE_BYTES:
            # negative, so that no small body can equal the digest of a large one
            key = (-status, hashlib.blake2b(body).digest())
        code = self._codes.get(key)
        if code is None:
            code = _TOO_LARGE if _takes_too_much(body) else CODE_OF[classify(status, body)]
            if len(self._codes) < _REMEMBERED:
                self._codes[key] = code
        return code
