"""How an object shows itself in a notebook: it names its card, which a room above it draws when it is asked for.

Runs, profiles and findings stand below charts and reports and know nothing of them, and people look at them first. As
with names that are imported when they are first used, nothing is imported before a notebook shows the object.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

CARDS = "workbench.report.cards"


def card(kind: str) -> Callable[..., Any]:
    """The ``_repr_mimebundle_`` of a class whose card is the function ``kind`` of the room of cards."""

    def _repr_mimebundle_(self: Any, include: Any = None, exclude: Any = None) -> Any:
        """HTML and text, as IPython asks for them (https://ipython.readthedocs.io, "Rich display")."""
        return getattr(import_module(CARDS), kind)(self)._repr_mimebundle_()

    return _repr_mimebundle_
