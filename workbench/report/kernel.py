"""The kernel of a notebook that is run: it gets the signer keys by a pipe, not in its environment."""

from __future__ import annotations

import os
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from workbench import keyring


class KernelWithKeys(AsyncKernelManager):
    """Starts a kernel whose settings find the keys that this process holds."""

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # theirs is awaited too
        """As jupyter_client does it, and the kernel inherits the pipe."""
        with keyring.handed_on() as (variables, descriptors):
            options["env"] = {**(options.get("env") or os.environ), **variables}
            await super().start_kernel(**options, pass_fds=descriptors)
