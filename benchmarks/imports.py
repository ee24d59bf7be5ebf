"""How long ``import workbench`` and ``workbench --help`` take, each in a separate process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.harness import WORKBENCH, arguments, interleave, table, write

QUANTITY = "seconds"
# of the fastest round: other load on the machine can only add to it
TARGETS = {"import workbench": 0.3, "workbench --help": 0.5}


def seconds(command: Sequence[str]) -> dict[str, float]:
    """Wall time of one process from start to end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return {QUANTITY: time.perf_counter() - started}


def main() -> int:
    """Measure, print, write; 1 when a target is missed."""
    options = arguments(__doc__.splitlines()[0]).parse_args()
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import workbench": [sys.executable, "-c", "import workbench"],
        "workbench --help": [str(WORKBENCH), "--help"],
    }
    figures = interleave({name: partial(seconds, command) for name, command in commands.items()}, options.rounds)
    print(table(figures))
    missed = [f for f in figures if f.minimum >= TARGETS.get(f.rival, float("inf"))]
    for figure in missed:
        print(f"{figure.rival}: {figure.minimum:.2f} s, target under {TARGETS[figure.rival]} s")
    write(options.out, "imports", figures, targets=TARGETS)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
