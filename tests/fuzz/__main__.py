"""Fuzz one reader: ``python -m tests.fuzz FORMAT [--inputs N] [--seed S] [--files F ...]``. Exit code 1 on a defect."""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.attempt import attempt
from tests.fuzz.damage import damaged, packed
from tests.fuzz.seeds import seeds
from workbench.profiles.read import FORMATS

MEMORY_BYTES = 3 * 1024**3
MOST_DEFECTS = 10


def main() -> int:
    """Run, say every ten thousand inputs how far it is, and leave each input that broke a reader in a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="Further valid profiles to start from.")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    starts = [*seeds(options.format), *(path.read_bytes() for path in options.files)]
    chance = random.Random(options.seed)
    read = refused = defects = 0
    began = time.monotonic()
    for number in range(1, options.inputs + 1):
        data = damaged(starts, chance, options.format)
        if chance.random() < 0.1:
            data = packed(data, chance)
        # mostly its own reader; sometimes the content decides, so that a mix-up of formats is found as well
        format = options.format if chance.random() < 0.8 else None
        try:
            # the tables derived from what was read are the same code for all formats, and slower than reading
            if attempt(data, format, tables=chance.random() < 0.1):
                read += 1
            else:
                refused += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            defects += 1
            kept = Path(tempfile.gettempdir()) / f"fuzz-{options.format}-{options.seed}-{number}"
            kept.write_bytes(data)
            print(f"input {number} (kept as {kept}, format={format}):", file=sys.stderr)
            traceback.print_exc(limit=-6)
            if defects >= MOST_DEFECTS:
                break
        if number % 10_000 == 0:
            print(f"{number:,} inputs, {time.monotonic() - began:.0f} s", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{options.format}: {read + refused + defects:,} inputs from {len(starts)} seeds, {read:,} read, "
        f"{refused:,} refused, {defects} defects, at most {peak:.0f} MiB, {time.monotonic() - began:.0f} s"
    )
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
