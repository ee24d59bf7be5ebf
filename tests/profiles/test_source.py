"""Opening a profile: paths, bytes, file objects; packed, empty, damaged and hostile ones."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.limited import limited, needs_limits
from workbench.errors import ReadError
from workbench.profiles.memory import MIB
from workbench.profiles.read import read_profile
from workbench.profiles.source import open_source

pytestmark = pytest.mark.slow


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd, bytes])
def test_the_bytes_are_the_same_however_packed(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = b"a;b 1\n" * 1000
    path = tmp_path / "profile.whatever"
    path.write_bytes(pack(data))
    assert open_source(path).data == data
    assert open_source(str(path)).name == str(path)
    assert open_source(pack(data)).data == data
    assert open_source(io.BytesIO(pack(data))).data == data
    with path.open("rb") as file:
        assert open_source(file).name == str(path)


def test_members_and_padding_of_gzip_are_read() -> None:
    assert open_source(gzip.compress(b"one") + gzip.compress(b"two") + b"\0" * 100).data == b"onetwo"


def test_frames_of_zstd_are_read_one_after_another() -> None:
    assert open_source(zstd(b"one") + zstd(b"two\0")).data == b"onetwo\0"
    with pytest.raises(ReadError, match=r"unpacks? to more than"):
        open_source(zstd(bytes(300 * MIB)))


@needs_limits
def test_damaged_zstd_gives_its_memory_back() -> None:
    """Arrow's read() keeps the 4 MiB that it allocated where it fails."""
    cut = zstd(b"main;a 5\n" * 500)[:-3]

    def address_space_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    sizes = []
    for _ in range(2):
        for _ in range(100):
            with pytest.raises(ReadError, match="ends early"):
                open_source(cut)
        sizes.append(address_space_bytes())
    assert sizes[1] - sizes[0] < 100 * MIB


def damaged_at_the_end(data: bytes) -> bytes:
    return data[:-2] + bytes([data[-2] ^ 0x55]) + data[-1:]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty. The profiled process was killed before the profiler wrote"),
        (gzip.compress(b"", mtime=0), "the gzip file is empty"),
        (gzip.compress(b"x" * 5000, mtime=0)[:12], "the gzip data ends early"),
        (bz2.compress(b"x" * 5000)[:20], "the bzip2 data ends early"),
        (lzma.compress(b"x" * 5000)[:24], "the xz data ends early"),
        (damaged_at_the_end(bz2.compress(b"x" * 6_000_000)), "the bzip2 data is damaged"),
        (zstd(b"x" * 5000)[:6], "the zstd data ends early"),
        (zstd(b""), "the zstd file is empty"),
        (zstd(b"x") + b"junk", "the zstd data is damaged"),
        (b"\x1f\x8bnonsense", "the gzip data is damaged"),
        (b"PK\x03\x04rest", "this is a zip archive. Unpack it"),
        (b"\x7fELFrest", "this is a program, not a profile"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, said: str) -> None:
    with pytest.raises(ReadError, match=said):
        open_source(data)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_data_that_was_cut_anywhere_keeps_what_is_whole(pack: Callable[[bytes], bytes]) -> None:
    whole = b"".join(b"main;f%d %d\n" % (number, number + 1) for number in range(300))
    packed = pack(whole)
    read, refused = 0, []
    for end in range(20, len(packed), 7):
        try:
            profile = read_profile(packed[:end], format="folded")
        except ReadError as error:
            refused.append(str(error))
            continue
        read += 1
        assert profile.total() <= sum(range(1, 301))
        assert any("data ends early: what it holds is read, at <bytes>, byte" in str(note) for note in profile.notes)
    assert all("ends early" in said for said in refused)
    assert read or pack is not gzip.compress


def bomb(layers: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    piece = packer.compress(b"\0" * MIB)
    return b"".join([piece, *(packer.compress(b"\0" * MIB) for _ in range(layers)), packer.flush()])


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(ReadError, match=r"unpacks? to more than"):
        open_source(bomb(300))
    with pytest.raises(ReadError, match="unpack to more than 8 MiB"):
        open_source(bomb(20), limit_bytes=8 * MIB)


PACKERS = (gzip.compress, bz2.compress, lzma.compress)


@pytest.mark.parametrize("pack", PACKERS)
def test_members_that_hold_nothing_are_counted(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one = pack(b"a;b 1\n")
    assert open_source(one + pack(b"") * 900 + one).data == b"a;b 1\n" * 2
    with pytest.raises(ReadError, match=r"members of the (gzip|bzip2|xz) data are empty"):
        open_source(one + pack(b"") * 100_000)


@pytest.mark.parametrize("pack", PACKERS[:2])
def test_many_members_take_time_in_proportion(pack) -> None:  # type: ignore[no-untyped-def]
    """What is copied for a member does not grow with what comes after it."""
    member = pack(b"a;b 1\n")

    def seconds(count: int) -> float:
        data = member * count
        began = time.process_time()
        assert len(open_source(data).data) == 6 * count
        return time.process_time() - began

    seconds(100)
    # quadratic would be 256 times
    assert seconds(32_000) < 64 * max(seconds(2_000), 0.005)


@needs_limits
def test_no_more_is_read_than_the_memory_holds(tmp_path: Path) -> None:
    path = tmp_path / "much.gz"
    path.write_bytes(gzip.compress(b"a;b 1\n" * 40_000_000, 1))
    said = limited(f"open_source({str(path)!r})", memory_bytes=1024 * MIB)
    assert "an eighth of the free memory. Profile a shorter window" in said
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(300 * MIB)
    assert "larger than" in limited(f"open_source({str(large)!r})", memory_bytes=1024 * MIB)


@needs_limits
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_devices_are_not_read(path: str) -> None:
    assert limited(f"open_source({path!r})", memory_bytes=1024 * MIB) == (
        f"{path}: this is a device, not a file. Give the file the profiler wrote"
    )


@needs_limits
def test_a_pipe_is_read_to_its_end_or_to_the_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for size, said in ((100_000, ""), (MIB + 1, "larger than 1 MiB")):
        # a child, since a writer that nobody reads from any more would block
        writer = subprocess.Popen(["sh", "-c", f"head -c {size} /dev/zero > {pipe}"])
        try:
            if said:
                with pytest.raises(ReadError, match=said):
                    open_source(pipe, limit_bytes=MIB)
            else:
                assert open_source(pipe, limit_bytes=MIB).data == b"\0" * size
        finally:
            writer.wait(30)


def test_files_that_say_they_are_empty_are_read() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc")
    assert open_source("/proc/self/status").data.startswith(b"Name:")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file"):
        open_source(tmp_path / "none")
    with pytest.raises(ReadError, match="this is a folder"):
        open_source(tmp_path)
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100)
    with pytest.raises(ReadError, match="larger than"):
        open_source(large, limit_bytes=10)
    with pytest.raises(ReadError, match="not from int"):
        open_source(3)  # type: ignore[arg-type]
    with pytest.raises(ReadError, match="cannot be read"):
        open_source("a\0b")


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"BZh9", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"]),
)
def test_any_bytes_are_opened_or_refused(data: bytes, magic: bytes) -> None:
    with contextlib.suppress(ReadError):
        open_source(magic + data)
