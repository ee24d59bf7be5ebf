"""Reads and unpacks the bytes of a profile, within limits: from a path, bytes or a file object."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from workbench.errors import ReadError
from workbench.hints import TYPE_CHECKING, NamedTuple
from workbench.profiles.memory import MEMORY_BYTES, MIB, MORE, free_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, BinaryIO, Protocol, TypeAlias

    class _Decompressor(Protocol):
        def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...

        @property
        def eof(self) -> bool: ...

        @property
        def unused_data(self) -> bytes: ...


LIMIT_BYTES = 4096 * MIB
# Readers need up to this many bytes of memory per byte of a profile, which limits the file size.
MEMORY_PER_BYTE = 8
# Real text profiles compress 10 to 40 times, deep folded stacks up to 300 times; a bomb a thousand times.
BOMB_RATIO = 400
BOMB_FREE_BYTES = 256 * MIB
_CHUNK = 4 * MIB
# A member gets small pieces at first: unused input is copied, for each of perhaps 100,000 members.
_FIRST_WINDOW = 256
_WINDOW = 64 * 1024
# bgzip ends a file with an empty member, so joined files have some; thousands are an attack.
MOST_EMPTY_MEMBERS = 1000
# the most files of a folder that an error lists
_MOST_ENTRIES = 10_000

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED = {
    b"PK\x03\x04": ("a zip archive", "Unpack it and read the profile inside"),
    b"\x7fELF": ("a program, not a profile", "Give the file the profiler wrote"),
    b"PAR1": ("a Parquet file", "Read it with pandas.read_parquet"),
}

ProfileSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO"


class Source(NamedTuple):
    """The bytes of a profile as the tool wrote them. ``name`` is for messages, ``packing`` the compression,
    ``modified_s`` when the file was written (seconds since 1970), if known, ``cut_at`` where compressed data ended
    early: then ``data`` is the part that could be unpacked.
    """

    data: bytes
    name: str
    packing: str = ""
    modified_s: float | None = None
    cut_at: str = ""

    def at(self, line: int | None = None, *, offset: int | None = None) -> str:
        """The place in this file for a message: ``file:line`` or ``file, byte offset``."""
        if line is not None:
            return f"{self.name}:{line}"
        return self.name if offset is None else f"{self.name}, byte {offset}"


def open_source(
    source: ProfileSource | Source, *, limit_bytes: int = LIMIT_BYTES, memory_bytes: int = MEMORY_BYTES
) -> Source:
    """Read the bytes of a profile; gzip, bzip2, xz and zstd are unpacked, independent of the file's name.

    File and unpacked data are each limited by ``limit_bytes`` and by memory (:func:`allowed_bytes`). Raises ReadError
    for larger ones, for a file that is missing, empty or a device, and for compressed data that is cut off or a
    decompression bomb.
    """
    if isinstance(source, Source):
        return source
    try:
        return _opened(source, limit_bytes, memory_bytes)
    except MemoryError as error:
        raise ReadError("more than fits into memory", where=name_of(source), hint="Profile a shorter window") from error


def allowed_bytes(limit_bytes: int = LIMIT_BYTES, memory_bytes: int = MEMORY_BYTES) -> int:
    """The largest profile that may be read now: the least of ``limit_bytes``, an eighth of ``memory_bytes``, and an
    eighth of the memory this process can still get."""
    return min(limit_bytes, memory_bytes // MEMORY_PER_BYTE, free_bytes() // MEMORY_PER_BYTE)


def _opened(source: ProfileSource, limit_bytes: int, memory_bytes: int) -> Source:
    limit = _Limit(allowed_bytes(limit_bytes, memory_bytes), limit_bytes, memory_bytes)
    data, name, modified_s = _read(source, limit)
    if not data:
        raise ReadError("the file is empty", where=name, hint=_instead_of_empty(source))
    for magic, (what, hint) in _REFUSED.items():
        if data.startswith(magic):
            what = "a core dump, not a profile" if _is_core(data) else what
            raise ReadError(f"this is {what}", where=name, hint=hint)
    for magic, packing in _PACKED.items():
        if data.startswith(magic):
            unpacked, cut_at = _unpack(data, packing, name, limit)
            if not unpacked:
                raise ReadError(f"the {packing} file is empty", where=name, hint="Write the profile again")
            return Source(unpacked, name, packing, modified_s, cut_at)
    return Source(data, name, "", modified_s)


def _is_core(data: bytes) -> bool:
    """Whether an ELF file is a core dump: type 4, in the byte order of byte 5."""
    return data.startswith(b"\x7fELF") and data[16:18] == (b"\4\0" if data[5:6] == b"\1" else b"\0\4")


def _instead_of_empty(source: ProfileSource) -> str:
    """What to do about an empty file. callgrind leaves one beside the files of threads."""
    if isinstance(source, (str, os.PathLike)):
        from pathlib import Path

        path = Path(source)
        with suppress(OSError):
            beside = sorted(file for file in path.parent.iterdir() if _of_thread(file.name, path.name))
            if found := [file.name for file in beside if file.stat().st_size]:
                return f"With --separate-threads=yes each thread has its own: read {listed(found)}"
    return (
        "The profiled process was killed before the profiler wrote: stop it with SIGTERM and wait for it. Of "
        "callgrind's --separate-threads=yes the file without a number is empty: read those that end in -01, -02, ..."
    )


def _of_thread(name: str, base: str) -> bool:
    """Whether a file is a thread's, ``callgrind.out.17-02`` beside ``callgrind.out.17``, or of one of its dumps,
    ``callgrind.out.17.1-02``."""
    return re.fullmatch(re.escape(base) + r"(\.\d+)?-\d{2,}", name) is not None


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names for a message: ``a, b and 4 more``."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


class _Limit(NamedTuple):
    """The limit in bytes for reading or unpacking, and the requested limits in bytes and memory: the limit is lower if
    memory is short."""

    size: int
    asked: int
    memory: int

    def exceeded(self, name: str, what: str = "larger") -> ReadError:
        if self.size == self.memory // MEMORY_PER_BYTE < self.asked:
            return ReadError(
                f"{what} than {self.size // MIB} MiB, an eighth of the {self.memory // MIB:,} MiB of memory that "
                "reading may take",
                where=name,
                hint=f"Profile a shorter window, or {MORE}",
            )
        if self.size < self.asked:
            return ReadError(
                f"{what} than {self.size // MIB} MiB, an eighth of the free memory",
                where=name,
                hint="Profile a shorter window, or read it on a machine with more memory",
            )
        return ReadError(
            f"{what} than {self.size // MIB} MiB",
            where=name,
            hint="Profile a shorter window, or raise limit_bytes",
        )


def name_of(source: ProfileSource | Source) -> str:
    """The name of a profile in messages: its path."""
    if isinstance(source, Source):
        return source.name
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if isinstance(source, (str, os.PathLike)):
        return _path_of(source)
    return str(getattr(source, "name", "<stream>"))


def _read(source: ProfileSource, limit: _Limit) -> tuple[bytes, str, float | None]:
    name = name_of(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), name, None
    if isinstance(source, (str, os.PathLike)):
        try:
            return _read_file(_path_of(source), limit)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ReadError(f"the file cannot be read: {reason}", where=name) from error
    if hasattr(source, "read"):
        return _read_stream(source.read, name, limit), name, None
    raise ReadError(
        f"a profile is read from a path, bytes or a binary file object, not from {type(source).__name__}",
        where="read_profile",
    )


def _path_of(source: str | os.PathLike[str]) -> str:
    """The path as pathlib writes it. pathlib is imported only for paths that it would write in another way."""
    path = os.fspath(source)
    if path and not path.startswith("./") and "//" not in path and "/./" not in path and not path.endswith(("/", "/.")):
        return path
    from pathlib import Path

    return str(Path(path))


def _read_file(name: str, limit: _Limit) -> tuple[bytes, str, float | None]:
    # checked before opening: opening a device can have effects
    status = os.stat(name)
    if stat.S_ISDIR(status.st_mode):
        from pathlib import Path

        what, hint = _folder(Path(name))
        raise ReadError(f"this is {what}", where=name, hint=hint)
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise ReadError("this is a device, not a file", where=name, hint="Give the file the profiler wrote")
    if status.st_size > limit.size:
        raise limit.exceeded(name)
    with open(name, "rb") as file:
        # pipes and files of /proc have the size 0, and a file can grow meanwhile
        return _read_stream(file.read, name, limit, status.st_size), name, status.st_mtime


def _folder(path: Path) -> tuple[str, str]:
    """The error for a folder: what it is and what to do."""
    if path.suffix == ".trace":
        return (
            "a trace of Apple's Instruments",
            f"Run `xctrace export --input {path.name} --xpath '//table[@schema=\"time-profile\"]' > out.xml` and "
            "`inferno-collapse-xctrace out.xml > out.folded`",
        )
    if (path / "manifest.json").is_file():
        return "the folder of a run", "Give a file of its profiles/, or use `workbench findings`"
    return "a folder", _instead_of_folder(path)


def _instead_of_folder(folder: Path) -> str:
    """The files of a folder that are neither hidden nor empty, the newest first."""
    with suppress(OSError):
        with os.scandir(folder) as entries:
            files = [entry for entry in islice(entries, _MOST_ENTRIES) if not entry.name.startswith(".")]
        files = [entry for entry in files if entry.is_file() and entry.stat().st_size]
        if files:
            files.sort(key=lambda entry: (-entry.stat().st_mtime, entry.name))
            return f"Give one of the files in it: {listed([entry.name for entry in files])}"
        return "It contains no file that could be read: give the file the profiler wrote"
    return "Give the file the profiler wrote"


def _read_stream(read: Callable[[int], Any], name: str, limit: _Limit, expected: int = 0) -> bytes:
    """Read everything, at most ``limit``. In one piece without a copy if the size is as expected."""
    pieces: list[bytes] = []
    size = 0
    while True:
        piece = read(min(max(expected, _CHUNK), limit.size - size) + 1)
        if isinstance(piece, str):
            piece = piece.encode("utf-8", "surrogateescape")
        if not isinstance(piece, bytes):
            raise ReadError("the file object gave no bytes", where=name, hint='Open it in binary mode, "rb"')
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > limit.size:
            raise limit.exceeded(name)


def line_number(data: bytes, offset: int) -> int:
    """The number of the line that a byte is in, from 1."""
    return data.count(b"\n", 0, offset) + 1


class _EndsEarly(Exception):
    """Compressed data ends within a member."""


def _unpack(data: bytes, packing: str, name: str, limit: _Limit) -> tuple[bytes, str]:
    """Unpack all members, in time and memory proportional to input and output. Also returns where the data ends early,
    or ""."""
    bomb = max(BOMB_FREE_BYTES, BOMB_RATIO * len(data))
    out = io.BytesIO()
    # zeros after the last member of a gzip file are legal padding; in zstd data they may be part of the data
    end = len(data if packing == "zstd" else data.rstrip(b"\0"))
    view = memoryview(data)
    position = empty = 0
    while position < end:
        before = out.tell()
        try:
            for piece, after in _member(view, position, packing, name):
                out.write(piece)
                position = after
                if out.tell() > min(bomb, limit.size):
                    raise _unpacks_to_too_much(name, len(data), bomb, limit)
        except _EndsEarly:
            return _whole(out.getvalue(), packing, f"{name}, byte {end}")
        empty += out.tell() == before
        if empty > MOST_EMPTY_MEMBERS:
            raise ReadError(
                f"more than {MOST_EMPTY_MEMBERS:,} members of the {packing} data are empty",
                where=f"{name}, byte {position}",
                hint="No profiler writes that: the file was not read",
            )
    return out.getvalue(), ""


def _whole(unpacked: bytes, packing: str, where: str) -> tuple[bytes, str]:
    """The readable part of a truncated file. Raises ReadError if there is none."""
    if not unpacked:
        raise ReadError(
            f"the {packing} data ends early",
            where=where,
            hint="The file was cut off while it was written or copied: fetch it again",
        )
    return unpacked, where


def _member(view: memoryview, position: int, packing: str, name: str) -> Iterator[tuple[bytes, int]]:
    """Unpack the member at ``position`` in pieces, each with the input position after it; the last has that of the next
    member."""
    if packing == "zstd":
        yield from _zstd(view, position, name)
        return
    from lzma import LZMAError
    from zlib import error as ZlibError

    decompressor = _decompressor(packing)
    window, piece, fed = _FIRST_WINDOW, b"", b""
    while not decompressor.eof:
        # a piece of the maximum size: more output may follow without more input
        if not fed and len(piece) < _CHUNK:
            if position == len(view):
                raise _EndsEarly
            fed = bytes(view[position : position + window])
            position += len(fed)
            window = min(2 * window, _WINDOW)
        try:
            piece = decompressor.decompress(fed, _CHUNK)
        except (ZlibError, OSError, LZMAError, EOFError, ValueError) as error:
            raise ReadError(
                f"the {packing} data is damaged: {error}",
                where=f"{name}, near byte {position - len(fed)}",
                hint="Fetch the file again",
            ) from error
        fed = getattr(decompressor, "unconsumed_tail", b"")
        yield piece, position - len(decompressor.unused_data)


def _zstd(view: memoryview, position: int, name: str) -> Iterator[tuple[bytes, int]]:
    """Unpack the rest in pieces; Arrow reads several zstd frames in sequence."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(view[position:]), "zstd") as stream:
            # into our own buffer: memory allocated by read() is never freed if the data is damaged
            piece = bytearray(min(_CHUNK, MIB))
            while size := stream.readinto(piece):
                yield bytes(piece[:size]), position
    except OSError as error:
        if "runcated" in str(error):
            raise _EndsEarly from error
        raise ReadError(f"the zstd data is damaged: {error}", where=name, hint="Fetch the file again") from error
    yield b"", len(view)


def _unpacks_to_too_much(name: str, packed: int, bomb: int, limit: _Limit) -> ReadError:
    if limit.size < bomb:
        return limit.exceeded(name, f"{packed:,} bytes unpack to more")
    return ReadError(
        f"unpacks to more than {bomb // MIB} MiB from {packed:,} bytes",
        where=name,
        hint="No profiler writes that: the file was not read. Unpack it by hand if you trust it",
    )


def _decompressor(packing: str) -> _Decompressor:
    import bz2  # imported only for compressed profiles
    import lzma
    import zlib

    if packing == "gzip":
        return zlib.decompressobj(wbits=31)
    return bz2.BZ2Decompressor() if packing == "bzip2" else lzma.LZMADecompressor(memlimit=512 * MIB)
