"""HTML from the templates that each room keeps in its ``html/``, by Jinja. Every value that goes into one is escaped
there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = Path(__file__).parent


def markup(template: str, **values: Any) -> str:
    """The piece of HTML that a template makes of ``values``. What is HTML already comes as :func:`safe`.

    ``report/table`` names ``table.html.j2`` in the ``html/`` of the room ``report``.
    """
    room, _, name = template.rpartition("/")
    return environment().get_template(Path(room, "html", f"{name}.html.j2").as_posix()).render(values)


def safe(html: str) -> Any:
    """HTML that another template made, for one to put around it."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704


@cache
def environment() -> Environment:
    """The templates and what they may use; made when the first is asked for."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["commands"] = commands
    return made


def commands(text: str) -> Any:
    """Text with what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def script_json(value: Any) -> Any:
    """JSON that cannot end the script element it stands in, nor open a comment."""
    return safe(json.dumps(value).replace("<", "\\u003c"))
