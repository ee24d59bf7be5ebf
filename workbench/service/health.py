"""Does an indexer-service answer? One request, because its misc routes allow ten a second."""

from __future__ import annotations

from workbench.errors import TargetError
from workbench.service.fetch import get_text

UP = "Service is up and running"


async def require_service(url: str) -> None:
    """Raise TargetError unless an indexer-service answers at ``url``."""
    status, text = await get_text(f"{url}/", "the indexer-service")
    if status == 429:
        raise TargetError(
            "the service allows ten requests a second on its misc routes, and received more",
            where=url,
            hint="Wait a second, and stop other programs that poll it",
        )
    if status != 200 or UP not in text:
        raise TargetError(
            f"answers HTTP {status} {text[:60]!r}, which is not the answer of an indexer-service",
            where=url,
            hint="Give the address of the service itself (port 7601 on the local network), without a path",
        )
