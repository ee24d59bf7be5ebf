"""Reads a profile of any format. The content decides which reader is used, never the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from workbench.errors import ReadError
from workbench.hints import TYPE_CHECKING
from workbench.patterns import pattern
from workbench.profiles.memory import most_bytes, reading
from workbench.profiles.model import Profile
from workbench.profiles.notes import Note
from workbench.profiles.source import LIMIT_BYTES, ProfileSource, Source, name_of, open_source

if TYPE_CHECKING:
    import re
    from typing import Any, Protocol, TypeAlias

    _Beginning: TypeAlias = bytes | tuple[bytes, ...] | re.Pattern[bytes]

    class Reader(Protocol):
        """The functions of each module in ``readers``."""

        def recognise(self, source: Source) -> str | None:
            """Why these bytes are of this format (for the message), or None. Looks at the beginning only; never raises.

            Related files that are refused (a legacy pprof profile, ms_print's report) are recognised too: the error of
            ``read`` then names the kind of file and what to do.
            """

        def read(self, source: Source) -> Profile:
            """The profile. Raises ReadError."""


# Readers are tried in this order. Formats with a certain mark come first; folded stacks, which have none, last.
FORMATS = (
    "flamegraph", "speedscope", "firefox", "dhat", "jemalloc", "callgrind", "massif", "pstats", "perf_script", "pprof",
    "strace", "folded",
)  # fmt: skip
# From this format on readers only judge what a file looks like, so files of other tools are refused before it.
_WITHOUT_MARK = "pprof"
# Beginnings that only one format has. Its reader is tried first, so that the others need not be imported. If it
# does not recognise the file, the others are tried in their order.
_BEGINNINGS: tuple[tuple[_Beginning, str], ...] = (
    (b"# callgrind format", "callgrind"),
    (b"desc:", "massif"),
    (pattern(rb"# ========\r?\n# captured on"), "perf_script"),
    ((b"heap_v2/", b"--- symbol"), "jemalloc"),
    (pattern(rb'\{\s*"dhatFileVersion"'), "dhat"),
    (pattern(rb"<(?:\?xml|svg)"), "flamegraph"),
    (pattern(rb"[{\xfb][()\xa8\xa9]"), "pstats"),
    (pattern(rb"\n[\x02-\x08\x0e-\x1f]"), "pprof"),
    (pattern(rb"(?:\[pid +)?(?:\d+\]? +)?(?:[\d:.]+ )*\w+\([^;\n]*\) += "), "strace"),
)

# How every file of a format begins. The reader of a format is imported only if the file begins so.
_OBJECT = pattern(rb"[\s\xef\xbb\xbf]*\{")
_NEEDED: dict[str, _Beginning] = {
    "flamegraph": pattern(rb"[\0\s\xef\xbb\xbf\xff\xfe]*<"),
    "speedscope": _OBJECT,
    "firefox": _OBJECT,
    "dhat": _OBJECT,
    "jemalloc": (b"heap_v2/", b"--- symbol"),
    "massif": tuple(mark + word for mark in (b"", b"\xef\xbb\xbf") for word in (b"desc:", b"cmd:", b"-----")),
    "pstats": (b"{", b"\xfb"),
}
# Callgrind's mark may be far from the beginning: a line before it has all arguments of the program.
_CALLGRIND = (b"# callgrind format", b"events:", b"digraph")
_CALLGRIND_BYTES = 1 << 24


def read_profile(
    source: ProfileSource,
    *,
    format: str | None = None,
    limit_bytes: int = LIMIT_BYTES,
    memory_bytes: int | None = None,
    **options: Any,
) -> Profile:
    """Read a profile: callgrind, massif, DHAT, jemalloc's, pprof, strace, perf script, the Firefox profiler's JSON,
    flame graph SVG, folded stacks, speedscope or pstats. The error for a file of another tool names the tool and the
    command that converts the file.

    ``source`` is a path, bytes or a binary file object; gzip, bzip2, xz and zstd are unpacked. ``format`` (one of
    FORMATS) chooses the reader, instead of the content; ``options`` are those of that reader. ``profile.meta`` has
    under ``reader`` which reader was used and why. Reading takes no more than about ``memory_bytes`` of memory (None:
    4 GiB, or the value of the variable ``WORKBENCH_MEMORY_MIB``). A file, packed and unpacked, may have at most an
    eighth of that, and at most ``limit_bytes``.

    Raises ReadError with file, line or byte offset, what was expected and what to do.
    """
    memory_bytes = most_bytes() if memory_bytes is None else memory_bytes
    with reading(name_of(source), memory_bytes):
        return _opened(open_source(source, limit_bytes=limit_bytes, memory_bytes=memory_bytes), format, options)


def _opened(opened: Source, format: str | None, options: dict[str, Any]) -> Profile:
    if not opened.cut_at:
        return _read(opened, format, options)
    try:
        profile = _read(opened, format, options)
    except ReadError as error:
        raise ReadError(
            f"the {opened.packing} data ends early, and the part before that cannot be read: {error.what}",
            where=opened.cut_at,
            hint="The file was cut off while it was written or copied: fetch it again",
        ) from error
    return profile.with_notes(Note(f"the {opened.packing} data ends early: what it holds is read", where=opened.cut_at))


def _read(opened: Source, format: str | None, options: dict[str, Any]) -> Profile:
    if format is None:
        name, why = recognise(opened)
    elif format in FORMATS:
        name, why = format, "asked for"
    else:
        raise ReadError(f"there is no format {format!r}", where="read_profile", hint=f"There are {', '.join(FORMATS)}")
    try:
        profile: Profile = _reader(name).read(opened, **options)
    except RecursionError as error:
        raise ReadError("nested too deeply to be read", where=opened.name) from error
    except MemoryError as error:
        raise ReadError("more than fits into memory", where=opened.name, hint="Profile a shorter window") from error
    packing = {"packing": opened.packing} if opened.packing else {}
    return profile.with_meta(reader=f"{name}: {why}", **packing)


def read_callgrind(source: ProfileSource, **options: Any) -> Profile:
    """Read a callgrind or cachegrind file, whoever wrote it. See :func:`read_profile`."""
    return read_profile(source, format="callgrind", **options)


def read_massif(source: ProfileSource, **options: Any) -> Profile:
    """Read a massif file. See :func:`read_profile`; ``snapshot`` chooses the tree that becomes ``nodes``."""
    return read_profile(source, format="massif", **options)


def read_pprof(source: ProfileSource, **options: Any) -> Profile:
    """Read a pprof protobuf, of pprof-rs, Go or others. See :func:`read_profile`."""
    return read_profile(source, format="pprof", **options)


def read_strace(source: ProfileSource, **options: Any) -> Profile:
    """Read an strace log. See :func:`read_profile`; ``date`` is the day of a log whose time stamps have no date."""
    return read_profile(source, format="strace", **options)


def read_flamegraph(source: ProfileSource, **options: Any) -> Profile:
    """Read a flame graph SVG of inferno, FlameGraph, pprof-rs or py-spy. See :func:`read_profile`."""
    return read_profile(source, format="flamegraph", **options)


def read_folded(source: ProfileSource, **options: Any) -> Profile:
    """Read folded stacks, lines of the form ``a;b;c 12``. See :func:`read_profile`."""
    return read_profile(source, format="folded", **options)


def read_speedscope(source: ProfileSource, **options: Any) -> Profile:
    """Read speedscope's JSON. See :func:`read_profile`."""
    return read_profile(source, format="speedscope", **options)


def read_jemalloc(source: ProfileSource, **options: Any) -> Profile:
    """Read a heap profile of jemalloc (``heap_v2``), with or without names. See :func:`read_profile`."""
    return read_profile(source, format="jemalloc", **options)


def read_dhat(source: ProfileSource, **options: Any) -> Profile:
    """Read the JSON of DHAT, of Valgrind or of the Rust crate. See :func:`read_profile`."""
    return read_profile(source, format="dhat", **options)


def read_pstats(source: ProfileSource, **options: Any) -> Profile:
    """Read what cProfile, profile or a sampler wrote for pstats; nothing in it runs. See :func:`read_profile`."""
    return read_profile(source, format="pstats", **options)


def read_perf_script(source: ProfileSource, **options: Any) -> Profile:
    """Read what ``perf script`` prints. See :func:`read_profile`."""
    return read_profile(source, format="perf_script", **options)


def read_firefox(source: ProfileSource, **options: Any) -> Profile:
    """Read a profile of the Firefox profiler or of samply. See :func:`read_profile`."""
    return read_profile(source, format="firefox", **options)


def recognise(source: Source) -> tuple[str, str]:
    """The format of these bytes, and why. Raises ReadError if no reader recognises them."""
    for name in _asked(source):
        if not may_be(name, source.data):
            continue
        if name == _WITHOUT_MARK:
            _refuse_foreign(source)
        why = _reader(name).recognise(source)
        if why is not None:
            return name, why
    head = source.data[:40]
    raise ReadError(
        f"no known profile: it begins with {head!r}",
        where=source.name,
        hint=f"Known are {', '.join(FORMATS)}; name one with format= (--format) to see what that reader says",
    )


def may_be(name: str, data: bytes) -> bool:
    """Whether these bytes have the mark that every file of the format has. If not, its reader need not be imported."""
    if name == "callgrind":
        return any(data.find(mark, 0, _CALLGRIND_BYTES + len(mark)) >= 0 for mark in _CALLGRIND)
    return name not in _NEEDED or _begins(data, _NEEDED[name])


def _refuse_foreign(source: Source) -> None:
    """Raise for a file that another tool must convert first."""
    # imported here, since its import compiles many patterns, and most files are recognised before
    from workbench.profiles.foreign import foreign

    if (other := foreign(source.data)) is not None:
        raise ReadError(f"this is {other.what}", where=source.name, hint=other.hint_for(source.name))


def _asked(source: Source) -> Iterator[str]:
    """The formats in the order in which they are tried for these bytes."""
    first = next((name for beginning, name in _BEGINNINGS if _begins(source.data, beginning)), None)
    if first is not None:
        yield first
    yield from (name for name in FORMATS if name != first)


def _begins(data: bytes, beginning: _Beginning) -> bool:
    return data.startswith(beginning) if isinstance(beginning, (bytes, tuple)) else beginning.match(data) is not None


def _reader(name: str) -> Any:
    reader: Any = import_module(f"workbench.profiles.readers.{name}")
    return reader
