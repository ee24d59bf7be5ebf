"""The required form of the files in a run folder, so that a damaged file is named in an error.

Run folders get copied, synchronised, edited and truncated. A reader gets everything that is readable, or one error with
the file, what is wrong in it and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import RunFolderError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "text", "truth"]

_OBJECT, _LIST, _TEXT, _WHOLE = "an object", "a list", "text", "a whole number"
_TYPES: Mapping[str, type] = {_OBJECT: dict, _LIST: list, _TEXT: str, _WHOLE: int}

# keys that are checked, and their kinds; others are free
MANIFEST: Mapping[str, str] = {
    "schema": _WHOLE,
    "state": _TEXT,
    "name": _TEXT,
    "created": _TEXT,
    "settings": _OBJECT,
    "versions": _OBJECT,
    "machine": _OBJECT,
    "target": _OBJECT,
    "clock": _OBJECT,
    "prediction": _OBJECT,
    "limit": _OBJECT,
    "verdict": _OBJECT,
    "profiler": _OBJECT,
    "payers": _OBJECT,
    "payers_given": _LIST,
    "steps_planned": _LIST,
    "thresholds": _LIST,
    "generators": _OBJECT,
    "notebook": _OBJECT,
    "exit_code": _WHOLE,
}
STATES = ("new", "running", "finished", "interrupted", "failed")
# keys that a run in any state has
_ALWAYS = ("state",)
# texts that an object has, if it exists
_INNER: Mapping[str, tuple[str, ...]] = {"verdict": ("verdict",)}

# elements of a list: objects with this key
_EACH = (("thresholds", "sentence", _TEXT),)

_HINT = "The file was damaged or changed after the run: restore it from a copy, or measure again"


def checked_manifest(manifest: Mapping[str, Any], path: Path) -> None:
    """Raise RunFolderError that names the first key of a manifest that is missing or is of another kind."""
    for key in _ALWAYS:
        if key not in manifest:
            raise RunFolderError(f"lacks {key!r}", where=str(path), hint=_HINT)
    for key, kind in MANIFEST.items():
        value = manifest.get(key)
        wrong = value is not None and (not isinstance(value, _TYPES[kind]) or isinstance(value, bool))
        if wrong or (value is None and key in _ALWAYS):
            raise RunFolderError(f"{key!r} is {_said(value)}, not {kind}", where=str(path), hint=_HINT)
    if manifest["state"] not in STATES:
        raise RunFolderError(
            f"'state' is {manifest['state']!r}, not one of {', '.join(STATES)}", where=str(path), hint=_HINT
        )
    for key, inner in _INNER.items():
        for name in inner if manifest.get(key) else ():
            if not isinstance(manifest[key].get(name), str):
                raise RunFolderError(f"{key!r} lacks the text {name!r}", where=str(path), hint=_HINT)
    for key, name, form in _EACH:
        for one in manifest.get(key) or ():
            if not isinstance(one, dict) or not isinstance(one.get(name), _TYPES[form]):
                said = f"{key!r} holds {_said(one)}, not an object with {form} {name!r}"
                raise RunFolderError(said, where=str(path), hint=_HINT)


def checked_table(
    table: pd.DataFrame, kinds: Mapping[str, Kind], path: Path, later: Mapping[str, Kind] | None = None
) -> pd.DataFrame:
    """The table, which has a column of its kind for each of ``kinds``; those of ``later`` may be absent. Raises
    RunFolderError that names the first column that is missing or of another kind."""
    require_columns(kinds, table.columns, path)
    there = {name: kind for name, kind in (later or {}).items() if name in table}
    for name, kind in {**kinds, **there}.items():
        # the kind of a column without any value is not known
        if table[name].notna().any() and (found := _kind(table[name])) != kind:
            raise RunFolderError(f"column {name!r} holds {found}, not {kind}", where=str(path), hint=_HINT)
    return table


def require_columns(wanted: Iterable[str], there: Iterable[str], path: Path) -> None:
    """Raise RunFolderError that names the first of the ``wanted`` columns that a table lacks."""
    names = set(there)
    for name in wanted:
        if name not in names:
            raise RunFolderError(f"has no column {name!r}", where=str(path), hint=_HINT)


def _kind(column: pd.Series[Any]) -> str:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column):
        return "truth"
    return "number" if pd.api.types.is_numeric_dtype(column) else "text"


def _said(value: Any) -> str:
    """A value of JSON in words."""
    for words, kind in _TYPES.items():
        if isinstance(value, kind) and not isinstance(value, bool):
            return words
    return {None: "null", True: "true", False: "false"}.get(value, "a fraction")
