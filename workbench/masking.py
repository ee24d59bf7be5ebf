"""One filter that hides everything with the shape of a private key: in messages, logs, tracebacks and files.

A key is 64 hex digits, with or without 0x. A copying mistake makes it some digits longer or shorter, and nobody can
guess more than 16 missing digits; so any run of 48 to 80 hex digits counts as a key. Shorter runs stay readable
(addresses and commits have 40 digits), longer ones too (signatures have 130). Exceptions within that range: 20-byte
numbers padded with zeros (collection ids, block hashes of the network subgraph), and labelled digests (``sha256:...``,
``"sha256": "..."``). A deployment id is shown as ``Qm...``.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.hints import TYPE_CHECKING
from workbench.leaving_out import without_last_collection
from workbench.patterns import pattern

if TYPE_CHECKING:
    from typing import Any, TextIO


HIDDEN = "***"
LEAST_DIGITS, MOST_DIGITS = 48, 80
_DIGITS = re.compile(rf"[0-9a-fA-F]{{{LEAST_DIGITS}}}")  # in every key
_KEY = pattern(rf"(?<![0-9a-fA-F])(?:0[xX])?([0-9a-fA-F]{{{LEAST_DIGITS},{MOST_DIGITS}}})(?![0-9a-fA-F])")
_DIGEST = pattern(r"sha256\W{1,4}$")
_ADDRESS_DIGITS = 40


def masked(text: str) -> str:
    """A text with ``***`` in place of each private key in it."""
    if _DIGITS.search(text) is None:
        return text
    return _KEY.sub(lambda found: HIDDEN if _is_key(found) else found[0], text)


def has_key(text: str) -> bool:
    """Whether there is a private key in a text."""
    return _DIGITS.search(text) is not None and any(_is_key(found) for found in _KEY.finditer(text))


def shown(value: object, most: int = 80) -> str:
    """A value as errors quote it: first masked, then shortened, since half a key would not be recognised."""
    return repr(masked(str(value))[:most])


def _is_key(found: re.Match[str]) -> bool:
    before = found.string[max(0, found.start() - 10) : found.start()]
    return len(found[1].lstrip("0")) > _ADDRESS_DIGITS and not _DIGEST.search(before)


class MaskedStream:
    """A text stream that masks everything it writes; otherwise like the stream it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` with keys masked; returns the length of the original."""
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
    """Within the context, keys are masked in standard output and standard error of this process."""
    output, errors = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = MaskedStream(output), MaskedStream(errors)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, errors


def ended(main: Callable[[], int]) -> int:
    """Run ``main`` of a child process and return its exit code; its output and tracebacks are masked."""
    gc.freeze()  # what was imported stays: nothing in it is garbage
    without_last_collection()
    with masked_streams():
        try:
            return main()
        except Exception:
            import traceback  # which most processes never need

            traceback.print_exc()
            return 1
