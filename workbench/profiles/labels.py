"""Unique labels for rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from workbench.hints import TYPE_CHECKING
from workbench.profiles.names import base_name, end_of

if TYPE_CHECKING:
    from typing import Any


_MOST_PARTS = 12


def labels(
    names: Sequence[str],
    files: Sequence[str],
    objects: Sequence[str],
    crates: Sequence[str],
    raw_names: Sequence[str],
) -> list[str]:
    """The names. Names of several rows are followed by the shortest distinguishing text: the end of the file's path,
    the object, the crate or two of them, otherwise the raw name, otherwise a number.

    >>> labels(["init", "init", "run"], ["src/a.c", "src/b.c", ""], [""] * 3, [""] * 3, ["init", "init", "run"])
    ['init (a.c)', 'init (b.c)', 'run']
    """
    out = list(names)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    taken = set(rows)
    for name, alike in rows.items():
        if len(alike) < 2:
            continue
        here = [[column[row] for row in alike] for column in (files, objects, crates, raw_names)]
        found = next((made for made in _candidates(name, *here) if len({*made}) == len(alike)), None)
        if found is None or taken & ({*found} - {name}):
            found = [f"{name} #{number}" if number > 1 else name for number in range(1, len(alike) + 1)]
        taken.update(found)
        for row, label in zip(alike, found, strict=True):
            out[row] = label
    return out


def labels_of(functions: Any) -> list[str]:
    """The labels of a table of functions: function, raw_function, file, object, crate."""
    columns = ("function", "file", "object", "crate", "raw_function")
    return labels(*(list(functions[column]) for column in columns))


def _candidates(
    name: str, files: list[str], objects: list[str], crates: list[str], raw_names: list[str]
) -> Iterator[list[str]]:
    """Possible labels for rows of one name, best first."""
    different = len({*files})
    ends = (_ends(files, parts) for parts in range(1, _MOST_PARTS + 1))
    paths = next((end for end in ends if len({*end}) == different), files)
    bases = [base_name(object) for object in objects]
    bases = bases if len({*bases}) == len({*objects}) else objects
    for told in (paths, bases, crates):
        yield _behind(name, told)
    for one, other in ((paths, bases), (paths, crates)):
        yield _behind(name, [", ".join(part for part in pair if part) for pair in zip(one, other, strict=True)])
    yield raw_names
    for told in (paths, bases):
        yield [_behind(raw, [part])[0] for raw, part in zip(raw_names, told, strict=True)]


def _behind(name: str, told: list[str]) -> list[str]:
    return [f"{name} ({part})" if part else name for part in told]


def _ends(paths: list[str], parts: int) -> list[str]:
    return [end_of(path.replace("\\", "/"), parts) for path in paths]
