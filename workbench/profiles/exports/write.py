"""Exports a profile to another tool's file format, by the format's name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Literal, get_args

from workbench.errors import WorkbenchError
from workbench.profiles.exports.signs import WITHOUT_NEGATIVES, negative_notes
from workbench.profiles.model import Profile
from workbench.profiles.notes import Note

FileFormat = Literal["pstats", "speedscope", "folded", "pprof", "callgrind"]
TableFormat = Literal["parquet", "csv"]
FILE_FORMATS: tuple[str, ...] = get_args(FileFormat)
TABLE_FORMATS: tuple[str, ...] = get_args(TableFormat)
# These have only one metric; the others have all.
ONE_METRIC = ("pstats", "folded")
# These have functions and calls; the others have the tree, which is only derived for a call graph.
OF_CALLS = ("pstats", "callgrind")


def exported(profile: Profile, format: str, metric: str | None = None) -> bytes:
    """The bytes of the profile in another tool's format (FILE_FORMATS). pstats and folded have one metric, ``metric``
    or the default; the others have all, with ``metric`` first.

    Raises WorkbenchError for an unknown format, or if the format cannot express the profile.
    """
    if format not in FILE_FORMATS:
        raise WorkbenchError(
            f"cannot write {format!r}",
            where="exported",
            hint=f"Valid are {', '.join(FILE_FORMATS)}; for {' and '.join(TABLE_FORMATS)} with write_tables",
        )
    write: Callable[..., bytes | str] = getattr(import_module(f"workbench.profiles.exports.{format}"), f"to_{format}")
    made = write(profile, metric) if format in ONE_METRIC else write(led_by(profile, metric))
    return made.encode("utf-8", "backslashreplace") if isinstance(made, str) else made


def export_notes(profile: Profile, format: str, metric: str | None = None) -> tuple[Note, ...]:
    """Notes on the profile in this format (of FILE_FORMATS or TABLE_FORMATS): its own notes, what its tree assumes and
    leaves out if the format has the tree of a call graph, and negative costs if it does not support them."""
    notes = profile.notes if format in OF_CALLS else (*profile.notes, *led_by(profile, metric).tree_notes())
    if format not in WITHOUT_NEGATIVES:
        return notes
    written = [profile.metric(metric).name] if format in ONE_METRIC else profile.metric_names
    return (*notes, *negative_notes(profile, written))


def led_by(profile: Profile, metric: str | None) -> Profile:
    """The profile with a metric as its default, before the others: tools that show one at a time begin with it (None:
    unchanged). Raises WorkbenchError that lists the existing metrics."""
    if metric is None:
        return profile
    chosen = profile.metric(metric)
    others = (one for one in profile.metrics if one.name != chosen.name)
    return profile.but(metrics=(chosen, *others), default_metric=chosen.name)
