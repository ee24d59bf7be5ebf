"""Whether an answer ends with the connection, because its head gives no length (RFC 9112, section 6.3)."""

from __future__ import annotations

import contextlib

from httptools import HttpParserError, HttpResponseParser


def ends_with_connection(head: bytes) -> bool:
    """Whether the body of an answer lasts until the service closes.

    ``head``: all bytes received until the head of the final answer was complete, including interim answers and the
    first bytes of the body. It was already parsed without error.
    """
    seen = _Framing()
    with contextlib.suppress(HttpParserError):
        HttpResponseParser(seen).feed_data(head)
    return not seen.has_length and seen.coding != b"chunked"


class _Framing:
    """The framing given by the head of the last answer."""

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
