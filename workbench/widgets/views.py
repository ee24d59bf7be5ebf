"""The browser parts of panels, each with its own script in ``js/``. They show all values as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from workbench.charts.flame.graph import asset
from workbench.scripts import joined_script

_JS = Path(__file__).parent / "js"
NO_RUN: Mapping[str, Any] = {
    "run": "",
    "state": "",
    "about": "",
    "doing": "",
    "sentence": "",
    "headings": {},
    "steps": [],
}


def script(name: str) -> str:
    """A script or style of this package."""
    return (_JS / name).read_text(encoding="utf-8")


class RunView(anywidget.AnyWidget):
    """A running run. ``run``: the result of :func:`workbench.widgets.words.words_of`."""

    _esm = script("run.js")
    _css = script("panel.css")
    run = traitlets.Dict(dict(NO_RUN)).tag(sync=True)


class TableView(anywidget.AnyWidget):
    """A table. ``columns``: (name, heading, whether it is a number); ``rows``: (id, cells as text, values to sort by or
    None); ``chosen``: ids of chosen rows, at most ``most``; ``said``: a line below."""

    _esm = script("table.js")
    _css = script("panel.css")
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    most = traitlets.Int(1).tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)


class SaidView(anywidget.AnyWidget):
    """Plain text. ``kind``: its meaning, for scripts and tests."""

    _esm = script("said.js")
    _css = script("panel.css")
    text = traitlets.Unicode().tag(sync=True)
    kind = traitlets.Unicode("said").tag(sync=True)


class FlameView(anywidget.AnyWidget):
    """A flame graph with its tables. ``payload``: from :mod:`workbench.charts.flame.packing`; ``chosen``: the selected
    function, or ""."""

    _esm = f"{joined_script('charts/flame/main')}\n{script('flame.js')}"
    _css = asset("flame.css")
    payload = traitlets.Bytes().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)


def on_change(widget: Any, name: str, act: Callable[[Any], None]) -> None:
    """Call ``act`` with the new value whenever a trait of a widget changes."""
    widget.observe(lambda change: act(change["new"]), names=name)
