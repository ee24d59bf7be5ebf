"""How an object shows itself in a notebook: it names its card, and ``report/cards`` draws that card when IPython asks.

Runs, profiles and findings may not import charts or reports (imports go down only). Nothing is imported until a
notebook shows the object.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


CARDS = "workbench.report.cards"


def card(kind: str) -> Callable[..., Any]:
    """The ``_repr_mimebundle_`` of a class whose card is drawn by the function ``kind`` of ``report/cards``."""

    def _repr_mimebundle_(self: Any, include: Any = None, exclude: Any = None) -> Any:
        """HTML and text, as IPython asks for them (https://ipython.readthedocs.io, "Rich display")."""
        return getattr(import_module(CARDS), kind)(self)._repr_mimebundle_()

    return _repr_mimebundle_
