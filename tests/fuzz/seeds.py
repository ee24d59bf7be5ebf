"""What the damage starts from: small whole profiles of each format, cut from the example profiles or exported."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.profiles.firefox_encoding import file
from tests.profiles.samples import SAMPLES
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import FORMATS, read_profile, recognise
from workbench.profiles.source import open_source

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "profiles"
SMALL_BYTES = 6000
# pieces of what strace 7.2 wrote about a program with two threads and a child: with -N -yy, -X verbose -y, -X raw, -k,
# --color=always -N, and -c -U
STRACE = (
    "8 23:53:25.612484 recvfrom(sockfd=5<UNIX-STREAM:[4484568->4484569]> <unfinished ...>\n"
    '9 23:53:25.612489 prctl(op=PR_SET_NAME, name="worker") = 0 <0.000011>\n'
    "8 23:53:25.612522 <... recvfrom resumed>, buf=0x7ffd, len=10, flags=0, src_addr=NULL, addrlen=NULL) = -1 EAGAIN "
    "(Resource temporarily unavailable) <0.000033>\n"
    "8 23:53:25.612609 futex(uaddr=0x7f51, futex_op=FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, val=9, timeout=NULL) = 0 "
    "<0.000083>\n"
    "8 23:53:25.612837 read(fd=9<{eventfd-count=0, eventfd-id=1, eventfd-semaphore=0}>, buf=0x7ffd, count=8) = 8\n",
    "8 23:53:25.714143 recvfrom(3<socket:[4484589]>, 0x7ffd, 10, 0x40 /* MSG_DONTWAIT */, NULL, NULL) = 3 <0.000025>\n"
    "8 23:53:25.714184 futex(0x7f13, 0x109 /* FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME */, 21069, NULL) = 0 <0.000102>\n"
    "8 23:53:25.714316 pipe2([7<pipe:[4484599]>, 8<pipe:[4484599]>], 0x80000 /* O_CLOEXEC */) = 0 <0.000018>\n"
    "8 23:53:25.714605 read(7<pipe:[4484599]> <unfinished ...>\n"
    '8 23:53:25.734956 <... read resumed>, "hi", 2) = 2 <0.020340>\n',
    "8 socketpair(0x1, 0x1|0x800, 0, [5, 6]) = 0\n"
    "8 clone3({flags=0x3d0f00, exit_signal=0, stack=0x7f83} => {parent_tid=[9]}, 88) = 9\n"
    "9 dup(5) = 7\n9 fcntl(7, 0x4, 0x802) = 0\n8 read(6, 0x7ffd, 9) = 1\n8 close(6) = 0\n8 fork() = 10\n"
    '10 read(7, "x", 9) = 1\n10 wait4(-1, NULL, 0x1, NULL) = 0\n10 +++ exited with 0 +++\n',
    '8 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 11\n > /usr/lib/libc.so.6(__open+0x4e) [0x10f0e]\n'
    ' > /tmp/t(main+0x12) [0x1180]\n8 read(11, "root", 4) = 4\n | 00000  72 6f 6f 74   root |\n',
    "8 10:00:00.000000 \x1b[33mread\x1b[0m(\x1b[35m\x1b[39mfd\x1b[0m=\x1b[35m3\x1b[0m, \x1b[39mbuf\x1b[0m=\x1b[35m"
    '"x"\x1b[0m)\x1b[0m \x1b[0m=\x1b[0m \x1b[32m1\x1b[0m \x1b[0m<\x1b[35m0.000020\x1b[0m>\x1b[0m\n',
    " wall-total syscall              calls    errors  longest\n"
    "----------- ---------------- --------- --------- --------\n"
    "   0.024902 read                     5         1 0.000000\n"
    "   0.000058 write                    2           0.000000\n"
    "----------- ---------------- --------- --------- --------\n"
    "   0.024960 total                    7         1 0.000000\n",
)

PERF_STACKS = """\
# ========
# hostname : box
# ========
#
app 101/102 [003]  1000.000001:     250000 cpu-clock:u:
\t    55d0c1f0 inl (inlined)
  alg.h:7
\t    55d0c1a0 a::f<b (c)>::operator()+0x10 (/srv/app)
\t    55d0c2b0 main+0x20 (/srv/app (deleted))

pool: 3 [x] 7 1000.000300:          1 cycles:
\tffffffff8103ce3b native_safe_halt+0x6 ([kernel.kallsyms])
\t               0 [unknown] ([unknown])

java 9 1000.000400: sched:sched_switch: prev_comm=java prev_pid=9 ==> next_comm=x
\t    7f89cc45c5c3 Lio/Writer;::flush->Lio/Stream;::write+0x4b (/tmp/perf-9.map)

"""
PERF_LINES = """\
     pool: 3 [x] 24436 27452.815488:     250000 cpu-clock:u:      5601dec16b15 g()+0xb5 (/srv/m)
         1 two 3 24437 27452.825152:     250000 cpu-clock:u:      5601dec16cc3 main+0x93 (/srv/m)
               m 14919 [001] 27613.677644: raw_syscalls:sys_enter: NR 12 (0, 7ffe07f6742c, 0)
             app 1 5.000002:  9 branches:uH:   call   55d0 main+0x10 (/srv/app) => 7f00 g+0x0 (/srv/app)
"""
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
        return [b"".join(lines[:25]), b"".join(lines[-40:]), *(text.encode() for text in STRACE)]
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
    if format == "perf_script":
        return [text.encode() for text in (PERF_STACKS, PERF_LINES)]
    if format == "firefox":
        rows = [[(("main", "f"), 1), (("main", "f", "g"), 2), ((), 1)], [(("start", "f"), 5)]]
        return [json.dumps(file(rows, version)).encode() for version in (70, 55)]
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
