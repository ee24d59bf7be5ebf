"""Small HTTP requests to a target, with one clear error for each way that they can fail."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.errors import SettingsError, TargetError
from workbench.loopback import elsewhere
from workbench.masking import shown
from workbench.settings.kinds import without_password

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S = 5.0
MAX_BYTES = 64 << 20
"""The largest answer that is read: the metrics of an agent with 10,000 payers are about 10 MiB."""


@dataclass(frozen=True)
class Answer:
    """Status, body and headers of an HTTP answer; header names in any letter case."""

    status: int
    text: str
    headers: Mapping[str, str]


async def get_text(url: str, what: str, timeout_s: float | None = None) -> tuple[int, str]:
    """Status and body of a GET. Raises TargetError with ``what`` and the URL, also if no answer comes within
    ``timeout_s`` (None: TIMEOUT_S)."""
    answer = await _request("GET", url, what, None, timeout_s=timeout_s)
    return answer.status, answer.text


async def post_json(
    url: str,
    payload: dict[str, Any],
    what: str,
    *,
    headers: dict[str, str] | None = None,
    timeout_s: float | None = None,
) -> Answer:
    """The answer to a POST of JSON. Raises TargetError if none comes within ``timeout_s`` (None: TIMEOUT_S)."""
    return await _request("POST", url, what, payload, headers, timeout_s)


async def post_graphql(url: str, query: str, what: str) -> dict[str, Any]:
    """The ``data`` of a GraphQL answer. Raises TargetError if there is none."""
    reply = await _request("POST", url, what, {"query": query})
    status, text = reply.status, reply.text
    try:
        answer = json.loads(text)
        data = answer["data"]
    except (ValueError, KeyError, TypeError):
        raise TargetError(
            f"{what} answered HTTP {status} without GraphQL data: {text[:120]!r}",
            where=url,
            hint="Check the URL of the network subgraph (--graph-url)",
        ) from None
    if not isinstance(data, dict):
        raise TargetError(f"{what} answered with an error: {json.dumps(answer)[:200]}", where=url)
    return data


def require_no_redirect(status: int, headers: Mapping[str, str], what: str, url: str) -> None:
    """Raise TargetError for a redirect: no request follows one."""
    if 300 <= status < 400 and "Location" in headers:
        there = shown(without_password(headers["Location"]), 200)
        raise TargetError(
            f"{what} answers HTTP {status} and redirects to {there}, which was not followed",
            where=url,
            hint="Give that address, if it is the right one",
        )


def _socket(url: str, found: Any) -> socket.socket:
    """A socket to the address that a host name resolved to; only here it is known."""
    family, kind, protocol, _, address = found
    if reason := elsewhere(url, str(address[0])):
        raise SettingsError(reason, where=url, hint="Check /etc/hosts, or write 127.0.0.1")
    return socket.socket(family, kind, protocol)


async def _body(content: aiohttp.StreamReader, what: str, url: str) -> bytearray:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > MAX_BYTES:
            raise TargetError(
                f"{what} answers with more than {MAX_BYTES >> 20} MiB; reading stopped there",
                where=url,
                hint="Check the address; no expected answer is that large",
            )
    return body


async def _request(
    method: str,
    url: str,
    what: str,
    payload: dict[str, Any] | None,
    headers: dict[str, str] | None = None,
    timeout_s: float | None = None,
) -> Answer:
    import aiohttp  # slow, and not needed by commands that send no request

    timeout_s = timeout_s or TIMEOUT_S
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout,
                trust_env=False,
                # no compressed answers: a small one can become large when it is unpacked
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
                connector=aiohttp.TCPConnector(socket_factory=partial(_socket, url)),
            ) as session,
            # a redirect must not send the request to another service
            session.request(method, url, json=payload, headers=headers, allow_redirects=False) as response,
        ):
            require_no_redirect(response.status, response.headers, what, url)
            body = await _body(response.content, what, url)
            return Answer(response.status, body.decode(errors="replace"), response.headers)
    except TimeoutError:
        raise TargetError(
            f"{what} accepted the connection but did not answer within {timeout_s:.0f} s",
            where=url,
            hint="Look at the service's log; it may be starting or blocked",
        ) from None
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or str(error.os_error)
        raise TargetError(
            f"{what} is not reachable ({reason})", where=url, hint="Start it, or correct the address"
        ) from None
    except (aiohttp.ClientError, ValueError, OSError) as error:
        raise TargetError(
            f"{what} gave no valid HTTP answer ({type(error).__name__})",
            where=url,
            hint="Another program seems to listen there; check the port",
        ) from None
