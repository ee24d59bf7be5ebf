"""Importing a library without a part of it that nothing here uses and that is slow to import, or only once something in
it is asked for.

numpy builds docstrings and signatures of its compiled functions at import, and imports modules that it needs for few
functions: 20 % of the CPU time of ``workbench read`` on a small profile, and of the start of a generator.

``nbformat`` imports ``jsonschema``, which imports ``rfc3987_syntax`` if it is installed, as it is with Jupyter's
server. That compiles 38 grammars for addresses in other alphabets: 1.3 s of CPU time in each process that reads a
notebook. ``isoduration`` imports two libraries for dates. jsonschema works without them, and notebooks have neither
kind of text.

``argparse`` asks ``gettext`` for each of its words, which looks for files of translations that Python comes
without.

papermill imports ``pyarrow``, and numpy with it, for notebooks in a Hadoop file system.

What is imported stays to the end of the process, so the garbage collector looks through it for nothing: while it grows,
and once more at the end. That was a fifth to a third of the CPU time of a process that imports much and does little.
Taking it apart at the end takes a command 1 ms, and 30 where pandas was imported.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from importlib import import_module
from types import ModuleType

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, NoReturn


OF_JSONSCHEMA = ("rfc3987_syntax", "isoduration")
OF_PAPERMILL = (*OF_JSONSCHEMA, "pyarrow")
OF_NUMPY = ("numpy._core._add_newdocs", "numpy._core._add_newdocs_scalars")
LATE_IN_NUMPY = ("ast", "ctypes", "pickle", "platform", "textwrap")


@contextmanager
def without_collector() -> Iterator[None]:
    """Within the block, in which much is imported, the garbage collector is off."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def without_last_collection() -> None:
    """At the end of this process what there is then is not looked through for garbage."""
    atexit.unregister(gc.freeze)  # once is enough
    atexit.register(gc.freeze)


def leave(code: int) -> NoReturn:
    """End this process with an exit code, as Python does, but without taking apart all that was imported.

    Threads are waited for, what is registered for the end is done, and the output is written. An output that nobody
    reads any more is no error of its own.
    """
    if threading := sys.modules.get("threading"):
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code)


@contextmanager
def left_out(*modules: str) -> Iterator[None]:
    """Within the block ``modules`` cannot be imported, unless they already were."""
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(_in_place_of(module, None))  # None makes an import of it fail
        yield


def emptied(module: str) -> AbstractContextManager[None]:
    """Within the block ``module`` is empty, unless it was imported before. After the block it counts as not
    imported."""
    return _in_place_of(module, ModuleType(module))


@contextmanager
def bare_numpy() -> Iterator[None]:
    """Within the block, in which nothing else may be imported, numpy is imported without what takes half of its import:
    docstrings and signatures of its compiled functions, and modules that it uses only now and then. It has no threads
    for linear algebra, which nothing here needs."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ExitStack() as stack:
        for module in OF_NUMPY:
            stack.enter_context(emptied(module))
        for module in LATE_IN_NUMPY:
            stack.enter_context(delayed(module))
        for module, there in _FOR_NUMPY.items():
            stack.enter_context(
                _in_place_of(module, _Delayed(module, nullcontext, **there), always=module == "inspect")
            )
        yield


def untranslated() -> AbstractContextManager[None]:
    """Within the block a library that is imported leaves its words as they are, instead of looking for translations."""
    gettext = ModuleType("gettext")
    gettext.__dict__.update(gettext=str, ngettext=lambda one, many, count: one if count == 1 else many)
    return _in_place_of("gettext", gettext)


def delayed(
    module: str, within: Callable[[], AbstractContextManager[None]] = nullcontext
) -> AbstractContextManager[None]:
    """In the block ``import module`` imports it only once something in it is asked for, unless it is there already.
    After the block who imported it in it still has it so. It is then imported ``within`` a context."""
    return _in_place_of(module, _Delayed(module, within))


# what numpy's import asks of these modules for tidy docstrings, to check itself, and to annotate a few classes
_FOR_NUMPY: dict[str, dict[str, object]] = {
    "inspect": {"cleandoc": str, "signature": lambda _: None},
    "numpy._utils._inspect": {"getargspec": lambda _: ((), None, None, None), "__path__": []},
    "numpy._typing": {"NDArray": list, "__path__": []},
}


class _Delayed(ModuleType):
    """A module that is imported when something in it is asked for, other than what is ``there``."""

    def __init__(self, name: str, within: Callable[[], AbstractContextManager[None]], **there: object) -> None:
        super().__init__(name)
        self.__dict__.update(there, _within=within)

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        with self._within():
            module = import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)


@contextmanager
def _in_place_of(module: str, other: ModuleType | None, *, always: bool = False) -> Iterator[None]:
    """In the block ``other`` is imported as ``module``: always, or unless it was imported before."""
    before = sys.modules.get(module)
    if before is not None and not always:
        yield
        return
    sys.modules[module] = other  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is not None:
            sys.modules[module] = before
        elif sys.modules.get(module, module) is other:
            del sys.modules[module]
