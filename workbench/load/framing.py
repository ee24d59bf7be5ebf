"""Where an answer ends when its head does not say: with the connection (RFC 9112, section 6.3)."""

from __future__ import annotations

import contextlib

from httptools import HttpParserError, HttpResponseParser


def ends_with_connection(head: bytes) -> bool:
    """Whether the body of an answer lasts until the service closes.

    ``head``: all that came from the first byte until the head of the final answer was complete, interim answers
    before it and bytes of its body among it. It has been parsed before.
    """
    seen = _Framing()
    with contextlib.suppress(HttpParserError):
        HttpResponseParser(seen).feed_data(head)
    return not seen.has_length and seen.coding != b"chunked"


class _Framing:
    """What the head of the last answer says of its end."""

    def __init__(self) -> None:
        self.has_length = False
        self.coding = b""

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self.has_length = False
        self.coding = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        name = name.lower()
        if name == b"content-length":
            self.has_length = True
        elif name == b"transfer-encoding":
            self.coding = value.rpartition(b",")[2].strip().lower()
