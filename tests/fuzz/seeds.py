"""What the damage starts from: small whole profiles of each format, cut from the example profiles or exported."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.profiles.samples import SAMPLES
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import FORMATS, read_profile, recognise
from workbench.profiles.source import open_source

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "profiles"
SMALL_BYTES = 6000
_RUST = Path(__file__).resolve().parents[1] / "profiles" / "files" / "dhat-rs.json"
_HEAP = b"""heap_v2/4096
  t*: 447: 712716 [664: 1422829]
  t0: 364: 615451 [533: 1188727]
  t1: 82: 103456 [131: 239092] worker
@ 0x7fd3892a2630 0x7fd389222045 0x55d12dac6187 0x55d12dac61bf 0x55d12dac6210
  t*: 82: 103456 [82: 103456]
  t1: 82: 103456 [82: 103456]
@ 0x7fd3892a2630 0x7fd389222045 0x55d12dac6187 0x55d12dac61eb
  t*: 0: 0 [38: 196426]
  t1: 0: 0 [38: 196426]

MAPPED_LIBRARIES:
55d12dac5000-55d12dac6000 r--p 00000000 fe:00 11673723                   /srv/app
55d12dac6000-55d12dac7000 r-xp 00001000 fe:00 11673723                   /srv/app
7fd386a80000-7fd387a00000 rw-p 00000000 00:00 0
7fd389200000-7fd3892af000 r-xp 00009000 fe:00 15630663                   /usr/lib/libjemalloc.so.2 (deleted)
"""
_SYMBOLS = b"""--- symbol
binary=./app
0x00007fd389222044 malloc<0000000000023910>
0x000055d12dac6186 grab<0000000000001179>--middle(int)--inner
0x000055d12dac61be app::hold::h0123456789abcdef
0x000055d12dac620f 0x000055d12dac620f
---
--- heap
"""
_DHAT = {
    "dhatFileVersion": 2,
    "mode": "heap",
    "verb": "Allocated",
    "bklt": True,
    "bkacc": True,
    "tu": "instrs",
    "Mtu": "Minstr",
    "tuth": 500,
    "cmd": "./app",
    "pid": 31967,
    "te": 156813,
    "tg": 151521,
    "pps": [
        {"tb": 9, "tbk": 1, "tl": 114, "mb": 9, "mbk": 1, "gb": 9, "gbk": 1, "eb": 9, "ebk": 1, "rb": 0, "wb": 9}
        | {"fs": [1, 2, 3]},
        {"tb": 99, "tbk": 2, "tl": 11, "mb": 50, "mbk": 1, "gb": 0, "gbk": 0, "eb": 0, "ebk": 0, "rb": 3, "wb": 9}
        | {"acc": [-4, 20, 3], "fs": [1, 4]},
    ],
    "ftbl": [
        "[root]",
        "0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_dhat-amd64-linux.so)",
        "0x109166: grab (app.c:3)",
        "0x109166: main (app.c:6)",
        "0x4005284: ??? (in /usr/lib/ld.so)",
    ],
}


def seeds(format: str) -> list[bytes]:
    """Small valid inputs of one format; with those of the corpus of public profiles where that is at hand."""
    return [*_own(format), *_public(format)]


def _own(format: str) -> list[bytes]:
    if format == "massif":
        lines = (EXAMPLES / "demo-massif.out").read_bytes().splitlines(keepends=True)
        ends = [number for number, line in enumerate(lines) if line.startswith(b"snapshot=")]
        return [b"".join(lines[: ends[3] - 1]), b"".join(lines[:3] + lines[ends[9] - 1 : ends[9] + 60])]
    if format == "callgrind":
        from workbench.profiles.exports.callgrind import to_callgrind

        lines = (EXAMPLES / "demo-callgrind.out").read_bytes().splitlines(keepends=True)
        return [b"".join(lines[:150]), b"".join(lines[:21] + lines[4000:4140]), to_callgrind(_small())]
    if format == "strace":
        lines = (EXAMPLES / "demo-strace.log").read_bytes().splitlines(keepends=True)
        return [b"".join(lines[:25]), b"".join(lines[-40:])]
    if format == "flamegraph":
        return [_small_svg(rows=8), _small_svg(rows=3)]
    if format == "pprof":
        from workbench.profiles.exports.pprof import to_pprof

        return [to_pprof(_small()), to_pprof(_small(), compress=False)]
    if format == "folded":
        from workbench.profiles.exports.folded import to_folded

        return [to_folded(_small()).encode(), b"a;b;c 1\na;b 2 3\n# x\n[u8; 4];d 5\n", "a;b 1\n".encode("utf-16")]
    if format == "speedscope":
        from workbench.profiles.exports.speedscope import to_speedscope

        return [to_speedscope(_small()).encode(), to_speedscope(_two_metrics()).encode()]
    if format == "jemalloc":
        return [_HEAP, _SYMBOLS + _HEAP, _HEAP[: _HEAP.index(b"\nMAPPED")]]
    if format == "dhat":
        return [_RUST.read_bytes(), json.dumps(_DHAT).encode(), json.dumps(_DHAT | {"bkacc": False}, indent=1).encode()]
    if format == "pstats":
        from workbench.profiles.exports.pstats import to_pstats

        return [to_pstats(_small()), to_pstats(_two_metrics(), "after")]
    raise ValueError(f"no seeds for {format!r}; there are {', '.join(FORMATS)}")


def _public(format: str) -> list[bytes]:
    if SAMPLES is None:
        return []
    found = []
    for path in sorted(SAMPLES.glob("*/*")):
        if 0 < path.stat().st_size <= SMALL_BYTES:
            data = path.read_bytes()
            try:
                if recognise(open_source(data))[0] == format:
                    read_profile(data, format=format)
                    found.append(data)
            except ReadError:
                continue  # that it is refused is tested elsewhere; damage to it would be refused for the same reason
    return found


def _small() -> Profile:
    text = "main;serve;check 5\nmain;serve;check;hash 30\nmain;serve;store 7\nmain;idle 1\nmain;serve;serve;check 2\n"
    return read_profile(text.encode(), format="folded")


def _two_metrics() -> Profile:
    return read_profile(b"main;a 5 7\nmain;b;a 2 0\nother 0 3\n", format="folded")


def _small_svg(rows: int) -> bytes:
    """The outermost ``rows`` of frames of the example flame graph."""
    text = (EXAMPLES / "demo-flamegraph-1.svg").read_text()
    frames = [frame for frame in text.split("<g>")[1:] if "<title>" in frame]
    drawn = sorted({_row(frame) for frame in frames}, reverse=True)[:rows]
    shown = "".join("<g>" + frame.partition("</g>")[0] + "</g>" for frame in frames if _row(frame) in drawn)
    start = text[: text.index(">", text.index("<svg ")) + 1]
    inner = re.search(r'<svg id="frames"[^>]*>', text)
    return (start + (inner[0] if inner else "") + shown + "</svg></svg>").encode()


def _row(frame: str) -> int:
    found = re.search(r'<rect [^>]*\by="(\d+)"', frame)
    return int(found[1]) if found else 0
