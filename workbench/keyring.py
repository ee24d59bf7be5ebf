"""The signer keys of this process: taken out of its environment, so that no child inherits them, and handed on by pipe.

``WORKBENCH_SIGNER_KEYS`` is how they come from a shell. What a process has in ``os.environ`` every program sees that it
starts, a foreign service among them; so the variable is taken out when it is first read, and kept here. A child that is
to sign reads them from a pipe, whose descriptor ``WORKBENCH_KEYS_PIPE`` names, once.
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
        "WORKBENCH_PAYERS",  # of use with their keys only
        "WORKBENCH_FREE_QUERY_TOKEN",
        "WORKBENCH_DATABASE_URL",
        "WORKBENCH_POSTGRES",
    )
)
"""Keys, passwords and what belongs to them: of no use to any other program."""
HINT = f"Keys go into {KEYS_VARIABLE} or signer_keys of workbench.toml, and nowhere else"
COMMAND_HINT = (
    "A command is written down and seen by every user of the machine. Export the key as a variable before, named "
    "INDEXER_..., TAP_... or as the service's configuration file asks for it"
)
SERVICE_PREFIXES = ("INDEXER_", "TAP_")
"""How the variables of the two programs begin: what they hold is theirs, an operator's mnemonic or key among it."""


class _Held:
    """The text of the variable, which the environment has no more. One a process, as the environment is."""

    text: str | None = None


def take() -> str | None:
    """What ``WORKBENCH_SIGNER_KEYS`` was set to, now or before, here or at the parent that handed it on; None where
    nowhere. Afterwards it is not in the environment."""
    given, pipe = os.environ.pop(KEYS_VARIABLE, None), os.environ.pop(PIPE_VARIABLE, None)
    if given is None and pipe is not None:
        given = _read(pipe)
    if given is not None:
        hold(given)
    return _Held.text


def hold(text: str | None) -> None:
    """Keep what a parent said by a pipe; None forgets."""
    _Held.text = text or None


@contextmanager
def handed_on() -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Variables and descriptors (``pass_fds``) of a child that is to have the keys, good within the context."""
    text = take()
    if text is None:
        yield {}, ()
        return
    reader, writer = os.pipe()

    def write() -> None:
        # a child that does not ask ends it when it ends
        with contextlib.suppress(OSError), os.fdopen(writer, "w") as pipe:
            pipe.write(text)

    import threading  # which few commands need

    threading.Thread(target=write, daemon=True).start()
    try:
        yield {PIPE_VARIABLE: f"{reader}:{os.fstat(reader).st_ino}"}, (reader,)
    finally:
        os.close(reader)


def is_key(value: object) -> bool:
    """Whether a value that somebody gave has a key in it. A path has none where all but its last part is there: folders
    of containers and caches are named by digests."""
    text = str(value)
    if not has_key(text):
        return False
    from pathlib import Path

    with contextlib.suppress(OSError, ValueError):
        path = Path(text)
        return not (path.exists() or (not has_key(path.name) and path.parent.exists()))
    return True


def refuse(value: object, where: str, hint: str = HINT) -> None:
    """Raise SettingsError for a value with a key in it, before it is written down or a file is named after it."""
    if is_key(value):
        raise SettingsError(
            "the value has the shape of a private key, so it is not shown and not used", where=where, hint=hint
        )


def for_foreign(environment: Mapping[str, str], own: Container[str] = ()) -> tuple[dict[str, str], tuple[str, ...]]:
    """``environment`` as a program gets it that is not ours, and the names of what was withheld for its shape.

    By name: nothing of ours that is secret. By shape: nothing with a private key in it, but for the service's own,
    whose names begin with INDEXER_ or TAP_ or are in ``own`` (those that its configuration file asks for).
    """
    kept, withheld = {}, []
    for name, value in by_name(environment).items():
        if has_key(value) and not name.startswith(SERVICE_PREFIXES) and name not in own:
            withheld.append(name)
            continue
        kept[name] = value
    return kept, tuple(sorted(withheld))


def by_name(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without what is ours and secret: for docker, which hands on what a compose file asks for."""
    return {name: value for name, value in environment.items() if name not in OWN_VARIABLES}


def _read(pipe: str) -> str | None:
    """All of a pipe that a parent left open, which is closed then; None where the descriptor is another's by now."""
    number, _, inode = pipe.partition(":")
    try:
        facts = os.fstat(int(number))
        if not stat.S_ISFIFO(facts.st_mode) or facts.st_ino != int(inode):
            return None
        with os.fdopen(int(number)) as file:
            return file.read()
    except (OSError, ValueError):
        return None
