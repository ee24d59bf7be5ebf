"""Packages that can be called like functions.

``workbench.load`` and ``workbench.sweep`` are packages (``from workbench.load import plan``), and also functions
(``await workbench.load(...)``). When a module of the package is first imported, Python binds the package to that name,
so the package itself must be callable. Assigning a module's ``__class__`` is the documented way (Python language
reference, "Customizing module attribute access").
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import Any


def make_callable(room: str, module: str, name: str) -> None:
    """Make calling the package ``room`` call ``module.name``, which is imported at the first call."""

    class CallableRoom(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(module), name)(*args, **kwargs)

        @property  # help() and Shift-Tab show the function's
        def __doc__(self) -> str | None:  # type: ignore[override]
            return getattr(import_module(module), name).__doc__  # type: ignore[no-any-return]

        @property
        def __signature__(self) -> Signature:
            return signature(getattr(import_module(module), name))

    sys.modules[room].__class__ = CallableRoom
