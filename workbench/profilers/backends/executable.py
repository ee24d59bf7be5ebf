"""The file a command runs: whether it can be run here, and whether a sampling profiler is built into it."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import sys
from pathlib import Path

from workbench.errors import SettingsError

# the folder of upstream's sampler, hard-coded in the two programs
SAMPLER_FOLDERS = (Path("/opt/profiling/indexer-service"), Path("/opt/profiling/tap-agent"))

_ELF = b"\x7fELF"
_MACHINES = {3: "x86", 40: "arm", 62: "x86-64", 183: "aarch64", 243: "riscv"}
_RUNS_TOO = {(62, 3)}  # x86-64 also runs x86


def find_program(word: str, folder: Path | None, path: str | None) -> Path | None:
    """The file of a command's first word, as a shell in ``folder`` finds it on ``path``."""
    if "/" in word:
        found = (folder or Path.cwd()) / word
        return found if found.exists() else None
    known = shutil.which(word, path=path, mode=os.F_OK)
    return None if known is None else Path(known)


def require_program(word: str, service: str, folder: Path | None = None, path: str | None = None) -> Path:
    """The file of a command. Raises SettingsError if there is none, or this machine cannot run it."""
    found = find_program(word, folder, path)
    if found is None:
        raise SettingsError(
            f"there is no program {word}", where=service, hint="Give its path, or put its folder on PATH"
        )
    if found.is_dir():
        raise SettingsError(f"{found} is a folder", where=service, hint="Give the program's own path")
    if not found.is_file() or not os.access(found, os.X_OK):
        raise SettingsError(f"{found} is not executable", where=service, hint=f"Make it so: chmod +x {found}")
    if _is_text(found):
        raise SettingsError(
            f"{found} is neither a program nor a script with #! in its first line",
            where=service,
            hint="Give the built program; a download or build may be incomplete",
        )
    own, other = _machine(Path(sys.executable)), _machine(found)
    if own is not None and other is not None and own != other and (own, other) not in _RUNS_TOO:
        raise SettingsError(
            f"{found} is a program for {_name(other)}, but this machine is {_name(own)}",
            where=service,
            hint="Build it for this machine",
        )
    return found


def sampler_folder(program: Path) -> Path | None:
    """Where the sampler built into a program (pprof-rs, feature ``profiling`` of indexer-rs) writes its reports; None
    without one. It is recognised by the folder's name in the file."""
    try:
        with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return next((folder for folder in SAMPLER_FOLDERS if data.find(str(folder).encode()) >= 0), None)
    except (OSError, ValueError):  # it cannot be read or is empty
        return None


def _is_text(program: Path) -> bool:
    """Whether a file cannot be executed: text without #!, or empty."""
    try:
        with program.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return b"\0" not in head and not head.startswith(b"#!")


def _machine(program: Path) -> int | None:
    """The machine number of an ELF file; None for other files (a script, another system's program)."""
    try:
        with program.open("rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if len(head) < 20 or not head.startswith(_ELF):
        return None
    (number,) = struct.unpack("<H" if head[5] == 1 else ">H", head[18:20])
    return int(number)


def _name(machine: int) -> str:
    return _MACHINES.get(machine, f"machine {machine}")
