"""Makes frames from addresses: by jeprof's symbols, otherwise by the mapped file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.model import frame_table
from workbench.profiles.names import base_name, tidy_rust

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.jemalloc.text import Mapping, Symbols

# jeprof takes names from nm, and appends the symbol's address to repeated names
_SYMBOL_ADDRESS = re.compile(r"<[0-9a-f]{8,16}>$")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_ARGUMENTS = re.compile(r"\([^()]*\)(\s*const)?")
_TEMPLATE = re.compile(r"<[^<>]*>")
_INLINED = "--"
# jeprof's list of allocator functions (RemoveUninterestingFrames), which are left out with their callees.
_ALLOCATOR_NAMES = (
    "calloc cfree malloc newImpl free memalign posix_memalign aligned_alloc pvalloc valloc realloc mallocx"
    " rallocx xallocx dallocx sdallocx sdallocx_noflags tc_calloc tc_cfree tc_malloc tc_free tc_memalign"
    " tc_posix_memalign tc_pvalloc tc_valloc tc_realloc tc_new tc_delete tc_newarray tc_deletearray tc_new_nothrow"
    " tc_newarray_nothrow do_malloc ::do_malloc ::do_malloc_or_cpp_alloc DoSampledAllocation"
    " simple_alloc::allocate __malloc_alloc_template::allocate __builtin_delete __builtin_new __builtin_vec_delete"
    " __builtin_vec_new malloc_zone_malloc malloc_zone_calloc malloc_zone_valloc malloc_zone_realloc"
    " malloc_zone_memalign malloc_zone_free __start_google_malloc __stop_google_malloc __start_malloc_hook"
    " __stop_malloc_hook"
)
_ALLOCATOR = frozenset(_ALLOCATOR_NAMES.split()) | {"void* newImpl", "operator new", "operator new[]"}


@dataclass(frozen=True, slots=True)
class Places:
    """The frames of addresses: ``first`` and ``count`` say which rows of ``order`` (numbers of ``frames``, outermost
    first) are those of an address; a frame is name, object, and whether it is inlined. ``allocator`` says which
    addresses are in the allocator; ``named`` how many have a name."""

    frames: Sequence[tuple[str, str, bool]]
    order: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    allocator: NDArray[np.bool_]
    named: int


def places_of(addresses: Sequence[int], mappings: Sequence[Mapping], symbols: Symbols | None) -> Places:
    """The frames of each address. One with neither symbol nor mapped file is named by its number."""
    lookup = _Mapped(mappings)
    names = {} if symbols is None else symbols.names
    numbers: dict[tuple[str, str, bool], int] = {}
    order: list[int] = []
    count: list[int] = []
    allocator: list[bool] = []
    named = 0
    for address in addresses:
        object, label = lookup.place(address)
        full = names.get(address, "")
        shown = [] if not full or _ADDRESS.fullmatch(full) else full.split(_INLINED)
        named += bool(shown)
        allocator.append(_is_allocator(shown[0]) if shown else base_name(object).startswith("libjemalloc.so"))
        for depth, name in enumerate(shown or [label]):
            key = (_SYMBOL_ADDRESS.sub("", name) or name, object, depth > 0)
            order.append(numbers.setdefault(key, len(numbers)))
        count.append(len(shown) or 1)
    counts = np.asarray(count, dtype=np.int64)
    return Places(
        frames=list(numbers),
        order=np.asarray(order, dtype=np.int64),
        first=np.cumsum(counts) - counts,
        count=counts,
        allocator=np.asarray(allocator, dtype=bool),
        named=named,
    )


def table_of(frames: Sequence[tuple[str, str, bool]]) -> Any:
    """The table of these frames."""
    raw = [name for name, _, _ in frames]
    return frame_table(
        [tidy_rust(name) for name in raw],
        object=[object for _, object, _ in frames],
        inlined=[inlined for _, _, inlined in frames],
        raw_function=raw,
    )


class _Mapped:
    """The mapped files, by address."""

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        self._mappings = mappings
        self._starts = [mapping.start for mapping in mappings]
        # the memory address of a file's first byte: offsets from there are those of addr2line and nm
        self._bases: dict[str, int] = {}
        for mapping in mappings:
            if mapping.offset == 0:
                self._bases.setdefault(mapping.file, mapping.start)

    def place(self, address: int) -> tuple[str, str]:
        """The file at an address ("" if there is none), and the name of the address: ``libc.so.6+0x27249``."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address >= self._mappings[at].end:
            return "", f"0x{address:x}"
        mapping = self._mappings[at]
        base = self._bases.get(mapping.file)
        if base is None or base > mapping.start:
            base = mapping.start - mapping.offset
        return mapping.file, f"{base_name(mapping.file)}+0x{address - base:x}"


def _is_allocator(name: str) -> bool:
    """Whether jeprof leaves this function out: its name without argument list and template arguments is on the list."""
    short = name[:1000]
    for pattern in (_ARGUMENTS, _TEMPLATE):
        while (shorter := pattern.sub("", short)) != short:
            short = shorter
    # macOS puts an underscore before each name
    return (
        short in _ALLOCATOR
        or short.removeprefix("_") in _ALLOCATOR
        or "TCMalloc" in short
        or short.startswith("tcmalloc::")
    )
