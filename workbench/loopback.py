"""Whether a URL, an address or a Host header means this machine."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

_PORT = re.compile(r":\d*\Z")


def is_loopback(url: str) -> bool:
    """Whether the host in a URL is a name or address of this machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or is_loopback_address(host)


def is_loopback_address(address: str) -> bool:
    """Whether an address is a loopback address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def elsewhere(url: str, address: str) -> str | None:
    """Why no connection may be made: ``url`` names this machine, but ``address`` is another machine. None if it may."""
    if is_loopback(url) and not is_loopback_address(address):
        return f"it names this machine but leads to {address}, another machine"
    return None


@lru_cache(maxsize=64)
def could_be_here(host: str) -> bool:
    """Whether a Host header (or HTTP/2's authority) can be addressed to a server on this machine.

    Another site can point its own name at this machine (DNS rebinding), and its page could then read our answers. Such
    a name has a dot. Accepted are IP addresses and names without a dot, which belong to this machine or its network:
    ``localhost``, a service of a compose file.
    """
    name = host.rpartition(":")[0] if _PORT.search(host) else host
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return "." not in name or name.lower().endswith(".localhost")
    return True
