"""Starting a program with signals blocked.

A signal mask is inherited through fork and exec, so it is set in the thread that starts the program and then reset.
That needs no ``preexec_fn``, which is unsafe with threads, and no helper process, whose number would differ from the
tool's.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Within the block, processes started by this thread have these signals blocked from the start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
