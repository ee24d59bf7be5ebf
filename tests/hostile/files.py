"""Hostile profiles, generated: for each format what makes its reader hold much for few bytes of file.

Each is about as large as it is asked to be, and well formed, so that no reader is rid of it at its first line. They are
made of what a writer could write: more names, deeper stacks, longer lines than any has.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.profiles.pprof_encoding import Fields, message, tagged, varint

_MIB = 1 << 20


def _many(each: Callable[[int], bytes], size: int) -> bytes:
    """So many different pieces as make ``size`` bytes."""
    count = max(1, size // len(each(10_000_000)))
    return b"".join(map(each, range(count)))


def _json(head: bytes, item: Callable[[int], bytes], tail: bytes, size: int) -> bytes:
    return head + _many(lambda number: item(number) + b",", size)[:-1] + tail


# --- folded -------------------------------------------------------------------------------------------------------


def folded_names(size: int) -> bytes:
    """Each line a name that no other has."""
    return _many(lambda number: b"f%x 1\n" % number, size)


def folded_line(size: int) -> bytes:
    """One line of as many frames as fit."""
    return b"a;" * (size // 2) + b"b 1\n"


def folded_deep(size: int) -> bytes:
    """Deep stacks, each of which is different from its root on."""
    return _many(lambda number: b"r%d" % number + b";a" * 5000 + b" 1\n", size)


def folded_cells(size: int) -> bytes:
    """A line of nothing but separators."""
    return b"a" + b";" * size + b"b 1\n"


# --- callgrind ----------------------------------------------------------------------------------------------------

_CALLGRIND = b"# callgrind format\nversion: 1\ncreator: callgrind-3.19.0\npositions: line\nevents: Ir\n\n"


def callgrind_functions(size: int) -> bytes:
    """Functions of one line each."""
    return _CALLGRIND + _many(lambda number: b"fn=f%x\n1 1\n" % number, size)


def callgrind_calls(size: int) -> bytes:
    """Calls from one function to one other each."""
    return _CALLGRIND + b"fn=main\n" + _many(lambda number: b"cfn=g%x\ncalls=1 1\n1 1\n" % number, size)


def callgrind_events(size: int) -> bytes:
    """Costs for thousands of kinds of events."""
    head = _CALLGRIND.replace(b"Ir", b" ".join(b"E%d" % number for number in range(2000)))
    return head + _many(lambda number: b"fn=f%x\n1 1\n" % number, size)


def callgrind_line(size: int) -> bytes:
    """A line without end."""
    return _CALLGRIND + b"fn=main\n1 " + b"1 " * (size // 2) + b"\n"


# --- massif -------------------------------------------------------------------------------------------------------

_MASSIF = b"desc: --detailed-freq=1\ncmd: a\ntime_unit: i\n"


def _snapshot(number: int, tree: bytes) -> bytes:
    return (
        b"#-----------\nsnapshot=%d\n#-----------\ntime=%d\nmem_heap_B=1000\nmem_heap_extra_B=8\nmem_stacks_B=0\n%s\n"
        % (number, number, tree)
    )


def massif_snapshots(size: int) -> bytes:
    """Snapshots without a tree."""
    return _MASSIF + _many(lambda number: _snapshot(number, b"heap_tree=empty"), size)


def massif_names(size: int) -> bytes:
    """One tree of as many places as fit."""
    leaf = b" n0: 1 0x%08X: f%x (a.c:1)\n"
    count = max(1, size // len(leaf % (1, 10_000_000)))
    tree = b"heap_tree=detailed\nn%d: 1000 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n" % count
    return _MASSIF + _snapshot(0, tree + b"".join(leaf % (number, number) for number in range(count)))


def massif_deep(size: int) -> bytes:
    """One tree that is a single chain, each level indented by one more."""
    tree, level, used = [b"n1: 1000 (heap allocation functions) malloc/new/new[], --alloc-fns, etc."], 1, 0
    while used < size:
        line = b" " * level + b"n1: 1000 0x%X: f (a.c:1)" % level
        used, level = used + len(line), level + 1
        tree.append(line)
    tree.append(b" " * level + b"n0: 1000 0x1: f (a.c:1)")
    return _MASSIF + _snapshot(0, b"heap_tree=detailed\n" + b"\n".join(tree))


# --- JSON ---------------------------------------------------------------------------------------------------------

_DHAT = (
    b'{"dhatFileVersion":2,"mode":"heap","verb":"Allocated","bklt":true,"bkacc":false,"tu":"instrs","Mtu":"Minstr",'
    b'"tuth":500,"cmd":"a","pid":1,"te":10,"tg":5,"pps":['
)
_POINT = b'{"tb":8,"tbk":1,"tl":1,"mb":8,"mbk":1,"gb":0,"gbk":0,"eb":0,"ebk":0,"fs":[%s]}'


def dhat_points(size: int) -> bytes:
    """Program points."""
    return _json(_DHAT, lambda number: _POINT % b"1", b'],"ftbl":["[root]","0x1: f (a.c:1)"]}', size)


def dhat_names(size: int) -> bytes:
    """A frame table, each frame used by one point."""
    count = size // 100
    points = b",".join(_POINT % (b"%d" % (number + 1)) for number in range(count))
    table = b",".join(b'"0x%X: f%x (a.c:1)"' % (number, number) for number in range(count))
    return _DHAT + points + b'],"ftbl":["[root]",' + table + b"]}"


def dhat_frames(size: int) -> bytes:
    """Points with long stacks."""
    long = _POINT % (b"1," * 9_999 + b"1")
    return _json(_DHAT, lambda number: long, b'],"ftbl":["[root]","0x1: f (a.c:1)"]}', size)


def dhat_empty(size: int) -> bytes:
    """Nothing but empty objects where points belong."""
    return _json(_DHAT, lambda number: b"{}", b'],"ftbl":["[root]"]}', size)


_SPEEDSCOPE = b'{"$schema":"https://www.speedscope.app/file-format-schema.json","shared":{"frames":['
_SAMPLED = b'"type":"sampled","name":"a","unit":"none","startValue":0,"endValue":1,'


def speedscope_names(size: int) -> bytes:
    """Frames that nothing uses."""
    tail = b']},"profiles":[{' + _SAMPLED + b'"samples":[[0]],"weights":[1]}]}'
    return _json(_SPEEDSCOPE, lambda number: b'{"name":"f%x"}' % number, tail, size)


def speedscope_empty(size: int) -> bytes:
    """Samples of no frame."""
    head = _SPEEDSCOPE + b'{"name":"a"}]},"profiles":[{' + _SAMPLED + b'"samples":['
    count = size // 5
    return head + b"[]," * (count - 1) + b'[]],"weights":[' + b"1," * (count - 1) + b"1]}]}"


def speedscope_deep(size: int) -> bytes:
    """Samples of 5,000 frames, none of which begins as another."""
    head = _SPEEDSCOPE + b",".join(b'{"name":"f%d"}' % number for number in range(10_000)) + b']},"profiles":[{'
    sample, count = b",0" * 5000, max(1, size // 10_006)
    samples = b",".join(b"[%d%s]" % (number % 10_000, sample) for number in range(count))
    return head + _SAMPLED + b'"samples":[' + samples + b'],"weights":[' + b",".join([b"1"] * count) + b"]}]}"


def speedscope_events(size: int) -> bytes:
    """Frames that open and close."""
    head = _SPEEDSCOPE + b'{"name":"a"}]},"profiles":[{"type":"evented","name":"a","unit":"none","startValue":0,'
    pair = b'{"type":"O","frame":0,"at":1},{"type":"C","frame":0,"at":1}'
    return head + b'"endValue":1,"events":[' + b",".join([pair] * max(1, size // len(pair))) + b"]}]}"


def speedscope_profiles(size: int) -> bytes:
    """Profiles of one sample."""
    one = b"{" + _SAMPLED + b'"samples":[[0]],"weights":[1]}'
    return _json(_SPEEDSCOPE + b'{"name":"a"}]},"profiles":[', lambda number: one, b"]}", size)


_FIREFOX = (
    b'{"meta":{"version":29,"interval":1,"preprocessedProfileVersion":55,"product":"a","startTime":0,'
    b'"sampleUnits":{"time":"ms","eventDelay":"ms","threadCPUDelta":"ns"},"categories":[]},"libs":[],"threads":['
)


def _thread(stacks: int, samples: int, names: int) -> bytes:
    def numbers(count: int) -> bytes:
        return b",".join(b"%d" % number for number in range(count))

    def zeros(count: int) -> bytes:
        return b"0," * (count - 1) + b"0"

    return (
        b'{"name":"a","pid":1,"tid":1,"samples":{"length":%d,"stack":[%s],"time":[%s]},'
        % (samples, b",".join(b"%d" % (number % stacks) for number in range(samples)), numbers(samples))
        + b'"stackTable":{"length":%d,"frame":[%s],"prefix":[null%s]},'
        % (stacks, b",".join(b"%d" % (number % names) for number in range(stacks)), b",0" * (stacks - 1))
        + b'"frameTable":{"length":%d,"func":[%s],"line":[%s]},' % (names, numbers(names), zeros(names))
        + b'"funcTable":{"length":%d,"name":[%s],"resource":[%s],"fileName":[%s]},'
        % (names, numbers(names), b",".join([b"-1"] * names), b",".join([b"null"] * names))
        + b'"resourceTable":{"length":0,"lib":[],"name":[]},"stringArray":['
        + b",".join(b'"f%x"' % number for number in range(names))
        + b"]}"
    )


def firefox_names(size: int) -> bytes:
    """Functions, frames and stacks, one of each for each name."""
    count = max(1, size // 60)
    return _FIREFOX + _thread(count, 1, count) + b"]}"


def firefox_samples(size: int) -> bytes:
    """Samples of one stack."""
    return _FIREFOX + _thread(1, max(1, size // 11), 1) + b"]}"


def firefox_threads(size: int) -> bytes:
    """Threads of one sample."""
    one = _thread(1, 1, 1)
    return _FIREFOX + b",".join([one] * max(1, size // len(one))) + b"]}"


# --- jemalloc -----------------------------------------------------------------------------------------------------


def jemalloc_stacks(size: int) -> bytes:
    """Stacks of one address."""
    head = b"heap_v2/524288\n  t*: 1: 8 [0: 0]\n"
    return head + _many(lambda number: b"@ 0x%x\n  t*: 1: 8 [0: 0]\n" % number, size)


def jemalloc_deep(size: int) -> bytes:
    """One stack of as many addresses as fit."""
    return b"heap_v2/524288\n  t*: 1: 8 [0: 0]\n@" + b" 0x1" * (size // 4) + b"\n  t*: 1: 8 [0: 0]\n"


# --- pprof --------------------------------------------------------------------------------------------------------


def _pprof(samples: bytes, locations: bytes, functions: bytes, strings: bytes) -> bytes:
    kind: Fields = [(1, 1), (2, 2)]
    texts = b"".join(tagged(6, text) for text in (b"", b"cpu", b"count"))
    return tagged(1, message(kind)) + samples + locations + functions + texts + strings


def _location(number: int) -> bytes:
    return tagged(4, message([(1, number), (4, message([(1, number)]))]))


def _function(number: int, name: int) -> bytes:
    return tagged(5, message([(1, number), (2, name)]))


def pprof_strings(size: int) -> bytes:
    """A table of empty texts: two bytes each."""
    return _pprof(_sample(1), _location(1), _function(1, 1), b"\x32\x00" * (size // 2))


def _sample(*locations: int) -> bytes:
    return tagged(2, message([(1, b"".join(map(varint, locations))), (2, varint(1))]))


def pprof_names(size: int) -> bytes:
    """Names, functions, locations and samples, one of each."""
    count = max(1, size // 50)
    numbers = range(1, count + 1)
    return _pprof(
        b"".join(map(_sample, numbers)),
        b"".join(map(_location, numbers)),
        b"".join(_function(number, number + 2) for number in numbers),
        b"".join(tagged(6, b"f%x" % number) for number in numbers),
    )


def pprof_deep(size: int) -> bytes:
    """One sample of as many frames as fit."""
    stack = b"\x01" * size
    sample = tagged(2, tagged(1, stack) + tagged(2, varint(1)))
    return _pprof(sample, _location(1), _function(1, 1), b"")


def pprof_samples(size: int) -> bytes:
    """Equal samples."""
    one = _sample(1)
    return _pprof(one * (size // len(one)), _location(1), _function(1, 1), b"")


def pprof_lines(size: int) -> bytes:
    """One location of as many inlined frames as fit."""
    line = tagged(4, message([(1, 1)]))
    location = tagged(4, tagged(1, 1) + line * (size // len(line)))
    return _pprof(_sample(1), location, _function(1, 1), b"")


# --- strace -------------------------------------------------------------------------------------------------------


def strace_processes(size: int) -> bytes:
    """A call of each of as many processes as fit."""
    return _many(lambda number: b'%d 12:00:00.000001 read(3, "", 1) = 0 <0.000001>\n' % (number + 1), size)


def strace_calls(size: int) -> bytes:
    """Calls that no kernel has."""
    return _many(lambda number: b"1 12:00:00.000001 c%x(3) = 0 <0.000001>\n" % number, size)


def strace_unfinished(size: int) -> bytes:
    """Calls that never return."""
    return _many(lambda number: b"%d 12:00:00.000001 read(3, <unfinished ...>\n" % (number + 1), size)


def strace_files(size: int) -> bytes:
    """Each call on a file of its own."""
    call = b'1 12:00:00.000001 openat(AT_FDCWD, "/f%x", O_RDONLY) = 3 <0.000001>\n'
    return _many(lambda number: call % number, size)


def strace_line(size: int) -> bytes:
    """An argument without end."""
    return b'1 12:00:00.000001 write(3, "' + b"a, " * (size // 3) + b'", 1) = 1 <0.000001>\n'


# --- perf script --------------------------------------------------------------------------------------------------


def perf_deep(size: int) -> bytes:
    """One sample of as many frames as fit."""
    return b"a 1 1.000001: 1 cycles:\n" + b"\t1 f (/a)\n" * (size // 10) + b"\n"


def perf_names(size: int) -> bytes:
    """Samples of one frame, each with a name of its own."""
    return _many(lambda number: b"a 1 1.000001: 1 cycles:\n\t%x f%x (/a)\n\n" % (number, number), size)


def perf_programs(size: int) -> bytes:
    """A program and thread for each sample."""
    return _many(lambda number: b"p%x %d 1.000001: 1 cycles:\n\t1 f (/a)\n\n" % (number, number + 1), size)


# --- flame graphs -------------------------------------------------------------------------------------------------

_SVG = (
    b'<?xml version="1.0" standalone="no"?>\n<svg version="1.1" width="1200" height="200" '
    b'xmlns="http://www.w3.org/2000/svg" xmlns:fg="http://github.com/jonhoo/inferno">\n'
    b'<svg id="frames" x="10" width="1180" total_samples="1000000">\n'
)


def svg_frames(size: int) -> bytes:
    """Boxes beside each other."""
    box = b'<g><title>f%x (1 samples, 0.01%%)</title><rect x="0.01%%" y="100" width="0.01%%" height="15" '
    return _SVG + _many(lambda n: box % n + b'fill="red" fg:x="%d" fg:w="1"/></g>\n' % n, size) + b"</svg></svg>"


def svg_name(size: int) -> bytes:
    """One box with a name without end."""
    box = b"<g><title>" + b"a" * size + b' (1 samples, 100%)</title><rect x="0" y="100" width="100%" height="15" '
    return _SVG + box + b'fill="red" fg:x="0" fg:w="1000000"/></g>\n</svg></svg>'


# --- pstats -------------------------------------------------------------------------------------------------------


def _text(text: bytes) -> bytes:
    return b"z" + bytes([len(text)]) + text


def _entry(number: int) -> bytes:
    place = b")\x03" + _text(b"a.py") + b"i" + struct.pack("<i", number) + _text(b"f%x" % number)
    one = b"i" + struct.pack("<i", 1)
    return place + b")\x05" + one + one + b"g" + struct.pack("<d", 1.0) + b"g" + struct.pack("<d", 1.0) + b"{0"


def pstats_functions(size: int) -> bytes:
    """Functions that nobody calls."""
    return b"{" + _many(_entry, size) + b"0"


def pstats_tuples(size: int) -> bytes:
    """A list of empty tuples where a dict of functions belongs."""
    return b"{(" + struct.pack("<i", size // 2) + b")\x00" * (size // 2) + b"N0"


def _of(*prefixes: str) -> Iterator[tuple[str, dict[str, Callable[[int], bytes]]]]:
    for prefix in prefixes:
        made = {name.partition("_")[2]: it for name, it in globals().items() if name.startswith(f"{prefix}_")}
        yield prefix, made


FORMAT_OF = {"perf": "perf_script", "svg": "flamegraph"}
KINDS = tuple(
    (FORMAT_OF.get(prefix, prefix), kind, make)
    for prefix, made in _of(
        "folded", "callgrind", "massif", "dhat", "speedscope", "firefox", "jemalloc", "pprof", "strace", "perf", "svg",
        "pstats",
    )
    for kind, make in made.items()
)  # fmt: skip
"""Format, what is hostile of it, and the function that makes so many bytes of it."""


def head_of(format: str) -> bytes:
    """The beginning of a file of a format."""
    make = next(make for found, _, make in KINDS if found == format)
    return make(8192)[:4096]


def sparse(path: Path, head: bytes, size: int) -> None:
    """A file of ``size`` bytes that is zeros behind its head, and takes no room on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


def bomb(path: Path, head: bytes, again: bytes, size: int) -> None:
    """A gzip file that unpacks to ``size`` bytes of the same over and over."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(head)
        piece = again * (_MIB // len(again))
        for _ in range(size // len(piece)):
            file.write(piece)
