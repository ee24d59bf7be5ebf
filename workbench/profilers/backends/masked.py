"""Starting a program with signals blocked.

A signal mask is inherited through fork and exec, so it is set in the thread that starts the program, for as long as
that takes, and set back. Nothing runs between fork and exec (``preexec_fn`` is not safe beside threads), and no helper
stands between us and the tool, whose process number would then be another's.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """What this thread starts meanwhile has these signals blocked from its first instruction on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
