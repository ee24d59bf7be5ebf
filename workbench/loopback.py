"""Whether a URL, the address that is connected to for it, and the name by which we are asked, are this machine."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

_PORT = re.compile(r":\d*\Z")


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


@lru_cache(maxsize=64)
def could_be_here(host: str) -> bool:
    """Whether a Host header (or HTTP/2's authority) can be meant for a server of this machine.

    A page of another site can have its own name lead here (DNS rebinding), and its browser would then read our answers
    to it. Such a name has a dot. Addresses are nobody's name, and names without a dot are of this machine or its
    network: ``localhost``, a service of a compose file.
    """
    name = host.rpartition(":")[0] if _PORT.search(host) else host
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return "." not in name or name.lower().endswith(".localhost")
    return True
