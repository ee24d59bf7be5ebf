"""What panels draw in the browser, each a script of its own under ``js/``. What they are given they show as text."""

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
    """A script of this room, or its style."""
    return (_JS / name).read_text(encoding="utf-8")


class RunView(anywidget.AnyWidget):
    """A run under way. ``run``: what :func:`workbench.widgets.words.words_of` makes of its status."""

    _esm = script("run.js")
    _css = script("panel.css")
    run = traitlets.Dict(dict(NO_RUN)).tag(sync=True)


class TableView(anywidget.AnyWidget):
    """A table. ``columns``: (name, heading, whether it is a number); ``rows``: (id, cells as text, values to sort by,
    None where there is none); ``chosen``: ids of chosen rows, at most ``most``; ``said``: a line below."""

    _esm = script("table.js")
    _css = script("panel.css")
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    most = traitlets.Int(1).tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)


class SaidView(anywidget.AnyWidget):
    """Text as it is. ``kind``: what it is, for scripts and tests."""

    _esm = script("said.js")
    _css = script("panel.css")
    text = traitlets.Unicode().tag(sync=True)
    kind = traitlets.Unicode("said").tag(sync=True)


class FlameView(anywidget.AnyWidget):
    """A flame graph with its tables. ``payload``: as :mod:`workbench.charts.flame.packing` makes it; ``chosen``: the
    function in focus, "" where none is."""

    _esm = f"{joined_script('charts/flame/main')}\n{script('flame.js')}"
    _css = asset("flame.css")
    payload = traitlets.Bytes().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)


def on_change(widget: Any, name: str, act: Callable[[Any], None]) -> None:
    """Call ``act`` with the new value whenever a trait of a widget changes."""
    widget.observe(lambda change: act(change["new"]), names=name)
