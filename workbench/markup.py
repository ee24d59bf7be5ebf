"""HTML from the Jinja templates that each room keeps in its ``html/``. Every value is escaped there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE = Path(__file__).parent


def markup(template: str, **values: Any) -> str:
    """Render a template with ``values``. Pass values that are already HTML through :func:`safe`.

    The name ``report/table`` means ``report/html/table.html.j2``.
    """
    room, _, name = template.rpartition("/")
    return environment().get_template(Path(room, "html", f"{name}.html.j2").as_posix()).render(values)


def safe(html: str) -> Any:
    """Mark HTML made by another template, so that it is not escaped again."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704


@cache
def environment() -> Environment:
    """The Jinja environment, made at first use."""
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
    """Text as HTML, with everything between backticks as ``<code>``."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def script_json(value: Any) -> Any:
    """JSON that is safe inside a script element: it cannot close the element or open a comment."""
    return safe(json.dumps(value).replace("<", "\\u003c"))
