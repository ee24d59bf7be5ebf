"""The network's own processes, ``python -m workbench.network graph | aggregator | keeper``.

Settings are one line of JSON on standard input, which stays open as the lifeline: it closes when the parent ends. When
the process is ready, it prints its address as one line of JSON.
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
    # unbuffered: bytes after the line stay in the pipe, whose closing means that the parent has ended
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
