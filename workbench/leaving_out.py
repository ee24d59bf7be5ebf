"""Importing a library without a part of it that nothing here uses and that is slow to import.

numpy writes the docstrings of its compiled functions when it is imported: a tenth of the CPU time of ``workbench read``
on a small profile.

``nbformat`` imports ``jsonschema``, which imports ``rfc3987_syntax`` where it is installed, and Jupyter's server brings
it. That compiles 38 grammars to check addresses in other alphabets: 1.3 seconds of CPU time in each process that reads
a notebook. ``isoduration`` brings two libraries for dates. jsonschema does without them where they cannot be imported,
and notebooks have neither kind of text.

papermill imports ``pyarrow``, and numpy with it, for notebooks in a Hadoop file system.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType

OF_JSONSCHEMA = ("rfc3987_syntax", "isoduration")
OF_PAPERMILL = (*OF_JSONSCHEMA, "pyarrow")
OF_NUMPY = "numpy._core._add_newdocs"


@contextmanager
def left_out(*modules: str) -> Iterator[None]:
    """In the block ``modules`` cannot be imported, unless they are there already. After it, they can."""
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(_in_place_of(module, None))  # how the import system is told that there is none
        yield


def emptied(module: str) -> AbstractContextManager[None]:
    """In the block ``module`` has nothing in it, unless it is there already. After it, it is as if never imported."""
    return _in_place_of(module, ModuleType(module))


@contextmanager
def _in_place_of(module: str, other: ModuleType | None) -> Iterator[None]:
    if module in sys.modules:
        yield
        return
    sys.modules[module] = other  # type: ignore[assignment]
    try:
        yield
    finally:
        if sys.modules.get(module, module) is other:
            del sys.modules[module]
