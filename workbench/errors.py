"""One error family.

Every error a user can meet says what is wrong, where (file, line, option or address) and what to do about it,
and carries the exit code the command line ends with.
"""

from __future__ import annotations

import errno
import os

from workbench.hints import TYPE_CHECKING
from workbench.masking import masked

if TYPE_CHECKING:
    from typing import TypeVar

    E = TypeVar("E", bound="WorkbenchError")


class WorkbenchError(Exception):
    """Base of all errors the workbench raises on purpose.

    ``what`` is wrong, ``where`` (file, option or address), ``hint``: what to do. ``str(error)`` is always a single
    line. Private keys are masked in all three.
    """

    exit_code: int = 2

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what = masked(what)
        self.where = where = None if where is None else masked(where)
        self.hint = hint = None if hint is None else masked(hint)
        line = f"{where}: {what}" if where else what
        if hint:
            line = f"{line.rstrip('.')}. {hint}"
        super().__init__(" ".join(line.split()))


class SettingsError(WorkbenchError):
    """A setting, option or parameter is unknown or has a value that cannot be used."""


class ReceiptError(WorkbenchError):
    """A receipt field is out of its range, or bytes that should be a receipt are not one."""


class RunFolderError(WorkbenchError):
    """A run folder cannot be made, written, read or resumed."""


class ReadError(WorkbenchError):
    """A profile cannot be read: ``where`` is its file with the line or byte offset."""


class TargetError(WorkbenchError):
    """The service under test is not there, unhealthy, or does not have what the experiment needs."""

    exit_code = 3


class MeasurementError(WorkbenchError):
    """The measurement itself failed, so that nothing can be said about the target."""

    exit_code = 4


class ToolError(WorkbenchError):
    """A profiler, notebook kernel, stand-in process or another tool that was started here failed."""

    exit_code = 5


def of_file(error: OSError, hint: str | None = None) -> RunFolderError | None:
    """An OSError about a file as a RunFolderError; None if it names no file (as with connections)."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return None
    hint = hint or "{remedy}, or give a folder that may be read and written"
    return of_system(RunFolderError, "cannot be read or written", error, error.filename, hint)


_REMEDIES = {
    errno.ENOSPC: "free disk space",
    errno.EDQUOT: "free space in your quota",
    errno.EROFS: "make its file system writable again",
    errno.EACCES: "get access to it",
    errno.EPERM: "get access to it",
    errno.EIO: "see what is wrong with the disk",
    errno.EMFILE: "allow more open files",
    errno.ENFILE: "allow more open files",
}


GO_ON = "go on with --resume"
RESUME = f"What was measured so far is in the run folder; {{remedy}} and {GO_ON}"
"""A hint for :func:`with_remedy`, where a run was cut off."""

NAME_ANOTHER = "Name another file, or {remedy}"
NAME_ANOTHER_OUTPUT = "Name another file with -o, or {remedy}"
"""Hints for :func:`with_remedy`, where a file was named by the user."""


def with_remedy(hint: str, number: int | None) -> str:
    """What to do about a file that cannot be written: ``hint`` with what helps against the system's error ``number``
    where ``{remedy}`` stands in it."""
    told = hint.replace("{remedy}", _REMEDIES.get(number or 0, "fix that"))
    return told[:1].upper() + told[1:]


def of_system(
    kind: type[E], what: str, error: OSError, where: str | os.PathLike[str], hint: str = "{remedy}, and try again"
) -> E:
    """An error of ``kind``: ``what`` the system refused, with its reason, at ``where``. ``hint``: see
    :func:`with_remedy`."""
    return kind(f"{what}: {error.strerror or error}", where=os.fspath(where), hint=with_remedy(hint, error.errno))


EXIT_PASS = 0
EXIT_SLO_FAILED = 1
EXIT_USAGE = 2
EXIT_TARGET = 3
EXIT_INVALID = 4
EXIT_TOOL = 5
EXIT_INTERRUPTED = 130
