"""The bytes of a request: everything except the receipt is the same in a step, so it is made once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from workbench.errors import SettingsError

RECEIPT_HEADER = "Tap-Receipt"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110


@dataclass(frozen=True)
class Request:
    """A POST in pieces: ``before`` ends where the value of the receipt's header begins, ``after`` begins where it ends.

    ``plain`` is the whole request without that header.
    """

    before: bytes
    after: bytes
    plain: bytes

    def with_receipt(self, value: bytes) -> bytes:
        """The whole request with ``value`` as its receipt."""
        return b"".join((self.before, value, self.after))


def post(url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Request:
    """The request that sends ``body`` to ``url`` by HTTP/1.1.

    Its headers are Host, Content-Type (JSON unless ``headers`` say otherwise), those of ``headers``, Tap-Receipt and
    Content-Length. Raises SettingsError for a header with invalid characters.
    """
    target = URL(url)
    given = dict(headers or {})
    if not any(name.lower() == "content-type" for name in given):
        given = {"Content-Type": "application/json", **given}
    head = _head("POST", target, given)
    tail = f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    return Request(head + f"{RECEIPT_HEADER}: ".encode(), b"\r\n" + tail, head + tail)


def preflight(url: str) -> bytes:
    """A CORS preflight, which the service answers before its first stage: it is free, and in no rate limit or
    histogram."""
    headers = {"Origin": "http://workbench", "Access-Control-Request-Method": "POST"}
    return _head("OPTIONS", URL(url), headers) + b"\r\n"


def _head(method: str, url: URL, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}"]
    lines += [f"{name}: {_value(name, value)}" for name, value in headers.items()]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _value(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot be the name of a header", where="headers")
    if any(character in value for character in "\r\n\0"):
        raise SettingsError(f"the value of {name} contains a line break or a NUL", where="headers")
    return value
