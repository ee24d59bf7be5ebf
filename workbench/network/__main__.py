"""The network's own processes, ``python -m workbench.network graph | aggregator | keeper``.

Settings are one line of JSON on standard input, which stays open as the lifeline: its end is the end of whoever started
the process. When it answers, one line of JSON on standard output says where.
"""

from __future__ import annotations

import sys
from functools import partial

from workbench.errors import EXIT_USAGE, WorkbenchError
from workbench.masking import ended


def main(arguments: list[str]) -> int:
    """Serve in one role until told to stop; the exit code."""
    if arguments[:1] not in (["graph"], ["aggregator"], ["keeper"]) or len(arguments) != 1:
        print("this is a process of the workbench's network; use: workbench network up", file=sys.stderr)
        return EXIT_USAGE
    # unbuffered: whatever follows the line stays in the pipe, whose end is the parent's
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        line = stdin.readline()
    try:
        if arguments == ["keeper"]:
            from workbench.network.detached import keep

            return keep(line)
        from workbench.network.serve import serve

        serve(arguments[0], line)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(ended(partial(main, sys.argv[1:])))
