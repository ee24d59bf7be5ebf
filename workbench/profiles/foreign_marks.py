"""Marks of unsupported formats: how the file begins, what it is, and what to do.

In a hint ``FILE`` stands for the file's own name. A converting command is given only if its output can be read here. A
mark of a few letters, with which other text could begin, also checks what follows.
"""

from __future__ import annotations

from collections.abc import Sequence

Mark = tuple[bytes, str, str]

SPEEDSCOPE = "Open it in https://www.speedscope.app, which works in the browser alone, and save its own JSON there"
MEMRAY = "Run `memray transform speedscope FILE`"
_ITSELF = "Give the file the profiler wrote"
_PERF_SCRIPT = "Run `perf script -i FILE > out.txt` and read that"
_PERF = "It contains no stacks: use `perf record -g` and `perf script`"
_GPROF = "`gprof PROGRAM FILE` shows it; for a profile to read here use perf or callgrind"
_TRACY = "`tracy-csvexport FILE` makes tables of it; its stacks are only in Tracy"

# The exact first bytes of a file.
MAGIC: Sequence[Mark] = (
    # perf.data and the output of `perf record -o -` into a pipe; reversed for the other byte order
    (b"PERFILE2", "a recording of perf (perf.data)", _PERF_SCRIPT),
    (b"2ELIFREP", "a recording of perf (perf.data)", _PERF_SCRIPT),
    (
        b"FLR\0",
        "a recording of Java's flight recorder (JFR)",
        "Run `jfrconv -o collapsed FILE out.folded`, async-profiler's converter",
    ),
    (b"JAVA PROFILE 1.", "a heap dump of Java (hprof)", "It contains objects, not stacks: open it in Eclipse MAT"),
    (b"rbspy02\n", "a recording of rbspy", "Run `rbspy report -f collapsed -i FILE -o out.folded`"),
    (
        b"\x13\x0fhotshot-version",
        "a recording of Python 2's hotshot",
        "Load it with hotshot.stats and dump_stats, in Python 2",
    ),
    (
        b"gmon\x01\0\0\0",
        "a profile of gcc -pg (gmon.out)",
        _GPROF,
    ),
    (
        b"gmon\0\0\0\x01",
        "a profile of gcc -pg (gmon.out)",
        _GPROF,
    ),
    (
        b"\x17\x08\x44tracing",
        "a recording of trace-cmd",
        "`trace-cmd report -i FILE` shows it; for stacks use `perf record -g` and `perf script`",
    ),
    (b"tlZ\x04", "a capture of Tracy", _TRACY),
    (b"SQLite format 3\0", "an SQLite database", "If Nsight Systems wrote it, `nsys stats FILE` shows it"),
    (b"\xc1\x1f\xfc\xc1", "a trace of LTTng (CTF)", "`babeltrace2` shows it: give it the folder"),
    (b"\x04\x08{", "data of a Ruby program, perhaps of stackprof", "Run `stackprof --stackcollapse FILE > out.folded`"),
    (b"\x89PNG\r\n", "a picture (PNG)", _ITSELF),
    (b"%PDF-", "a PDF document", _ITSELF),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it and read the profile inside"),
)

# How text begins: matched at the first character that is not blank.
TEXT: Sequence[Mark] = (
    # recordings; some marks check more than letters, since other text could begin with those
    (
        rb"MOJ[\x00-\x1f]",
        "a recording of austin (MOJO)",
        "Run `mojo2austin FILE out.folded`, of the package austin-python",
    ),
    (rb"memray\x00", "a recording of memray", MEMRAY),
    (rb"Nettrace\x14\x00{3}", "a recording of dotnet-trace", "Run `dotnet-trace convert FILE --format speedscope`"),
    (
        rb"adcg[*Rpbe]\d\d[0-9A-Z]",
        "a file of coverage counts of gcc (.gcda)",
        "`gcov FILE` shows them: it counts lines, not costs",
    ),
    (rb"oncg[*Rpbe]\d\d[0-9A-Z]", "a file of coverage notes of gcc (.gcno)", "It contains no measurement"),
    (rb"(?s:tZst...\x00)", "a capture of Tracy", _TRACY),
    (
        rb"go 1\.\d+ trace\0",
        "an execution trace of Go",
        "Run `go tool trace -pprof=sched FILE > out.pb.gz` (or net, sync, syscall)",
    ),
    (
        rb"v8-version,\d+,\d+,",
        "a log of node --prof",
        f"Run `node --prof-process --preprocess FILE > out.json`. {SPEEDSCOPE}",
    ),
    (
        rb"v [0-9a-f]+ [0-9a-f]+\nX ",
        "a recording of heaptrack",
        "Run `heaptrack_print -F out.folded FILE` on the file as heaptrack wrote it",
    ),
    # dumps and reports for people to read
    (
        rb"goroutine \d+ (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[[^\]\n]+\]:\r?\n",
        "a dump of goroutines (debug=2)",
        "Fetch it without debug=2: `curl -o goroutine.pb.gz .../debug/pprof/goroutine`",
    ),
    (
        rb"\d{4}-\d\d-\d\d [\d:]+\r?\nFull thread dump ",
        "a dump of Java's threads",
        "It shows one moment, not a profile: use async-profiler with `-o collapsed`",
    ),
    (rb"-{60,}\r?\nProfile data file '", "callgrind_annotate's report", "Give the callgrind.out file it was made from"),
    (
        rb"-{60,}\r?\n(?:-- Metadata|I1 cache: +\d|Invocation: |Command: +\S[^\n]*\nData file: )",
        "cg_annotate's report",
        "Give the cachegrind.out file it was made from",
    ),
    (
        rb"Flat profile:\r?\n\s*Each sample counts as",
        "gprof's report",
        "It contains no stacks; for a profile to read here use perf or callgrind",
    ),
    (rb"-: +0:Source:", "gcov's report", "It counts lines, not costs"),
    (
        rb"# To display the perf\.data header info",
        "perf report's table",
        "Run `perf script -i perf.data > out.txt` and read that",
    ),
    (rb"(?:# started on [^\n]*\n\s*)?Performance counter stats for ", "perf stat's table", _PERF),
    (rb"# tracer: \w+\r?\n#", "a trace of ftrace", _PERF),
    (rb"cpus=\d+\r?\n +\S.*-\d+ +\[\d+\]", "trace-cmd's report", _PERF),
    (
        rb"(?:Attaching \d+ probes?\.\.\.\r?\n\s*)?@\w*\[[ \t]*\r?\n(?:[^\n]*\n){1,2000}?[ \t]*\]: ",
        "counted stacks of bpftrace",
        "Run `stackcollapse-bpftrace.pl FILE > out.folded`, of FlameGraph",
    ),
    (
        rb"(?:Attaching \d+ probes?\.\.\.\r?\n\s*)?@\w*(?:\[[^\]\n]*\])?: -?\d+[ \t]*\r?(?:\n|\Z)",
        "counts of bpftrace without stacks",
        "Count by stack, @[ustack] = count(), and run `stackcollapse-bpftrace.pl FILE > out.folded` on that",
    ),
    (
        rb'reading file "[^"\n]*" - please wait, this might take some time',
        "heaptrack_print's report",
        "Run `heaptrack_print -F out.folded` on the recording itself",
    ),
    (rb"Analysis of sampling ", "a report of macOS's sample", "Run `inferno-collapse-sample FILE > out.folded`"),
    (
        rb"\S.* Time and (?:Allocation|Ticky) Profiling Report",
        "a report of GHC",
        "Run `inferno-collapse-ghcprof FILE > out.folded`",
    ),
    (rb"(?i)<!doctype html|<html[\s>]", "an HTML page", "Give the profile it was made from"),
    (
        rb"==\d+== (?:Memcheck|Callgrind|Cachegrind|Massif|DHAT|Helgrind)",
        "Valgrind's standard error output",
        "Give the file its tool wrote: callgrind.out, massif.out, dhat.out",
    ),
    (
        rb"_{3} Begin jemalloc statistics _{3}|\{\s*\"jemalloc\"\s*:\s*\{",
        "jemalloc's statistics",
        "They contain no stacks: run the program with MALLOC_CONF=prof:true,prof_final:true",
    ),
    (
        rb"Total: [\d.]+ ?(?:B|MB|objects|samples)?\r?\n +[\d.]+ +[\d.]+% +[\d.]+% ",
        "jeprof's table",
        "Give the profile it was made from",
    ),
    (
        rb"(?:File: [^\n]*\n)?(?:Build ID: [^\n]*\n)?Type: \w+\r?\n(?:Time: |Duration: |Showing nodes)",
        "pprof's table",
        "Give the profile it was made from",
    ),
    (
        rb"PeriodType: .*\r?\nPeriod: \d+\r?\n",
        "text output of pprof (pprof -raw)",
        "Give the profile from which it was printed",
    ),
    # JSON of others
    (
        rb'\{\s*"nodes"\s*:\s*\[\s*\{\s*"id"\s*:\s*\d+\s*,\s*"callFrame"\s*:',
        "a CPU profile of V8 (.cpuprofile)",
        SPEEDSCOPE,
    ),
    (rb'\{\s*"head"\s*:\s*\{\s*"callFrame"\s*:', "a sampled heap profile of V8 (.heapprofile)", SPEEDSCOPE),
    (
        rb'\{\s*"snapshot"\s*:\s*\{\s*"meta"\s*:\s*\{\s*"node_fields"',
        "a heap snapshot of V8",
        "It contains objects, not stacks: open it in Chrome's developer tools, or use node --heap-prof",
    ),
    (
        rb'\{\s*"SampleType"\s*:\s*\[\s*\{\s*"Type"\s*:',
        "a pprof profile as JSON",
        "Give the profile.proto that it was made from",
    ),
    (rb'\{\s*"traceEvents"\s*:\s*\[', "a Chrome trace", SPEEDSCOPE),
    (
        rb'\{\s*"start_time"\s*:[^\[{]{0,400}"start_call_stack"\s*:',
        "a session of pyinstrument",
        "Run `pyinstrument --load FILE -r speedscope -o out.json`",
    ),
    (
        rb'\{\s*"schema"\s*:\s*\d+\s*,(?=[^\0]*"settings"\s*:\s*\{)(?=[^\0]*"state"\s*:)',
        "the manifest of a run, not a profile",
        "Read the files in the run's folder profiles/, or `workbench findings` of the folder",
    ),
)
