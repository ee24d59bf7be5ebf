"""What readers do with hostile files, each in a process of its own: what was said, and the most memory it took.

Run as a program it reads jobs from standard input and forks for each, so that the libraries are imported once.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """A file to read with a bound of ``memory_bytes``, in a process that gets at most ``address_bytes`` of address
    space beside what Python and the libraries have. ``format`` "": the content decides."""

    path: str
    format: str
    memory_bytes: int
    address_bytes: int


@dataclass(frozen=True)
class Measured:
    """``said`` begins with ``read`` or ``refused``; with anything else the reader broke. ``peak_bytes`` is what was
    taken at most beside the libraries."""

    said: str
    peak_bytes: int
    took_s: float


def measured(jobs: Sequence[Job]) -> list[Measured]:
    """One result for each job."""
    asked = "\n".join(json.dumps(asdict(job)) for job in jobs)
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=asked, capture_output=True, text=True, cwd=ROOT, check=True
    )
    return [Measured(*json.loads(line)) for line in done.stdout.splitlines()]


def asked(kind: str, *, address_bytes: int) -> tuple[dict[str, int], int]:
    """Outcomes, and the memory a generator took, under the answers of :mod:`tests.hostile.answers`."""
    command = [sys.executable, "-m", "tests.hostile.answers", kind, str(address_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    outcomes, peak_bytes = json.loads(done.stdout)
    return outcomes, peak_bytes


def most_bytes() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def _read(job: Job) -> list[Any]:
    from workbench.errors import WorkbenchError
    from workbench.profiles.read import read_profile

    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = mapped + job.address_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    before, began = most_bytes(), time.monotonic()
    try:
        profile = read_profile(job.path, format=job.format or None, memory_bytes=job.memory_bytes)
        said = "read" + "".join(f"; {note.what}" for note in profile.notes)
    except WorkbenchError as error:
        said = f"refused: {error}"
    except BaseException:
        said = traceback.format_exc(limit=-3)
    return [said, most_bytes() - before, time.monotonic() - began]


def _forked(job: Job) -> list[Any]:
    begin, end = os.pipe()
    child = os.fork()
    if not child:
        os.close(begin)
        with os.fdopen(end, "w") as pipe:
            json.dump(_read(job), pipe)
        os._exit(0)
    os.close(end)
    with os.fdopen(begin) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return list(json.loads(answer)) if answer else [f"ended with {os.waitstatus_to_exitcode(status)}", 0, 0.0]


def main() -> None:
    """Do the jobs of standard input, one line each."""
    # what readers import when they are first asked is not theirs
    import msgspec  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.compute  # noqa: F401

    import workbench.profiles.read  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_forked(Job(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
