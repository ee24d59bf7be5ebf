"""Importing a library without a part of it that nothing here uses and that is slow to import.

numpy writes the docstrings of its compiled functions when it is imported: a tenth of the CPU time of ``workbench read``
on a small profile.

``nbformat`` imports ``jsonschema``, which imports ``rfc3987_syntax`` where it is installed, and Jupyter's server brings
it. That compiles 38 grammars to check addresses in other alphabets: 1.3 seconds of CPU time in each process that reads
a notebook. jsonschema does without it where it cannot be imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

OF_JSONSCHEMA = "rfc3987_syntax"
OF_NUMPY = "numpy._core._add_newdocs"


@contextmanager
def left_out(module: str) -> Iterator[None]:
    """In the block ``module`` cannot be imported, unless it is there already. After it, it can."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # how the import system is told that there is none
    try:
        yield
    finally:
        if sys.modules.get(module, module) is None:
            del sys.modules[module]


@contextmanager
def emptied(module: str) -> Iterator[None]:
    """In the block ``module`` has nothing in it, unless it is there already. After it, it is as if never imported."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = ModuleType(module)
    try:
        yield
    finally:
        del sys.modules[module]
