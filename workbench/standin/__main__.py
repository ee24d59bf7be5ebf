"""The child process of ``workbench.standin.child``: settings on standard input, endpoints on standard output.

``--profile-dir DIR`` is added by whoever runs the child under a profiler. A token that is not in the settings is taken
from the environment.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.leaving_out import without_collector
from workbench.masking import ended

with without_collector():
    from workbench.settings import Settings
    from workbench.standin.child import TOKEN_VARIABLE
    from workbench.standin.server import serve


def main(arguments: list[str]) -> int:
    """Serve until told to stop; the exit code."""
    if arguments[:1] != ["--child"] or arguments[1:2] not in ([], ["--profile-dir"]) or len(arguments) == 2:
        print("this is the child process of the workbench; use: workbench standin", file=sys.stderr)
        return 2
    # Unbuffered: bytes after the line stay in the pipe, whose closing means that the parent has ended.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        line = stdin.readline()
    try:
        settings = Settings.model_validate_json(line)
        more: dict[str, object] = {}
        if "free_query_token" not in settings.model_fields_set and TOKEN_VARIABLE in os.environ:
            more["free_query_token"] = os.environ[TOKEN_VARIABLE]
        if len(arguments) > 1:
            more["profile_dir"] = Path(arguments[2])
        serve(settings.model_copy(update=more), exit_with_parent=True)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(ended(partial(main, sys.argv[1:])))
