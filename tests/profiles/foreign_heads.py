"""How files of other tools begin, by what they are: written by the tools in runs of our own, with the command beside,
or after the format's specification where the tool cannot be had."""

from __future__ import annotations

import json
import struct

# perf record -g -o perf.data ./a.out; and perf record -o - ./a.out, perf 6.1
PERF = b"PERFILE2" + struct.pack("<4Q", 104, 136, 168, 136)
PERF_PIPE = b"PERFILE2" + struct.pack("<Q", 16) + b"@\0\0\0\0\0\x08\0\2\0\0\0\0\0\0\0"
# java -XX:StartFlightRecording=filename=a.jfr,dumponexit=true A.java, OpenJDK 17
JFR = b"FLR\0\0\2\0\1\0\0\0\0\0\4\xb4e\0\0\0\0\0\0\0\x44"
# memray run -o m.bin b.py, memray 1.20: LZ4 around the recording, and the recording itself
MEMRAY_LZ4 = bytes.fromhex("04224d184040c091360000fa046d656d726179000d000000f00f0b0300009d00")
MEMRAY = b"memray\0\x0d\0\0\0\x0b\3\0\0"
# runtime/trace.Start, Lookup("goroutine").WriteTo(f, 2) and (f, 1), Lookup("heap").WriteTo(f, 1), go 1.26
GO_TRACE = b"go 1.26 trace\0\0\0\1\1\xff\xff"
GO_DUMP = b"""goroutine 1 [running]:
runtime/pprof.writeGoroutineStacks({0x519658, 0x391728fe8060})
\t/usr/local/go/src/runtime/pprof/pprof.go:819 +0x6b
"""
GO_GOROUTINE = b"""goroutine profile: total 1
1 @ 0x442931 0x47e57d 0x4ca7b1
#\t0x4ca7b0\truntime/pprof.writeRuntimeProfile+0xb0\t/usr/local/go/src/runtime/pprof/pprof.go:851
"""
GO_HEAP = b"""heap profile: 1: 10002432 [5: 12230672] @ heap/1048576
0: 0 [1: 16] @ 0x47d8c5 0x480da7
#\t0x47d8c4\truntime.mallocgc+0xa4\t\t\t/usr/local/go/src/runtime/malloc.go:1150
"""
# node --cpu-prof, --heap-prof, --prof, --trace-event-categories v8, v8.writeHeapSnapshot(), node 20
FRAME = b'"callFrame":{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1}'
CPUPROFILE = b'{"nodes":[{"id":1,' + FRAME + b',"hitCount":0,"children":[2,3,24,25]},{"id":2,' + FRAME
HEAPPROFILE = b'{"head":{' + FRAME + b',"selfSize":0,"id":1,"children":[{' + FRAME
HEAPSNAPSHOT = b'{"snapshot":{"meta":{"node_fields":["type","name","id","self_size","edge_count","trace_node_id"'
V8_LOG = (
    b"v8-version,11,3,244,8,-node.38,0\nv8-platform,linux,linux\nshared-library,/usr/bin/node,0x400000,0xb71000,0\n"
)
CHROME = b'{"traceEvents":[{"pid":24953,"tid":24953,"ts":28014851221,"tts":46900,"ph":"X","cat":"v8"'
# the other forms that Chromium's Trace Event Format allows; the array is what tracing-chrome writes
CHROME_ARRAY = b'[\n{"ph":"M","pid":1,"name":"thread_name","tid":0,"args":{"name":"main"}},\n{"ph":"B","pid":1,"ts":2.5'
CHROME_BEHIND = b'{"displayTimeUnit":"ns","traceEvents":[{"args":{"a":1},"ph":"B","pid":1,"ts":2,"name":"f"}]}'
# pyinstrument -o p.pyisession -r session b.py, pyinstrument 5
PYINSTRUMENT = b'{"start_time": 1795994342.94, "duration": 0.37, "sample_count": 2, "start_call_stack": ["MainThread"'
# heaptrack -o ht ./a.out, 1.4, unpacked, and heaptrack_print of it
HEAPTRACK = b"v 10400 3\nX ../d\nI 1000 5e2921\n"
HEAPTRACK_PRINT = (
    b'reading file "ht.zst" - please wait, this might take some time...\nDebuggee command was: ../d\nfinished'
)
# gcc -pg and --coverage, gprof, gcov, of gcc 12
GMON = b"gmon\1\0\0\0" + b"\0" * 12
GPROF = b"Flat profile:\n\nEach sample counts as 0.01 seconds.\n no time accumulated\n\n  %   cumulative   self"
GCDA, GCNO = b"adcg*22B\x91\x8a\xd3\x3b", b"oncg*22B\x91\x8a\xd3\x3b"
GCOV = b"        -:    0:Source:../d.c\n        -:    0:Graph:dcov-d.gcno\n        1:    2:f()\n"
# callgrind_annotate, cg_annotate and what valgrind says itself, 3.19
LINE = b"-" * 80 + b"\n"
CALLGRIND_ANNOTATE = (
    LINE + b"Profile data file 'cg.out' (creator: callgrind-3.19.0)\n" + LINE + b"I1 cache: \nD1 cache: \n"
)
CG_ANNOTATE = (
    LINE + b"I1 cache:         32768 B, 64 B, 8-way associative\nD1 cache:         32768 B, 64 B\nCommand: ../d\n"
)
VALGRIND = (
    b"==123== Memcheck, a memory error detector\n==123== Copyright (C) 2002-2022, and GNU GPL'd, by Julian Seward\n"
)
# perf report --stdio and perf stat -o, 6.1
PERF_REPORT = b"# To display the perf.data header info, please use --header/--header-only options.\n#\n#\n"
PERF_STAT = b"# started on Sun Nov 29 23:21:11 2026\n\n\n Performance counter stats for '../d':\n"
# go tool pprof -raw, go 1.26, and pprofutils json
PPROF_RAW = (
    b"PeriodType: cpu nanoseconds\nPeriod: 10000000\nTime: 2026-11-27\nSamples:\nsamples/count cpu/nanoseconds\n  1 10"
)
PPROF_JSON = b'{\n  "SampleType": [\n    {\n      "Type": "samples",\n      "Unit": "count"\n    },'
# go tool pprof -top, go 1.26
PPROF_TOP = b"File: app\nBuild ID: 1f3a\nType: cpu\nTime: 2026-11-27 10:00:00 UTC\nDuration: 1s, Total samples = 1s\n"
# jeprof --text --show_bytes, and MALLOC_CONF=stats_print:true with stats_print_opts:J and without, jemalloc 5.3
JEPROF = b"Total: 2207672 B\n 2125752  96.3%  96.3%  2125752  96.3% grab\n"
JEMALLOC_JSON = b'{\n\t"jemalloc": {\n\t\t"version": "5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c",'
JEMALLOC_STATS = b'___ Begin jemalloc statistics ___\nVersion: "5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c"\n'
# a run's manifest
MANIFEST = json.dumps(
    {"schema": 1, "state": "done", "name": "x", "settings": {"rate": 5}, "command": "workbench load"}, indent=2
).encode()

# after the specification

# https://github.com/P403n1x87/austin: MOJO is MOJ and a version
MOJO = b"MOJ\3\1mode\0wall\0"
NETTRACE = b"Nettrace\x14\0\0\0!FastSerialization.1"
HPROF = b"JAVA PROFILE 1.0.2\0\0\0\0\x08"
HOTSHOT = b"\x13\x0fhotshot-version\x031.0"
TRACE_CMD = b"\x17\x08\x44tracing6\0\0\x08\0\x10\0\0"
FTRACE = b"# tracer: function\n#\n# entries-in-buffer/entries-written: 205080/212334   #P:2\n"
TRACY = b"tlZ\4\0\0\1\0" + b"\xf0\x10tracy\0\x0b\0"
BPFTRACE = b"Attaching 1 probe...\n\n\n@[\n    do_nanosleep+1\n    hrtimer+124\n]: 3\n@[\n    finish_task+5\n]: 12\n"
BPFTRACE_PLAIN = b"Attaching 1 probe...\n@[bash]: 5\n@[cargo build]: 12\n"
SAMPLE = b"Analysis of sampling app (pid 12) every 1 millisecond\nProcess:         app [12]\n"
GHC = b"\tFri Nov 27 10:00 2026 Time and Allocation Profiling Report  (Final)\n\n\t   app +RTS -p -RTS\n"
RBSPY = b"rbspy02\n" + b"\0" * 8
STACKPROF = b"\x04\x08{\x0d:\x0cversionf\x081.2"
SQLITE = b"SQLite format 3\0\x10\0\1\1\0\x40\x20\x20"
JAVA_THREADS = b"2026-11-27 10:00:00\nFull thread dump OpenJDK 64-Bit Server VM (17.0.1+1 mixed mode):\n"
PROMETHEUS = (
    b'# HELP a Jobs.\n# TYPE jobs_total counter\njobs_total{kind="a b"} 10\njobs_total{kind="b"} 3.5e+06 17\nup 1\n'
)
OPENMETRICS = b'# TYPE a histogram\n# UNIT a seconds\na_bucket{le="+Inf"} 17 # {trace_id="x"} 0.67\na_count 17\n# EOF\n'
CSV = b"name,count,seconds\nmain,3,0.5\nserve,12,0.25\n"
HTML = b"<!DOCTYPE html>\n<html><body><svg></svg></body></html>\n"
# a buffer of 64 KiB, type 4, whose first event is the file's header
ETL = struct.pack("<I", 65536) + b"\0" * 50 + b"\4\0" + b"\0" * 18 + b"\1\xc0" + b"\0" * 200


def packet(*fields: bytes) -> bytes:
    """One packet of perfetto."""
    body = b"".join(fields)
    return b"\x0a" + bytes([len(body)]) + body


# trusted_uid 3, trusted_packet_sequence_id 10, timestamp 8
PERFETTO = packet(b"\x18\0", b"\x50\1", b"\x40\x05") + packet(b"\x18\0", b"\x50\2", b"\x40\x06") * 2

# name in the message, head, what its hint has
HEADS: tuple[tuple[str, bytes, str], ...] = (
    ("recording of perf", PERF, "perf script -i FILE > out.txt"),
    ("recording of perf", PERF_PIPE, "perf script -i FILE > out.txt"),
    ("flight recorder", JFR, "jfrconv -o collapsed FILE"),
    ("recording of memray", MEMRAY_LZ4, "memray transform speedscope FILE"),
    ("recording of memray", MEMRAY, "memray transform speedscope FILE"),
    ("execution trace of Go", GO_TRACE, "go tool trace -pprof=sched FILE"),
    ("dump of goroutines", GO_DUMP, "without debug=2"),
    ("legacy Go goroutine profile", GO_GOROUTINE, "without debug=1"),
    ("legacy text heap profile", GO_HEAP, "without debug=1"),
    ("CPU profile of V8", CPUPROFILE, "speedscope.app"),
    ("heap profile of V8", HEAPPROFILE, "speedscope.app"),
    ("heap snapshot of V8", HEAPSNAPSHOT, "--heap-prof"),
    ("log of node --prof", V8_LOG, "node --prof-process --preprocess FILE"),
    ("Chrome trace", CHROME, "speedscope.app"),
    ("Chrome trace", CHROME_ARRAY, "speedscope.app"),
    ("Chrome trace", CHROME_BEHIND, "speedscope.app"),
    ("session of pyinstrument", PYINSTRUMENT, "pyinstrument --load FILE -r speedscope"),
    ("recording of heaptrack", HEAPTRACK, "heaptrack_print -F out.folded FILE"),
    ("heaptrack_print's report", HEAPTRACK_PRINT, "heaptrack_print -F"),
    ("gcc -pg", GMON, "gprof PROGRAM FILE"),
    ("gprof's report", GPROF, "callgrind"),
    ("coverage counts of gcc", GCDA, "gcov FILE"),
    ("coverage notes of gcc", GCNO, "no measurement"),
    ("gcov's report", GCOV, "lines"),
    ("callgrind_annotate's report", CALLGRIND_ANNOTATE, "callgrind.out"),
    ("cg_annotate's report", CG_ANNOTATE, "cachegrind.out"),
    ("error output", VALGRIND, "callgrind.out"),
    ("perf report's table", PERF_REPORT, "perf script"),
    ("perf stat's table", PERF_STAT, "perf record"),
    ("text output of pprof", PPROF_RAW, "it was printed"),
    ("pprof's table", PPROF_TOP, "made from"),
    ("jeprof's table", JEPROF, "made from"),
    ("jemalloc's statistics", JEMALLOC_JSON, "prof:true"),
    ("jemalloc's statistics", JEMALLOC_STATS, "prof:true"),
    ("pprof profile as JSON", PPROF_JSON, "profile.proto"),
    ("manifest of a run", MANIFEST, "profiles/"),
    ("recording of austin", MOJO, "mojo2austin FILE"),
    ("recording of dotnet-trace", NETTRACE, "dotnet-trace convert FILE --format speedscope"),
    ("heap dump of Java", HPROF, "objects"),
    ("hotshot", HOTSHOT, "Python 2"),
    ("recording of trace-cmd", TRACE_CMD, "trace-cmd report -i FILE"),
    ("trace of ftrace", FTRACE, "perf record"),
    ("capture of Tracy", TRACY, "tracy-csvexport FILE"),
    ("counted stacks of bpftrace", BPFTRACE, "stackcollapse-bpftrace.pl FILE"),
    ("counts of bpftrace without stacks", BPFTRACE_PLAIN, "stackcollapse-bpftrace.pl FILE"),
    ("macOS's sample", SAMPLE, "inferno-collapse-sample FILE"),
    ("report of GHC", GHC, "inferno-collapse-ghcprof FILE"),
    ("recording of rbspy", RBSPY, "rbspy report"),
    ("stackprof", STACKPROF, "stackprof --stackcollapse FILE"),
    ("SQLite database", SQLITE, "nsys stats FILE"),
    ("dump of Java's threads", JAVA_THREADS, "async-profiler"),
    ("metrics of Prometheus", PROMETHEUS, "workbench load"),
    ("metrics of Prometheus", OPENMETRICS, "workbench load"),
    ("table (CSV)", CSV, "the profiler wrote"),
    ("HTML page", HTML, "made from"),
    ("trace of Windows", ETL, "xperf -i FILE"),
    ("trace of perfetto", PERFETTO, "traceconv json FILE"),
    ("tar archive", b"a/\0".ljust(257, b"\0") + b"ustar\x0000", "Unpack"),
    ("LZ4 data", b"\x04\x22\x4d\x18\x40\x40\xc0abc", "lz4 -d FILE"),
    ("7z archive", b"7z\xbc\xaf\x27\x1c\0\4", "Unpack"),
    ("core dump", b"\x7fELF\2\1\1" + b"\0" * 9 + b"\4\0\x3e\0", "the profiler wrote"),
    ("program, not a profile", b"\x7fELF\2\1\1" + b"\0" * 9 + b"\3\0\x3e\0", "the profiler wrote"),
    ("zip archive", b"PK\3\4\x14\0", "Unpack"),
)  # fmt: skip
