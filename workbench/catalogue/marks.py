"""Tags and a note that people give a run, in a small file in its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import RunFolderError, SettingsError, of_system
from workbench.runs.atomic import write_json

FILE = "marks.json"
_TAG = re.compile(r"[\w.:+/-]{1,64}")
_MOST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Marks:
    """Tags in alphabetical order, and a note; both may be empty."""

    tags: tuple[str, ...] = ()
    note: str = ""


def read_marks(run: Path) -> Marks:
    """The marks of the run in a folder; empty if it has no such file. Raises RunFolderError if it is damaged."""
    path = run / FILE
    try:
        stored = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Marks()
    except OSError as error:
        raise of_system(RunFolderError, "cannot be read", error, path) from None
    except ValueError as error:
        raise RunFolderError(
            f"cannot be read: {error}", where=str(path), hint="Delete it and set the tags again"
        ) from None
    tags, note = (stored.get("tags", []), stored.get("note", "")) if isinstance(stored, dict) else (None, None)
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or not isinstance(note, str):
        raise RunFolderError("holds neither tags nor a note", where=str(path), hint="Delete it and set the tags again")
    return Marks(tuple(sorted(set(tags))), note)


def tag(run: Path, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Marks:
    """Add and remove tags of a run. Returns its tags and note.

    Raises SettingsError for an invalid tag to add, or a tag to remove that the run does not have.
    """
    known, added, removed = read_marks(run), list(add), list(remove)
    for text in added:
        if not _TAG.fullmatch(text):
            raise SettingsError(
                f"a tag is 1 to 64 letters, digits or . _ : + / -, found {text[:80]!r}", where="workbench runs tag"
            )
    for text in removed:
        if text not in known.tags:
            raise SettingsError(
                f"the run has no tag {text!r}", where=run.name, hint=f"It has {', '.join(known.tags) or 'none'}"
            )
    return _kept(run, Marks(tuple(sorted({*known.tags, *added} - set(removed))), known.note))


def note(run: Path, text: str) -> Marks:
    """Write a note about a run in place of an earlier one; "" removes it. Raises SettingsError if it is too long."""
    if len(text) > _MOST_NOTE:
        raise SettingsError(f"a note has at most {_MOST_NOTE:,} characters, found {len(text):,}", where=run.name)
    return _kept(run, Marks(read_marks(run).tags, text))


def _kept(run: Path, marks: Marks) -> Marks:
    write_json(run / FILE, {"tags": list(marks.tags), "note": marks.note}, hint="The tags are unchanged")
    return marks
