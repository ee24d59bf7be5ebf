"""Where a profile's bytes come from: a path, bytes or a file object, unpacked within limits."""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from workbench.errors import ReadError

MIB = 1024 * 1024
LIMIT_BYTES = 4096 * MIB
# Real text profiles pack 10 to 40 times, deep folded stacks up to about 300 times; a bomb packs a thousand times.
BOMB_RATIO = 400
BOMB_FREE_BYTES = 256 * MIB
_CHUNK = 4 * MIB

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_REFUSED = {
    b"PK\x03\x04": ("a zip archive", "Unpack it and read the profile inside"),
    b"\x28\xb5\x2f\xfd": ("zstd data", "Unpack it with `zstd -d`"),
    b"\x7fELF": ("a program, not a profile", "Give the file the profiler wrote"),
    b"PAR1": ("a Parquet file", "Read it with pandas.read_parquet"),
}

ProfileSource = str | os.PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of a profile as the tool wrote them. ``name`` is for messages, ``packing`` what was unpacked,
    ``modified_s`` when the file was written (seconds since 1970), if known.
    """

    data: bytes
    name: str
    packing: str = ""
    modified_s: float | None = None

    def at(self, line: int | None = None, *, offset: int | None = None) -> str:
        """The place in this file for a message: ``file:line`` or ``file, byte offset``."""
        if line is not None:
            return f"{self.name}:{line}"
        return self.name if offset is None else f"{self.name}, byte {offset}"


def open_source(source: ProfileSource | Source, *, limit_bytes: int = LIMIT_BYTES) -> Source:
    """Read a profile whole; gzip, bzip2 and xz are unpacked, whatever the file is called.

    Raises ReadError for a file that is missing, empty, cut off while packed, larger than ``limit_bytes`` or packed so
    tightly that it must be a bomb.
    """
    if isinstance(source, Source):
        return source
    data, name, modified_s = _read(source, limit_bytes)
    if not data:
        raise ReadError(
            "the file is empty",
            where=name,
            hint="The profiled process was killed before the profiler wrote: stop it with SIGTERM and wait for it",
        )
    for magic, (what, hint) in _REFUSED.items():
        if data.startswith(magic):
            raise ReadError(f"this is {what}", where=name, hint=hint)
    for magic, packing in _PACKED.items():
        if data.startswith(magic):
            unpacked = _unpack(data, packing, name, limit_bytes)
            if not unpacked:
                raise ReadError(f"the {packing} file holds nothing", where=name, hint="Write the profile again")
            return Source(unpacked, name, packing, modified_s)
    return Source(data, name, "", modified_s)


def _read(source: ProfileSource, limit_bytes: int) -> tuple[bytes, str, float | None]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "<bytes>", None
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            status = path.stat()
            if path.is_dir():
                raise ReadError("this is a folder", where=str(path), hint="Give the file the profiler wrote")
            if status.st_size > limit_bytes:
                raise _too_large(str(path), limit_bytes)
            return path.read_bytes(), str(path), status.st_mtime
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ReadError(f"the file cannot be read: {reason}", where=str(path)) from error
    if hasattr(source, "read"):
        name = str(getattr(source, "name", "<stream>"))
        data = source.read(limit_bytes + 1)
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        if not isinstance(data, bytes):
            raise ReadError("the file object gave no bytes", where=name, hint='Open it in binary mode, "rb"')
        if len(data) > limit_bytes:
            raise _too_large(name, limit_bytes)
        return data, name, None
    raise ReadError(
        f"a profile is read from a path, bytes or a binary file object, not from {type(source).__name__}",
        where="read_profile",
    )


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


def _unpack(data: bytes, packing: str, name: str, limit_bytes: int) -> bytes:
    allowed = min(limit_bytes, max(BOMB_FREE_BYTES, BOMB_RATIO * len(data)))
    out: list[bytes] = []
    size = 0
    rest = data
    while rest:
        decompressor = _decompressor(packing)
        try:
            while not decompressor.eof:
                piece = decompressor.decompress(rest, _CHUNK)
                rest = getattr(decompressor, "unconsumed_tail", b"")
                size += len(piece)
                out.append(piece)
                if size > allowed:
                    raise ReadError(
                        f"unpacks to more than {allowed // MIB} MiB from {len(data):,} bytes",
                        where=name,
                        hint="No profiler writes that: the file was not read. Unpack it by hand if you trust it",
                    )
                if not piece and not rest and not decompressor.eof:
                    raise ReadError(
                        f"the {packing} data ends early",
                        where=f"{name}, byte {len(data)}",
                        hint="The file was cut off while it was written or copied: fetch it again",
                    )
        except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError) as error:
            if size and out and _only_zeros(rest):
                break
            raise ReadError(
                f"the {packing} data is damaged: {error}",
                where=f"{name}, near byte {len(data) - len(rest)}",
                hint="Fetch the file again",
            ) from error
        rest = decompressor.unused_data
        if _only_zeros(rest):
            break
    return b"".join(out)


def _only_zeros(rest: bytes) -> bool:
    """Padding after the last member of a gzip file is legal."""
    return not rest.strip(b"\0")


def _decompressor(packing: str) -> _Decompressor:
    if packing == "gzip":
        return zlib.decompressobj(wbits=31)
    return bz2.BZ2Decompressor() if packing == "bzip2" else lzma.LZMADecompressor(memlimit=512 * MIB)


def _too_large(name: str, limit_bytes: int) -> ReadError:
    return ReadError(
        f"larger than {limit_bytes // MIB} MiB", where=name, hint="Profile a shorter window, or raise limit_bytes"
    )
