"""What has the shape of a private key is shown nowhere: one filter for messages, logs, tracebacks and files.

A key is 64 hex digits, with or without 0x. A slip of the mouse or a cut text makes it some digits longer or shorter,
and nobody can find more than 16 digits that are missing, so a run of 48 to 80 hex digits is a key here. Shorter ones
stay readable (addresses and commits have 40 digits), and longer ones (signatures have 130). Of the runs between, these
do: numbers of 20 bytes with zeros before them (collection ids, block hashes of the network subgraph), and digests that
say so (``sha256:...``, ``"sha256": "..."``). A deployment id is shown as ``Qm...``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

HIDDEN = "***"
LEAST_DIGITS, MOST_DIGITS = 48, 80
_KEY = re.compile(rf"(?<![0-9a-fA-F])(?:0[xX])?([0-9a-fA-F]{{{LEAST_DIGITS},{MOST_DIGITS}}})(?![0-9a-fA-F])")
_DIGEST = re.compile(r"sha256\W{1,4}$")
_ADDRESS_DIGITS = 40


def masked(text: str) -> str:
    """A text with ``***`` in place of each private key in it."""
    return _KEY.sub(lambda found: HIDDEN if _is_key(found) else found[0], text)


def has_key(text: str) -> bool:
    """Whether there is a private key in a text."""
    return any(_is_key(found) for found in _KEY.finditer(text))


def shown(value: object, most: int = 80) -> str:
    """A value as errors quote it: masked first and cut then, since half a key is not known for one."""
    return repr(masked(str(value))[:most])


def _is_key(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 10) : found.start()]
    return len(found[1].lstrip("0")) > _ADDRESS_DIGITS and not _DIGEST.search(before)


class MaskedStream:
    """A text stream that writes everything masked; all else of it is the stream's below."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` without keys; the length is that of what was given."""
        self._stream.write(masked(text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write each of ``lines``."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def masked_streams() -> Iterator[None]:
    """Standard output and standard error of this process without keys while the context is open."""
    output, errors = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast(TextIO, MaskedStream(output)), cast(TextIO, MaskedStream(errors))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, errors


def ended(main: Callable[[], int]) -> int:
    """The exit code of ``main``, a process of our own: its words are masked, a traceback it ends with too."""
    with masked_streams():
        try:
            return main()
        except Exception:
            import traceback  # which most processes never need

            traceback.print_exc()
            return 1
