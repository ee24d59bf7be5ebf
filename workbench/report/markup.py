"""HTML from the templates in ``html/``, by Jinja. Every value that goes into one is escaped there."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment

HTML = Path(__file__).parent / "html"
CSV_ROWS = 5_000
"""More rows than these are not put into a page as CSV."""


def markup(template: str, **values: Any) -> str:
    """The piece of HTML that a template makes of ``values``. What is HTML already comes as :func:`safe`."""
    return environment().get_template(f"{template}.html.j2").render(**values)


def safe(html: str) -> Any:
    """HTML that another template made, for one to put around it."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704


@cache
def environment() -> Environment:
    """The templates and what they may use."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HTML),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["csv_link"] = csv_link
    made.filters["commands"] = commands
    return made


def csv_link(table: pd.DataFrame) -> str:
    """A table as the address of a CSV file that lies in the page itself."""
    return csv_address(table.head(CSV_ROWS).to_csv(index=False))


def csv_address(text: str) -> str:
    """The text of a CSV file as an address that lies in the page itself."""
    return f"data:text/csv;base64,{base64.b64encode(text.encode()).decode()}"


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
