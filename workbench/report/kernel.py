"""The kernel of a notebook that is run: it gets the signer keys by a pipe, not in its environment, and ends at once."""

from __future__ import annotations

import os
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from workbench import keyring

NO_LAST_COLLECTION = '--IPKernelApp.exec_lines=[\'__import__("atexit").register(__import__("gc").freeze)\']'
"""A line that the kernel runs before any cell, see :func:`workbench.leaving_out.without_last_collection`."""


class KernelWithKeys(AsyncKernelManager):
    """Starts a kernel whose settings find the keys that this process holds."""

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # theirs is awaited too
        """As jupyter_client does it, with the pipe among what the kernel inherits."""
        with keyring.handed_on() as (variables, descriptors):
            options["env"] = {**(options.get("env") or os.environ), **variables}
            options["extra_arguments"] = [*(options.get("extra_arguments") or ()), NO_LAST_COLLECTION]
            await super().start_kernel(**options, pass_fds=descriptors)
