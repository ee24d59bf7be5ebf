"""The run folder: one directory with everything of a run; every table and chart is derived from it.

manifest.json            what was run, where, when, how it ended
plan.parquet             the steps as planned
samples/step-NNN.parquet one row per request, written when the step has ended
histograms/              how long the requests of each finished step took, in buckets: step-NNN.parquet
samples/step-NNN.live    the rows of the step that is running (see workbench.load.samples)
interrupted/             rows of steps that were cut off and run again
series.parquet           per second
watch.parquet            processes and metrics
steps.parquet            one row per step
events.jsonl             what happened when, one JSON object per line
notebook.ipynb, report.html
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from workbench import private
from workbench.errors import RESUME, RunFolderError, of_system
from workbench.masking import masked
from workbench.runs.atomic import write_json

SCHEMA = 1
MANIFEST = "manifest.json"
EVENTS = "events.jsonl"
_LOCK = ".lock"
LOCK_WAIT_S = 10.0
_STAMPED = re.compile(r"\d{8}T\d{6}Z-.+")
_PID_WIDTH = 19  # digits of the largest process number on any system


class RunFolder:
    """Paths of one run; writes its manifest and events."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, runs_dir: Path, name: str) -> RunFolder:
        """A new folder ``<UTC time>-<name>``. Raises RunFolderError when it cannot be made."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        for attempt in range(100):
            path = runs_dir / (f"{stamp}-{name}-{attempt + 1}" if attempt else f"{stamp}-{name}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if runs_dir.is_dir():
                    continue
                raise _cannot_make(path, "Not a directory") from None
            except OSError as error:
                raise _cannot_make(path, error.strerror) from None
            return cls.at(path)
        raise RunFolderError("a hundred runs of this second and name exist already", where=str(runs_dir))

    @classmethod
    def at(cls, path: Path) -> RunFolder:
        """The run folder ``path``, made if missing. Raises RunFolderError if it cannot be made."""
        try:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            (path / "interrupted").mkdir(exist_ok=True)
        except OSError as error:
            raise _cannot_make(path, error.strerror) from None
        return cls(path)

    def exists(self) -> bool:
        """Whether the run has a manifest."""
        return (self.path / MANIFEST).exists()

    def samples(self, step: int) -> Path:
        """The finished samples of a step."""
        return self.path / "samples" / f"step-{step:03d}.parquet"

    def histograms(self, step: int) -> Path:
        """How long the requests of a finished step took."""
        return self.path / "histograms" / f"step-{step:03d}.parquet"

    def live_samples(self, step: int) -> Path:
        """The sample buffer of a running step."""
        return self.path / "samples" / f"step-{step:03d}.live"

    def interrupted_samples(self, step: int) -> Path:
        """A free name for the rows of a cut-off step."""
        folder = self.path / "interrupted"
        attempt = len({path.stem for path in folder.glob(f"step-{step:03d}-*")}) + 1
        return folder / f"step-{step:03d}-{attempt}.parquet"

    def is_locked(self) -> bool:
        """Whether another process writes the run now."""
        try:
            file = (self.path / _LOCK).open("rb")
        except OSError:
            return False  # the lock was never held
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def holder(self) -> int | None:
        """The number of the process that writes the run now; None if there is none or it is not known."""
        import psutil

        if not self.is_locked():
            return None
        path = self.path / _LOCK
        try:
            pid = int(path.read_text(encoding="utf-8"))
            opened = [Path(file.path) for file in psutil.Process(pid).open_files()]
        except (OSError, ValueError, psutil.Error):
            return None
        # the number of an earlier holder may belong to another program now
        return pid if any(file.exists() and file.samefile(path) for file in opened) else None

    def state_now(self, state: str) -> str:
        """The true state of a run whose manifest says ``state``: it is running if its lock is held. Otherwise a
        "running" run was killed, and is interrupted."""
        if state == "finished":
            return state
        if self.is_locked():
            return "running"
        return "interrupted" if state == "running" else state

    def next_command(self) -> str:
        """The complete next command: it makes the report of a finished run again, and resumes any other run."""
        manifest = self.manifest()
        path = shlex.quote(str(self.path))
        if manifest.get("state") == "finished":
            return f"workbench report {path}"
        return f"workbench {'find-limit' if manifest.get('what') == 'find-limit' else 'sweep'} --resume {path}"

    def manifest(self) -> dict[str, Any]:
        """The manifest. Raises RunFolderError if it is missing or has another schema."""
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunFolderError(
                "this is not a run folder: it has no manifest.json",
                where=str(self.path),
                hint="Run folders are in data/runs, named after their UTC time",
            ) from None
        except OSError as error:
            raise of_system(RunFolderError, "cannot be read", error, path) from None
        except ValueError as error:
            raise RunFolderError(f"cannot be read: {error}", where=str(path)) from None
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
            raise RunFolderError(
                f"has schema {manifest.get('schema') if isinstance(manifest, dict) else '?'}, "
                f"this workbench reads schema {SCHEMA}",
                where=str(path),
            )
        return manifest

    def update_manifest(self, **changes: Any) -> dict[str, Any]:
        """Set top-level keys of the manifest and write it."""
        path = self.path / MANIFEST
        manifest = self.manifest() if self.exists() else {"schema": SCHEMA}
        manifest.update(changes)
        write_json(path, manifest)
        return manifest

    def event(self, kind: str, **facts: Any) -> None:
        """Append one line to events.jsonl: wall time, kind and facts."""
        line = masked(json.dumps({"time": utc_now(), "kind": kind, **facts}))
        try:
            with (self.path / EVENTS).open("a+b") as file:
                if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    line = "\n" + line  # the previous line was cut off by a kill
                file.write(line.encode() + b"\n")
        except OSError as error:
            raise of_system(RunFolderError, "cannot write", error, self.path / EVENTS, RESUME) from None

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the folder for writing. Raises RunFolderError when another process does."""
        async with exclusive(self.path / _LOCK, f"run {self.path.name} is being written", wait_s=LOCK_WAIT_S):
            private.sweep_hidden(self.path)  # of a run that was killed
            yield


def is_stamped(name: str) -> bool:
    """Whether a folder has the name of one that :meth:`RunFolder.create` makes."""
    return _STAMPED.fullmatch(name) is not None


def _cannot_make(path: Path, reason: str | None) -> RunFolderError:
    return RunFolderError(
        f"cannot make the run folder: {reason}",
        where=str(path),
        hint="Choose a folder you may write to with --runs-dir",
    )


@asynccontextmanager
async def exclusive(path: Path, what: str, *, wait_s: float, together: bool = False) -> AsyncIterator[TextIO]:
    """An advisory lock that the kernel drops when the holder dies. Waits ``wait_s``, then raises RunFolderError.

    The wait lets the processes of a run that was just killed notice it and end. The file contains the number of the
    process in a line of fixed length, so that no file is ever truncated. ``together``: share the lock with others that
    do the same. Raises RunFolderError also for a link or a file of another user.
    """
    with os.fdopen(private.opened(path), "r+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        while not _taken(file, fcntl.LOCK_SH if together else fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.readline().strip() or "unknown"
                raise RunFolderError(f"{what} (process {holder})", where=str(path), hint="Wait for it, or stop it")
            await asyncio.sleep(0.05)  # flock cannot wait with a time limit
        file.seek(0)
        file.write(f"{os.getpid():<{_PID_WIDTH}}\n")
        file.flush()
        yield file


def _taken(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def utc_now() -> str:
    """The time as ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
