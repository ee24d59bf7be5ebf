"""The kernel of a notebook that is run: it gets the signer keys by a pipe, not in its environment, and looks
for little garbage."""

from __future__ import annotations

import os
from typing import Any

from jupyter_client.manager import AsyncKernelManager

from workbench import keyring

FIRST_LINES = (
    '__import__("gc").set_threshold(50_000, 20, 20)',
    '__import__("atexit").register(__import__("gc").freeze)',
)
"""What the kernel runs before any cell: it looks for garbage rarely, and not at its end, which would take a fifth of
the CPU time of a report; see :mod:`workbench.leaving_out`."""


class KernelWithKeys(AsyncKernelManager):
    """Starts a kernel whose settings find the keys that this process holds."""

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # theirs is awaited too
        """As jupyter_client does it, and the kernel inherits the pipe."""
        with keyring.handed_on() as (variables, descriptors):
            options["env"] = {**(options.get("env") or os.environ), **variables}
            first = f"--IPKernelApp.exec_lines={list(FIRST_LINES)}"
            options["extra_arguments"] = [*(options.get("extra_arguments") or ()), first]
            await super().start_kernel(**options, pass_fds=descriptors)
