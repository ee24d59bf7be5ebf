"""Memory of every reader under hostile files: ``python -m tests.hostile [--mib 64] [--memory-mib 512] [FORMAT ...]``.

One row a file: its size, the most memory that reading took beside the libraries, and what was said. Exit code 1 where
a reader broke or took half as much again as it may, and more than 80 MiB: what is worked on at a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hostile.answers import KINDS as KINDS_OF_ANSWERS
from tests.hostile.files import KINDS, bomb, head_of, sparse
from tests.hostile.measured import Job, asked, measured
from workbench.profiles.memory import MIB
from workbench.profiles.read import FORMATS

SPARSE_BYTES = 1 << 40
SLACK_BYTES = 80 * MIB


def main() -> int:
    """Make, read and print one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("formats", nargs="*", choices=[[], *FORMATS], metavar="FORMAT")
    parser.add_argument("--mib", type=float, default=64, help="Size of each file.")
    parser.add_argument("--memory-mib", type=int, default=512, help="What reading one may take.")
    parser.add_argument("--answers", action="store_true", help="The generator under hostile answers, in their place.")
    options = parser.parse_args()
    if options.answers:
        return _answers()
    size, memory = int(options.mib * MIB), options.memory_mib * MIB
    print("| format | what | file, MiB | memory, MiB | s | what was said |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    broken, most = 0, max(1.5 * memory, memory + SLACK_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hostile")
        for format in options.formats or FORMATS:
            makes = {kind: make for found, kind, make in KINDS if found == format}
            for kind in (*makes, "sparse", "bomb"):
                if kind == "sparse":
                    sparse(path, head_of(format), SPARSE_BYTES)
                elif kind == "bomb":
                    bomb(path, head_of(format), b"a", 1024 * MIB)
                else:
                    path.write_bytes(makes[kind](size))
                (found,) = measured([Job(str(path), format, memory, 4 * memory + 1024 * MIB)])
                broken += not found.said.startswith(("read", "refused: ")) or found.peak_bytes > most
                said = found.said.replace(f"{path}: ", "").replace("|", "/").partition(". Profile a shorter")[0]
                figures = f"{path.stat().st_size / MIB:,.1f} | {found.peak_bytes / MIB:,.0f} | {found.took_s:.1f}"
                print(f"| {format} | {kind} | {figures} | {said[:110]} |", flush=True)
    return 1 if broken else 0


def _answers() -> int:
    print("| answers | memory, MiB | outcomes |\n| --- | ---: | --- |")
    for kind, (send, _, _) in KINDS_OF_ANSWERS.items():
        outcomes, peak_bytes = asked(kind, address_bytes=4 << 30)
        what = (send.__doc__ or "").rstrip(".")
        print(f"| {what} | {peak_bytes / MIB:,.0f} | {outcomes} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
