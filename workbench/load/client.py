"""One exchange with the service: a receipt goes out, an answer comes back, the clock is read around the whole body."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import aiohttp
from yarl import URL

from workbench.load.outcome import CODE_OF, Outcome, classify, classify_exception

_CACHED_ANSWERS = 4096


@dataclass(frozen=True)
class Exchange:
    """What was seen of one request. Times are of the monotonic clock; 0 and status 0 where no answer came."""

    sent_ns: int
    first_byte_ns: int
    done_ns: int
    status: int
    outcome: int
    bytes_in: int


class ReceiptClient:
    """A pool of keep-alive connections to one paid route.

    Nothing of aiohttp that waits, retries or inspects stays on: no connection limit (an open loop would silently
    become closed at the default of 100), no cookies, no decompression, no redirects, no tracing, no proxy variables.
    """

    def __init__(self, url: str, body: bytes, *, timeout_s: float, headers: dict[str, str] | None = None) -> None:
        self._url = URL(url)
        self._body = body
        self._answers: dict[tuple[int, bytes], int] = {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=None, keepalive_timeout=3600),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", **(headers or {})},
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Accept"),
            timeout=aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=3600),
            auto_decompress=False,
            trust_env=False,
        )

    async def open_connections(self, count: int) -> int:
        """Open ``count`` connections before the step and return how many were opened.

        By CORS preflights, all at once: the service answers them before its first stage, so they cost the sender
        nothing, and are on no rate limit and in no histogram.
        """

        async def preflight() -> bool:
            try:
                async with self._session.options(
                    self._url, headers={"Origin": "http://workbench", "Access-Control-Request-Method": "POST"}
                ) as response:
                    await response.read()
                    return True
            except (aiohttp.ClientError, OSError, TimeoutError):
                return False

        return sum(await asyncio.gather(*(preflight() for _ in range(count))))

    async def exchange(self, receipt_header: str | None) -> Exchange:
        """Send one request and read the whole answer. Never raises for what the network or service does."""
        headers = None if receipt_header is None else {"Tap-Receipt": receipt_header}
        first_byte_ns = status = bytes_in = 0
        sent_ns = time.monotonic_ns()
        try:
            async with self._session.post(
                self._url, data=self._body, headers=headers, allow_redirects=False
            ) as response:
                first_byte_ns = time.monotonic_ns()
                body = await response.read()
                done_ns = time.monotonic_ns()
                status, bytes_in = response.status, len(body)
        except asyncio.CancelledError:
            return Exchange(sent_ns, first_byte_ns, time.monotonic_ns(), 0, CODE_OF[Outcome.CANCELLED], 0)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            outcome = CODE_OF[classify_exception(error)]
            return Exchange(sent_ns, first_byte_ns, time.monotonic_ns(), 0, outcome, 0)
        return Exchange(sent_ns, first_byte_ns, done_ns, status, self._classify(status, body), bytes_in)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _classify(self, status: int, body: bytes) -> int:
        key = (status, body)
        code = self._answers.get(key)
        if code is None:
            code = CODE_OF[classify(status, body)]
            if len(self._answers) < _CACHED_ANSWERS:
                self._answers[key] = code
        return code
