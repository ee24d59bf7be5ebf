"""Files outside a run folder: in a private folder of this user, removed when the process that made them is dead.

Everybody can write to the folder for temporary files and could put a link under a name that we use. So files with a
fixed name are in a folder that nobody else can write to, and are opened without following links.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import RunFolderError

_NAME = "indexer-workbench"
_LOCK = ".lock"
_MAKING = ".new-"
_OLD_S = 3600.0
_HIDDEN = re.compile(r"\..*\.(\d+)\.(?:tmp|running\.ipynb)")


def folder() -> Path:
    """A folder that only this user can enter, in the folder for temporary files; made if missing.

    Raises RunFolderError if it belongs to another user or is a link.
    """
    path = Path(tempfile.gettempdir()) / f"{_NAME}-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
    if not _mine(path):
        raise RunFolderError(
            "is not a folder that only this user can enter: somebody else may have made it",
            where=str(path),
            hint="Remove it, or set TMPDIR to a folder of your own",
        )
    return path


def lock_folder() -> Path:
    """The folder for this user's locks: ``XDG_RUNTIME_DIR`` if the system sets it, else :func:`folder`."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(given) if os.path.isabs(given) and _mine(Path(given)) else folder()


def opened(path: Path) -> int:
    """A descriptor for reading and writing a file of this user; made if missing, never truncated.

    Raises RunFolderError for a link, something that is not a regular file, a file of another user, or a file with hard
    links.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RunFolderError(
            f"cannot write: {'it is a link' if path.is_symlink() else error.strerror}",
            where=str(path),
            hint="Choose a folder you may write to with --runs-dir",
        ) from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_nlink != 1:
        os.close(descriptor)
        raise RunFolderError("is not a private file of this user", where=str(path), hint="Remove it")
    return descriptor


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """A new private folder that is removed after the block. Folders left by killed processes are removed too."""
    home = folder()
    _sweep(home)
    making = Path(tempfile.mkdtemp(prefix=_MAKING, dir=home))
    # the kernel drops the lock when this process dies; until the rename nobody takes the folder for abandoned
    lock = os.open(making / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path = making.rename(home / f"{kind}-{making.name.removeprefix(_MAKING)}")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep_hidden(path: Path) -> None:
    """Remove half-written files of dead processes from a folder: ``.NAME.PID.tmp``, ``.NAME.PID.running.ipynb``."""
    for left in path.rglob(".*"):
        made = _HIDDEN.fullmatch(left.name)
        if made and not alive(int(made[1])) and not left.is_dir():
            left.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    """Whether a process with this number exists."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _mine(path: Path) -> bool:
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not stat.S_IMODE(facts.st_mode) & 0o077


def _sweep(home: Path) -> None:
    for path in home.iterdir():
        if path.name.startswith(_MAKING):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _OLD_S:
                    shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # not one of our folders
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # its process is alive
        finally:
            os.close(lock)
