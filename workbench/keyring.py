"""The signer keys of this process. They are removed from its environment, so that no child inherits them, and are
passed to our own children through a pipe.

A shell gives them in ``WORKBENCH_SIGNER_KEYS``. Every program that a process starts can see its ``os.environ``, foreign
services too; so the variable is removed when it is first read, and kept here. A child that must sign reads the keys
once from a pipe, whose descriptor is in ``WORKBENCH_KEYS_PIPE``.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager

from workbench.errors import SettingsError
from workbench.masking import has_key

KEYS_VARIABLE = "WORKBENCH_SIGNER_KEYS"
PIPE_VARIABLE = "WORKBENCH_KEYS_PIPE"
OWN_VARIABLES = frozenset(
    (
        KEYS_VARIABLE,
        PIPE_VARIABLE,
        "WORKBENCH_PAYERS",  # useless without the keys that belong to them
        "WORKBENCH_FREE_QUERY_TOKEN",
        "WORKBENCH_DATABASE_URL",
        "WORKBENCH_POSTGRES",
    )
)
"""Variables with keys or passwords, and those that belong to them: never passed to another program."""
HINT = f"Give keys in {KEYS_VARIABLE} or as signer_keys in workbench.toml, and nowhere else"
COMMAND_HINT = (
    "A command line is recorded, and every user of the machine can see it. Export the key as a variable first, named "
    "INDEXER_..., TAP_... or as the service's configuration file asks for it"
)
SERVICE_PREFIXES = ("INDEXER_", "TAP_")
"""Prefixes of the two programs' own variables, which may hold the operator's mnemonic or key."""


class _Held:
    """The text of the variable after it was removed from the environment. One per process, like the environment."""

    text: str | None = None


def take() -> str | None:
    """The text of ``WORKBENCH_SIGNER_KEYS``: from the environment, which it is removed from, from an earlier call, or
    from the parent's pipe. None if it was never set."""
    given, pipe = os.environ.pop(KEYS_VARIABLE, None), os.environ.pop(PIPE_VARIABLE, None)
    if given is None and pipe is not None:
        given = _read(pipe)
    if given is not None:
        hold(given)
    return _Held.text


def hold(text: str | None) -> None:
    """Keep the text that a parent sent through a pipe; None forgets it."""
    _Held.text = text or None


@contextmanager
def handed_on() -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Variables and descriptors (``pass_fds``) for a child that needs the keys; valid within the context."""
    text = take()
    if text is None:
        yield {}, ()
        return
    reader, writer = os.pipe()

    def write() -> None:
        # a child that never reads closes the pipe when it ends
        with contextlib.suppress(OSError), os.fdopen(writer, "w") as pipe:
            pipe.write(text)

    import threading  # which few commands need

    threading.Thread(target=write, daemon=True).start()
    try:
        yield {PIPE_VARIABLE: f"{reader}:{os.fstat(reader).st_ino}"}, (reader,)
    finally:
        os.close(reader)


def is_key(value: object) -> bool:
    """Whether a given value contains a key. A path whose folder exists counts as having none: containers and caches
    name folders by digests."""
    text = str(value)
    if not has_key(text):
        return False
    from pathlib import Path

    with contextlib.suppress(OSError, ValueError):
        path = Path(text)
        return not (path.exists() or (not has_key(path.name) and path.parent.exists()))
    return True


def refuse(value: object, where: str, hint: str = HINT) -> None:
    """Raise SettingsError for a value that contains a key, before the value is recorded or used as a file name."""
    if is_key(value):
        raise SettingsError(
            "the value has the shape of a private key, so it is not shown and not used", where=where, hint=hint
        )


def for_foreign(environment: Mapping[str, str], own: Container[str] = ()) -> tuple[dict[str, str], tuple[str, ...]]:
    """``environment`` for a program that is not ours, and the names of variables that were withheld because their
    values look like keys.

    Our own secret variables are left out, and so is every variable that contains a private key, except the service's
    own: their names begin with INDEXER_ or TAP_ or are in ``own`` (what its configuration file asks for).
    """
    kept, withheld = {}, []
    for name, value in by_name(environment).items():
        if has_key(value) and not name.startswith(SERVICE_PREFIXES) and name not in own:
            withheld.append(name)
            continue
        kept[name] = value
    return kept, tuple(sorted(withheld))


def by_name(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without our own secret variables: for docker, which passes on what a compose file asks for."""
    return {name: value for name, value in environment.items() if name not in OWN_VARIABLES}


def _read(pipe: str) -> str | None:
    """Read and close the pipe that a parent left open; None if the descriptor is now something else."""
    number, _, inode = pipe.partition(":")
    try:
        facts = os.fstat(int(number))
        if not stat.S_ISFIFO(facts.st_mode) or facts.st_ino != int(inode):
            return None
        with os.fdopen(int(number)) as file:
            return file.read()
    except (OSError, ValueError):
        return None
