"""The plan of a batch, as a TOML file or a mapping of the same shape.

name = "before-after"          # name of the batch
repeats = 3                    # how often each combination runs, in rounds
order = "interleaved"          # or "shuffled" (by seed = 1), or "written"

[settings]                     # for all runs; command line options override them
receipts = "250,500"

[axes]                         # every combination of these
rate = [100, 200]              # a setting and its values

[axes.build]                   # or values with names, each with its settings
before = { service_command = "./service-before --config a.toml" }
after = { service_command = "./service-after --config a.toml" }

[[exclude]]                    # combinations to leave out: a value, or a list of values, of each axis named
rate = 200
build = "before"

[[include]]                    # additional runs: values of axes, and settings
build = "after"
profiler = "callgrind"

[[rules]]                      # settings of the runs that match
when = { profiler = ["callgrind", "massif"] }
set = { receipts = "50,100" }
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.batches.grid import ORDERS, Grid, Match, matches, runs_of
from workbench.errors import SettingsError
from workbench.settings import SECRETS, Settings, nearest_hint

_KEYS = ("name", "repeats", "order", "seed", "settings", "axes", "exclude", "include", "rules")
_OF_THE_BATCH = ("name", "runs_dir", "num_receipts")
_MOST_REPEATS = 1000
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*[\"']?([\w. -]+?)[\"']?\s*=")


@dataclass(frozen=True)
class Source:
    """The file of a plan, for errors: its name and text; both are empty for a mapping."""

    name: str = ""
    text: str = ""

    def at(self, *keys: str, entry: int = 0) -> str:
        """File, line if it is known, and key. ``entry``: number of the table in an array of tables, from 0."""
        key = ".".join(keys)
        line = line_of(self.text, keys, entry)
        file = self.name + (f":{line}" if line else "")
        return f"{file}: {key}" if file and key else file or key


@dataclass(frozen=True)
class BatchPlan:
    """A plan: the settings of all runs, and the grid. ``name`` is "" if none is given."""

    grid: Grid
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    source: Source = field(default_factory=Source)


def read_plan(path: Path) -> BatchPlan:
    """The plan in a TOML file. Raises SettingsError naming file, key and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read the plan: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise SettingsError("is not UTF-8 text; a plan is a TOML file", where=str(path)) from None
    try:
        stored = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"not valid TOML: {error}", where=str(path)) from None
    return plan_of(stored, Source(str(path), text))


def plan_of(stored: Mapping[str, Any], source: Source | None = None) -> BatchPlan:
    """The plan in a mapping with the keys of a plan's file. Raises SettingsError naming the key."""
    source = source or Source()
    for key in stored:
        if key not in _KEYS:
            raise SettingsError(f"a plan has no key {key!r}", where=source.at(key), hint=_near(key, _KEYS))
    axes = _axes(_table(stored, "axes", source), source)
    settings = _table(stored, "settings", source)
    for name in settings:
        _check_setting(name, source.at("settings", name))
        if name in axes:
            raise SettingsError(f"{name!r} is an axis as well", where=source.at("settings", name))
    order = _one_of(stored.get("order", ORDERS[0]), ORDERS, source.at("order"))
    include = tuple(_included(one, axes, source, at) for at, one in _tables(stored, "include", source))
    places = axes | {axis: {} for place, _ in include for axis in place if axis not in axes}
    grid = Grid(
        axes=axes,
        repeats=_whole(stored.get("repeats", 1), _MOST_REPEATS, source.at("repeats")),
        order=next(one for one in ORDERS if one == order),
        seed=_whole(stored.get("seed", 1), 1 << 62, source.at("seed")),
        exclude=_excluded(stored, axes, source),
        include=include,
        rules=tuple(_rule(one, places, source, at) for at, one in _tables(stored, "rules", source)),
    )
    if "name" in stored and not isinstance(stored["name"], str):
        raise SettingsError(f"expected a text, found {stored['name']!r}", where=source.at("name"))
    plan = BatchPlan(grid, settings, stored.get("name", ""), source)
    try:
        runs_of(grid)
    except SettingsError as error:
        raise SettingsError(error.what, where=source.at("axes")) from None
    return plan


def line_of(text: str, keys: Sequence[str], entry: int = 0) -> int:
    """The line, from 1, of a key in a TOML text, or of the innermost table around it that has its own line; 0 if there
    is none. ``entry``: number in an array of tables, from 0. For messages, since tomllib gives no line numbers."""
    table: tuple[str, ...] = ()
    entries: dict[tuple[str, ...], int] = {}
    depth, found = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            path = table = tuple(part.strip(" \"'") for part in header[2].split("."))
            if header[1] == "[[":
                entries[table] = entries.get(table, -1) + 1
        elif key := _KEY.match(line):
            path = (*table, *key[1].split("."))
        else:
            continue
        if len(path) > depth and tuple(keys[: len(path)]) == path and entries.get(table, entry) == entry:
            depth, found = len(path), number
    return found


def _axes(stored: Mapping[str, Any], source: Source) -> dict[str, dict[str, Mapping[str, Any]]]:
    axes: dict[str, dict[str, Mapping[str, Any]]] = {}
    for axis, values in stored.items():
        where = source.at("axes", axis)
        if isinstance(values, Mapping):
            for value, settings in values.items():
                if not isinstance(settings, Mapping):
                    raise SettingsError(
                        f"expected a table of settings for the value {value!r}, found {settings!r}",
                        where=source.at("axes", axis, value),
                        hint=f"Write it as {value} = {{ rate = 200 }}",
                    )
                for name in settings:
                    _check_setting(name, source.at("axes", axis, value, name))
            axes[axis] = {str(value): dict(settings) for value, settings in values.items()}
        else:
            _check_setting(axis, where)
            axes[axis] = {_text(value): {axis: value} for value in _several(values, where)}
        if not axes[axis]:
            raise SettingsError("an axis needs at least one value, found none", where=where)
    return axes


def _excluded(stored: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]], source: Source) -> tuple[Match, ...]:
    found = []
    for at, one in _tables(stored, "exclude", source):
        match = _match(one, axes, source, ("exclude",), at)
        if not any(matches(run.axes, match) for run in runs_of(Grid(axes=axes))):
            raise SettingsError("it matches no combination", where=source.at("exclude", entry=at))
        found.append(match)
    return tuple(found)


def _included(
    one: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]], source: Source, at: int
) -> tuple[dict[str, str], dict[str, Any]]:
    """An additional run's values on the axes, and its settings: a value that its axis does not have is a setting."""
    place, changes = {}, {}
    for key, value in one.items():
        where = source.at("include", key, entry=at)
        if key in axes and _text(value) in axes[key]:
            place[key] = _text(value)
            continue
        if key in axes and key not in Settings.model_fields:
            raise SettingsError(f"has no value {value!r}", where=where, hint=_near(_text(value), axes[key]))
        _check_setting(key, where)
        place[key], changes[key] = _text(value), value
    return place, changes


def _rule(
    one: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]], source: Source, at: int
) -> tuple[Match, Mapping[str, Any]]:
    for key in one:
        if key not in ("when", "set"):
            raise SettingsError(
                f"a rule has no key {key!r}", where=source.at("rules", key, entry=at), hint=_near(key, ("when", "set"))
            )
    changes = _table(one, "set", source, "rules", entry=at)
    for name in changes:
        _check_setting(name, source.at("rules", "set", name, entry=at))
    return _match(_table(one, "when", source, "rules", entry=at), axes, source, ("rules", "when"), at), changes


def _match(
    one: Mapping[str, Any], axes: Mapping[str, Mapping[str, Any]], source: Source, keys: tuple[str, ...], at: int
) -> Match:
    found = {}
    for axis, values in one.items():
        where = source.at(*keys, axis, entry=at)
        if axis not in axes:
            raise SettingsError(f"there is no axis {axis!r}", where=where, hint=_near(axis, axes))
        found[axis] = tuple(map(_text, values if isinstance(values, list) else [values]))
        for value in found[axis]:
            if value not in axes[axis] and keys[0] == "exclude":
                raise SettingsError(f"the axis has no value {value!r}", where=where, hint=_near(value, axes[axis]))
    return found


def _check_setting(name: str, where: str) -> None:
    if name in SECRETS:
        raise SettingsError(
            "a plan must not contain keys and tokens", where=where, hint="Give them as a variable WORKBENCH_..."
        )
    if name in _OF_THE_BATCH:
        raise SettingsError(
            f"{name!r} applies to the whole batch", where=where, hint="Leave it out of the plan's settings"
        )
    if name not in Settings.model_fields:
        raise SettingsError(f"there is no setting {name!r}", where=where, hint=nearest_hint(name))


def _table(stored: Mapping[str, Any], key: str, source: Source, *above: str, entry: int = 0) -> Mapping[str, Any]:
    found = stored.get(key, {})
    if not isinstance(found, Mapping):
        where = source.at(*above, key, entry=entry)
        raise SettingsError(f"expected a table, found {str(found)[:80]!r}", where=where)
    return found


def _tables(stored: Mapping[str, Any], key: str, source: Source) -> Iterable[tuple[int, Mapping[str, Any]]]:
    found = stored.get(key, [])
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, Mapping) and one for one in found):
        raise SettingsError(f"expected tables, written as [[{key}]], found {str(found)[:80]!r}", where=source.at(key))
    return list(enumerate(found))


def _several(values: Any, where: str) -> Sequence[Any]:
    if not isinstance(values, (list, tuple)):
        raise SettingsError(
            f"expected a list of values, found {values!r}", where=where, hint=f"Write it as [{values!r}]"
        )
    texts = [_text(value) for value in values]
    if twice := next((text for text in texts if texts.count(text) > 1), None):
        raise SettingsError(f"the value {twice} is given twice", where=where, hint="Repeat runs with repeats = 2")
    return values


def _text(value: Any) -> str:
    """The name of a value in tables and folders."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whole(value: Any, most: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise SettingsError(f"expected a whole number from 1 to {most:,}, found {value!r}", where=where)
    return value


def _one_of(value: Any, known: Sequence[str], where: str) -> str:
    if value not in known:
        raise SettingsError(
            f"must be one of {', '.join(known)}, found {value!r}", where=where, hint=_near(str(value), known)
        )
    return str(value)


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(names) or 'none'}"
