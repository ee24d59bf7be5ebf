"""A profile in the file format of another tool, by the format's name."""

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
# These hold one metric only; the others hold all.
ONE_METRIC = ("pstats", "folded")
# These hold functions and calls; the others hold the tree, which of a call graph is only derived.
OF_CALLS = ("pstats", "callgrind")


def exported(profile: Profile, format: str, metric: str | None = None) -> bytes:
    """The bytes of the profile in another tool's format (FILE_FORMATS). pstats and folded hold one metric, ``metric``
    or the default; the others hold all, with ``metric`` first.

    Raises WorkbenchError for an unknown format, or where the format cannot carry the profile.
    """
    if format not in FILE_FORMATS:
        raise WorkbenchError(
            f"cannot write {format!r}",
            where="exported",
            hint=f"There are {', '.join(FILE_FORMATS)}; {' and '.join(TABLE_FORMATS)} with write_tables",
        )
    write: Callable[..., bytes | str] = getattr(import_module(f"workbench.profiles.exports.{format}"), f"to_{format}")
    made = write(profile, metric) if format in ONE_METRIC else write(led_by(profile, metric))
    return made.encode("utf-8", "backslashreplace") if isinstance(made, str) else made


def export_notes(profile: Profile, format: str, metric: str | None = None) -> tuple[Note, ...]:
    """What must be said of the profile in that format (of FILE_FORMATS or TABLE_FORMATS): its notes, what its tree
    assumes and leaves out where the format holds the tree of a call graph, and costs below 0 where it holds none."""
    notes = profile.notes if format in OF_CALLS else (*profile.notes, *led_by(profile, metric).tree_notes())
    if format not in WITHOUT_NEGATIVES:
        return notes
    written = [profile.metric(metric).name] if format in ONE_METRIC else profile.metric_names
    return (*notes, *negative_notes(profile, written))


def led_by(profile: Profile, metric: str | None) -> Profile:
    """The profile with a metric as its default, before the others: what tools that show one at a time begin with (None:
    the profile as it is). Raises WorkbenchError that lists the metrics there are."""
    if metric is None:
        return profile
    chosen = profile.metric(metric)
    others = (one for one in profile.metrics if one.name != chosen.name)
    return profile.but(metrics=(chosen, *others), default_metric=chosen.name)
