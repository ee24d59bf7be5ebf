"""Chooses the functions that read heap trees: the compiled ones, or those in numpy if there was no compiler."""

from __future__ import annotations

from workbench.hints import TYPE_CHECKING

try:
    from workbench.profiles.readers.massif import _kernel as _kernel
except ImportError:  # installed without a compiler
    _kernel = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol

    from workbench.profiles.readers.massif.plain import Judged, Lines

    class Kernel(Protocol):
        """The functions that both ``_kernel`` and :mod:`plain` have; :mod:`plain` describes them."""

        def lines(self, data: bytes, start: int, stop: int, /) -> Lines | None: ...

        def numbers(self, data: bytes, begin: bytes, end: bytes, texts: Mapping[bytes, int], /) -> bytes: ...

        def judge(self, parent: bytes, /, *rest: Any) -> Judged: ...

        def held_by(self, parent: bytes, /, *rest: Any) -> tuple[bytes, bytes, int, int, int, int]: ...


def kernel() -> Kernel:
    """The module with these functions."""
    if _kernel is not None:
        return _kernel
    from workbench.profiles.readers.massif import plain

    return plain
