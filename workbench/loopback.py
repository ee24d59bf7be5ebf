"""Whether a URL, and the address that is connected to for it, is this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether a URL says that it leads to this machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or is_loopback_address(host)


def is_loopback_address(address: str) -> bool:
    """Whether an address, as it is connected to, is this machine's own to itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def elsewhere(url: str, address: str) -> str | None:
    """Why ``address`` must not be connected to for ``url``: it says this machine and leads to another. None where it
    may."""
    if is_loopback(url) and not is_loopback_address(address):
        return f"it says this machine and leads to {address}, which is another"
    return None
