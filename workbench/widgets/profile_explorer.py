"""A profile in a notebook: flame graph, functions, callers and callees, search, metrics, and focus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from workbench.errors import SettingsError
from workbench.profilers.windows.read import window_profiles
from workbench.profilers.windows.record import windows_in
from workbench.profiles.read import read_profile
from workbench.profiles.transforms.select import focus, ignore
from workbench.runs.read import Run
from workbench.sweep.opened import open_run
from workbench.sweep.windows import FOLDER
from workbench.widgets.panel import Panel, button, choice_field, text_field
from workbench.widgets.views import FlameView, on_change

if TYPE_CHECKING:
    from workbench.charts.flame.graph import FlameGraph
    from workbench.profiles.model import Profile

MAX_NODES = 100_000


class ProfileExplorer(Panel):
    """Look into a profile: what costs most, who calls it, what it calls.

    ``source``: a profile, its file, a run under a profiler (its windows can be chosen from), or several of the first
    two. ``metric``: the one shown first (None: the profile's default). ``max_nodes``: how many nodes are drawn at most,
    the largest ones; a line tells what is left out.

    Zoom, search, order, metric and the tables work in the browser without a kernel. ``focus`` and ``ignore`` are
    regular expressions on function, file and binary, as in ``workbench view``, and need the kernel: they keep only
    stacks with, or without, a matching frame. ``chosen``: the selected function; ``shown``: the drawn profile.

    Raises ReadError for a file that is not a profile, SettingsError without a profile.
    """

    def __init__(self, source: Any, *, metric: str | None = None, max_nodes: int = MAX_NODES) -> None:
        super().__init__()
        self._sources = _sources(source)
        self._metric, self._max_nodes = metric, max_nodes
        self._read: dict[str, Profile] = {}
        self._turn = 0
        self._view = FlameView()
        names = list(self._sources)
        self._which = choice_field("Profile", names, names[0])
        self._focus = text_field("Focus", placeholder="only stacks with a match: function, file or binary")
        self._ignore = text_field("Ignore", placeholder="only stacks without a match")
        self._apply = button("Apply", self.apply, "apply focus and ignore")
        self._all = button("Whole profile", self.clear, "clear focus and ignore")
        on_change(self._which, "value", lambda _: self.apply())
        for field in (self._focus, self._ignore):
            field.continuous_update = False
            on_change(field, "value", lambda _: self.apply())
        which = [self._which] if len(names) > 1 else []
        buttons = ipywidgets.HBox([self._apply, self._all])
        self.widget = ipywidgets.VBox([*which, self._focus, self._ignore, buttons, self._said, self._view])
        self._draw(*self._made(names[0], "", ""))

    @property
    def chosen(self) -> str:
        """The selected function; "" if none is."""
        return str(self._view.chosen)

    @property
    def shown(self) -> Profile:
        """The drawn profile, with focus and ignore applied."""
        return self._shown

    @property
    def graph(self) -> FlameGraph:
        """The drawn flame graph; ``graph.page()`` is a separate page."""
        return self._graph

    def apply(self) -> None:
        """Apply the fields, like the button."""
        self._turn += 1
        self.say("")
        self.begin(self._applied(self._turn))

    def clear(self) -> None:
        """Clear both fields and draw the whole profile again."""
        self._focus.value = self._ignore.value = ""

    def html(self) -> str:
        """The flame graph as HTML: complete if scripts may run, otherwise its largest functions."""
        return self.graph._repr_html_()

    def __repr__(self) -> str:
        return repr(self.graph)

    async def _applied(self, turn: int) -> None:
        fields = (str(self._which.value), self._focus.value.strip(), self._ignore.value.strip())
        made = await asyncio.to_thread(self._made, *fields)
        if turn == self._turn:  # otherwise something else was requested meanwhile
            self._draw(*made)
            self.keep()

    def _made(self, name: str, focused: str, ignored: str) -> tuple[Profile, FlameGraph]:
        from workbench.charts.flame.graph import flame_graph

        if name not in self._read:
            self._read[name] = self._sources[name]()
        profile = self._read[name]
        if focused:
            profile = focus(profile, focused)
        if ignored:
            profile = ignore(profile, ignored)
        return profile, flame_graph(profile, metric=self._metric, title=name, max_nodes=self._max_nodes)

    def _draw(self, profile: Profile, graph: FlameGraph) -> None:
        self._shown, self._graph = profile, graph
        self._view.chosen = ""
        self._view.payload = graph.payload


def _sources(source: Any) -> Mapping[str, Callable[[], Profile]]:
    """Profiles by name, each read at first use. Raises SettingsError if there is none."""
    if isinstance(source, Run):
        return _windows(source)
    if isinstance(source, (str, Path)) and (Path(source) / "manifest.json").is_file():
        return _windows(open_run(source))
    several = source if isinstance(source, (list, tuple)) else [source]
    found: dict[str, Callable[[], Profile]] = {}
    for one in several:
        name = str(one) if isinstance(one, (str, Path)) else one.name
        read = partial(read_profile, one) if isinstance(one, (str, Path)) else partial(_itself, one)
        found[name if name not in found else f"{name} ({len(found) + 1})"] = read
    if not found:
        raise SettingsError("no profile was given", where="ProfileExplorer", hint="Give a file, a profile or a run")
    return found


def _windows(run: Run) -> Mapping[str, Callable[[], Profile]]:
    """The windows of a run, by service and step."""
    windows = windows_in(run.path / FOLDER)
    if not windows:
        raise SettingsError("the run has no profiles", where=str(run.path), hint="Sweep with --profiler callgrind")
    return {f"{one.service}, {one.mode}, {one.name}": partial(_window, one) for one in windows}


def _window(window: Any) -> Profile:
    return window_profiles((window,))[0]


def _itself(profile: Profile) -> Profile:
    return profile
