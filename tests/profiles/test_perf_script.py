"""perf script's text: the shapes that its options give, cut files, threads and times. What real tools say of real
recordings is in ``test_perf_script_judged.py``."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles.samples import beside
from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_perf_script, read_profile
from workbench.profiles.readers import perf_script
from workbench.profiles.source import open_source

USUAL = """\
app  101  1000.000001:     250000 cpu-clock:u: 
\t    55d0c1a0 f+0x10 (/srv/app)
\t    55d0c2b0 main+0x20 (/srv/app)

app  101  1000.000251:     250000 cpu-clock:u: 
\t    55d0c1a4 f+0x14 (/srv/app)
\t    55d0c2b0 main+0x20 (/srv/app)

"""  # noqa: W291 - as perf writes it


def read(text: str) -> Profile:
    """The profile of a text that has to be recognised."""
    profile = read_profile(text.encode())
    assert profile.format == "perf_script"
    return profile


def header(start: str, frames: str = "\t    1a0 f+0x1 (/srv/app)\n") -> str:
    """Samples with this header: two, so that a frame is known to end a stack."""
    return f"{start}\n{frames}\n" * 2


def labels(profile: Profile, key: str) -> set[str]:
    """The values of a label."""
    return set(profile.tags.loc[profile.tags["key"] == key, "value"])


def test_the_reported_file() -> None:
    profile = read_profile(beside("reported/perf-script.txt"))
    assert stacks_of(profile) == {("main", "f"): 500_000}
    assert (profile.metric().name, profile.metric().unit, profile.total("samples")) == ("cpu-clock:u", "ns", 2)
    assert not profile.notes


def test_periods_are_the_metric_and_samples_are_counted() -> None:
    profile = read(USUAL)
    assert [(one.name, one.unit) for one in profile.metrics] == [("cpu-clock:u", "ns"), ("samples", "count")]
    assert stacks_of(profile) == {("main", "f"): 500_000}
    assert stacks_of(profile, "samples") == {("main", "f"): 2}
    assert set(profile.frames["object"]) == {"/srv/app"}
    assert labels(profile, "thread") == {"app 101"}
    assert read_perf_script(USUAL.encode()).total() == 500_000


@pytest.mark.parametrize(
    ("start", "thread", "event"),
    [
        ("app 101 1000.000001:     250000 cpu-clock:u: ", "app 101", "cpu-clock:u"),
        ("app 101/102 [003] 1000.000001:          1 cycles: ", "app 102", "cycles"),
        ("app   101/102   1000.000001001:          1 cycles:ppp: ", "app 102", "cycles:ppp"),
        ("app 101 1000.000001: cycles: ", "app 101", "samples"),
        ("pool: 3 [x] 101 [001] 1000.000001: 7 cycles: ", "pool: 3 [x] 101", "cycles"),
        ("1 two 3 101 1000.000001: 7 cycles: ", "1 two 3 101", "cycles"),
        ("kworker/u8:3-ev 101 1000.000001: 7 cycles: ", "kworker/u8:3-ev 101", "cycles"),
        ("V8 WorkerThread 24636/25607 [000] 94564.109216: 100 cycles: ", "V8 WorkerThread 25607", "cycles"),
        (":1234 1234 1000.000001: 7 cycles: ", ":1234 1234", "cycles"),
        ("<cafe> -1/-1 1000.000001: 7 cycles: ", "<cafe> -1", "cycles"),
        ("VM:  12 app 101 1000.000001: 7 cycles: ", "app 101", "cycles"),
        ("app 101 U 1000.000001: 7 cycles: ", "app 101", "cycles"),
        ("app 101 cycles: ", "app 101", "samples"),
        ("app 101     250000 task-clock:u: ", "app 101", "task-clock:u"),
        ("app 101/102 [003]     250000 cycles: ", "app 102", "cycles"),
        ("Gecko\t25122 [007] 115539.936601:\t\t1000000 task-clock:u:", "Gecko 25122", "task-clock:u"),
        ("app 101 5.000001: 9 cpu/event=0x3c,umask=0x0/u: ", "app 101", "cpu/event=0x3c,umask=0x0/u"),
        ("app 101 5.000001: 9 cpu_core/cycles/P: ", "app 101", "cpu_core/cycles/P"),
    ],
)
def test_headers(start: str, thread: str, event: str) -> None:
    profile = read(header(start))
    assert labels(profile, "thread") == {thread}
    assert profile.metric().name == event
    assert profile.total("samples") == 2


@pytest.mark.parametrize("start", ["app 101 1000.000001:     250000 ", "app ", "app 101 ", "", "1000.000001: cycles: "])
def test_headers_without_an_event_or_a_thread(start: str) -> None:
    profile = read(header(start))
    assert profile.total("samples") == 2
    assert set(profile.frames["function"]) == {"f"}


@pytest.mark.parametrize(
    ("line", "name", "object"),
    [
        ("1a0 f+0x1 (/srv/app)", "f", "/srv/app"),
        ("1a0 f (/srv/app)", "f", "/srv/app"),
        ("1a0 f", "f", ""),
        ("1a0", "0x1a0", ""),
        ("1a0 (/srv/app)", "0x1a0", "/srv/app"),
        ("1a0 [unknown] ([unknown])", "[unknown]", "[unknown]"),
        ("1a0 [unknown] (/srv/app)", "[unknown]", "/srv/app"),
        ("ffffffff8103ce3b native_safe_halt+0x6 ([kernel.kallsyms])", "native_safe_halt", "[kernel.kallsyms]"),
        ("ffffffffc0 bpf_prog_2b95_uni+0xb80 (bpf_prog_2b95_uni)", "bpf_prog_2b95_uni", "bpf_prog_2b95_uni"),
        ("1a0 f+0x1 (/srv/app (deleted))", "f", "/srv/app (deleted)"),
        ("1a0 f+0x1 (/srv/my app (1)/app)", "f", "/srv/my app (1)/app"),
        ("1a0 f+0x1 (./target/app)", "f", "./target/app"),
        ("1a0 (anonymous namespace)::Op::operator()+0x1a (/a)", "(anonymous namespace)::Op::operator()", "/a"),
        ("1a0 std::function<int (int, int)>::operator()(int, int) const (/a)",
         "std::function<int (int, int)>::operator()(int, int) const", "/a"),
        ("1a0 net/http.(*Client).Do+0x5 (/a)", "net/http.(*Client).Do", "/a"),
        ("1a0 <alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop+0x5 (/a)",
         "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop", "/a"),
        ("1a0 app::serve::h0123456789abcdef+0x5 (/a)", "app::serve::h0123456789abcdef", "/a"),
        ("1a0 Ljava/util/Map;::get(Ljava/lang/Object;)V+0x5 (/tmp/perf-1.map)",
         "Ljava/util/Map;::get(Ljava/lang/Object;)V", "/tmp/perf-1.map"),
        ("1a0 LazyCompile:~body_0 evalmachine.<anonymous>:1 (/tmp/perf-1.map)",
         "LazyCompile:~body_0 evalmachine.<anonymous>:1", "/tmp/perf-1.map"),
        ("1a0 expf@@GLIBC_2.27+0x7 (/usr/lib/libm.so.6)", "expf@@GLIBC_2.27", "/usr/lib/libm.so.6"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_frames(line: str, name: str, object: str, ending: str) -> None:
    text = header("app 101 1000.000001: 7 cycles: ", f"\t{line:>20}\n").replace("\n", ending)
    frame = read(text).frames.iloc[0]
    assert (frame["raw_function"], frame["object"]) == (name, object)


def test_names_of_rust_are_tidied_and_kept() -> None:
    frame = read(header("app 1 1.000001: 7 cycles: ", "\t 1a0 app::serve::h0123456789abcdef+0x5 (/a)\n")).frames.iloc[0]
    assert (frame["function"], frame["raw_function"]) == ("app::serve", "app::serve::h0123456789abcdef")


def test_inlined_frames_are_in_the_object_of_what_they_are_in() -> None:
    stack = "\t 1a0 leaf (inlined)\n\t 1a0 mid (inlined)\n\t 1a0 outer+0x4 (/srv/app)\n\t 1b0 main+0x4 (/srv/other)\n"
    profile = read(header("app 1 1.000001: 7 cycles: ", stack))
    frames = {row.function: (row.object, row.inlined) for row in profile.frames.itertuples()}
    assert frames == {
        "leaf": ("/srv/app", True),
        "mid": ("/srv/app", True),
        "outer": ("/srv/app", False),
        "main": ("/srv/other", False),
    }
    assert stacks_of(profile) == {("main", "outer", "mid", "leaf"): 14}


def test_source_lines_below_frames() -> None:
    stack = (
        "\t 1a0 leaf+0x4\n  alg.h:7 (inlined)\n\t 1a0 outer+0x4 (/a)\n  my app.c:1922 (discriminator 3)\n"
        "\t 1b0 start+0x4 (/lib/libc-2.33.so)\n  libc-2.33.so[27b25]\n"
    )
    profile = read(header("app 1 1.000001: 7 cycles: ", stack))
    frames = {row.function: (row.file, row.line, row.inlined) for row in profile.frames.itertuples()}
    assert frames == {"leaf": ("alg.h", 7, True), "outer": ("my app.c", 1922, False), "start": ("", 0, False)}
    assert not profile.notes


def test_javas_inlined_methods_are_frames() -> None:
    stack = "\t 1a0 Lio/Writer;::flush->Lio/Stream;::write->Lio/Enc;::encode+0x4b (/tmp/perf-10487.map)\n"
    profile = read(header("java 1 1.000001: 7 cycles: ", stack + "\t 1b0 a::operator->()+0x1 (/tmp/perf-10487.map)\n"))
    outer = ("a::operator->()", "Lio/Writer;::flush", "Lio/Stream;::write", "Lio/Enc;::encode")
    assert stacks_of(profile) == {outer: 14}
    assert profile.frames["inlined"].tolist().count(True) == 2


def test_without_call_chains_a_sample_is_a_line() -> None:
    name = "std::__introsort_loop<int*, (anonymous namespace)::Op (int, unsigned char)>"
    text = (
        f"     pool: 3 [x] 24436 27452.815488:     250000 cpu-clock:u:      5601dec16b15 {name}+0xb5 (/srv/m)\n"
        "         1 two 3 24437 27452.825152:     250000 cpu-clock:u:      5601dec16cc3 main+0x93 (/srv/m)\n"
        "           false 39654 27452.825159:          1 cycles:u:  ffffffff9b201293 [unknown] ([unknown])\n"
    )
    profile = read(text)
    assert stacks_of(profile, "cpu-clock:u") == {(name,): 250_000, ("main",): 250_000}
    assert stacks_of(profile, "cycles:u") == {("[unknown]",): 1}
    assert labels(profile, "comm") == {"pool: 3 [x]", "1 two 3", "false"}


def test_a_line_with_an_address_or_a_branch() -> None:
    text = (
        "  app 1 5.000001:  9 cycles:u:             7f10     7f1fa5b3669e f+0x7e (/srv/app)\n"
        "  app 1 5.000002:  9 branches:uH:   call   55d0 main+0x10 (/srv/app) => 7f00 g+0x0 (/srv/app)\n"
    )
    profile = read(text)
    assert stacks_of(profile, "samples:cycles:u") == {("f",): 1}
    assert stacks_of(profile, "samples:branches:uH") == {("main",): 1}
    assert any("target of a branch" in note.what for note in profile.notes)


@pytest.mark.parametrize(
    "line",
    [
        "\t 1a0 f+0x1 (/a)\n  x" + " " * 300_000 + "x:1\n",
        "\t 1a0 " + "a b " * 100_000 + "(/a)\n",
        "\t 1a0 " + "(/" * 200_000 + "\n",
    ],
    ids=["source", "symbol", "brackets"],
)
def test_lines_made_to_take_long(line: str) -> None:
    assert read_perf_script(header("app 1 1.000001: 7 cycles: ", line).encode()).total("samples") == 2


def test_headers_made_to_take_long() -> None:
    long = "app" + " " * 300_000 + "x"
    assert read_perf_script(header(f"{long} 1 1.000001: 7 cycles: ").encode()).total("samples") == 2
    text = f"app 1 1.000001: 7 a:b: x {'a a (/ ' * 50_000}\n" * 3
    assert read_perf_script(text.encode()).total("samples") == 3


def test_tracepoints_with_their_text() -> None:
    stack = "\tffffffff81423cd0 syscall_trace_enter+0x180 ([kernel.kallsyms])\n\t 1fc47 brk+0x7 (/lib/ld.so)\n"
    text = header("m 14919 [001] 13.677644: raw_syscalls:sys_enter: NR 12 (0, 7ffe: 07, 0, 37f)", stack)
    profile = read(text)
    assert stacks_of(profile, "samples") == {("brk", "syscall_trace_enter"): 2}
    assert [(note.count, "(of a tracepoint)" in note.what) for note in profile.notes] == [(2, True)]
    bare = read("  m 14919 [001] 13.677644: raw_syscalls:sys_enter: NR 12 (0, 7ffe07, 0)\n" * 3)
    assert stacks_of(bare) == {("[no stack]",): 3}


def test_several_events_are_metrics_and_the_most_sampled_is_first_shown() -> None:
    one = "app 1 1.000001:        124 page-faults:u: \n\t 1a0 f+0x1 (/a)\n\n"
    two = "app 1 1.000002:     250000   cpu-clock:u: \n\t 1a0 g+0x1 (/a)\n\n"
    profile = read(one + two + two)
    assert profile.metric_names == ("page-faults:u", "samples:page-faults:u", "cpu-clock:u", "samples:cpu-clock:u")
    assert profile.default_metric == "cpu-clock:u"
    assert stacks_of(profile, "page-faults:u") == {("f",): 124}
    assert stacks_of(profile, "samples:cpu-clock:u") == {("g",): 2}


def test_records_and_comments_are_no_samples() -> None:
    comments = (
        "# ========\n# captured on    : Sun Nov 29\n# hostname : box\n# cmdline : perf record app\n# ========\n#\n"
    )
    records = (
        "perf-exec     0     0.000000: PERF_RECORD_COMM: perf-exec:23898/23898\n"
        "m 23898 27447.305534: PERF_RECORD_MMAP2 1/1: [0x55(0x20) @ 0x1 fe:00 1 4]: r-xp /srv/m\n"
    )
    profile = read(comments + records + USUAL)
    assert profile.total("samples") == 2
    assert profile.meta["hostname"] == "box"
    assert [(note.count, "another record" in note.what) for note in profile.notes] == [(2, True)]


def test_lines_of_no_sample_are_noted_where_they_are() -> None:
    odd = "\t          THIS_IS_A_WEIRD_LINE\n"
    profile = read(USUAL.replace("\n\napp", f"\n{odd}\napp"))
    assert profile.total("samples") == 2
    assert str(profile.notes[0]) == "line that is neither a sample nor a frame, left out, at <bytes>:4"


def test_a_sample_without_a_stack_counts() -> None:
    profile = read("app 1 1.000001: 7 cycles: \n\n" + USUAL.replace("cpu-clock:u", "cycles"))
    assert stacks_of(profile, "samples") == {("[no stack]",): 1, ("main", "f"): 2}


def test_a_stack_as_deep_as_perf_records_is_noted() -> None:
    stack = "".join(f"\t {number:x} f{number}+0x1 (/a)\n" for number in range(1, 128))
    notes = read(header("app 1 1.000001: 7 cycles: ", stack)).notes
    assert [(note.count, "127 frames" in note.what) for note in notes] == [(2, True)]


def test_runaway_recursion_is_cut_at_the_leaf() -> None:
    stack = "\t 1a0 f+0x1 (/a)\n" * 10_010
    profile = read(header("app 1 1.000001: 7 cycles: ", stack))
    assert len(profile.nodes) == 10_000
    assert any("cut at the leaf" in note.what for note in profile.notes)


def test_times_make_a_timeline() -> None:
    text = USUAL + USUAL.replace("f+0x14", "g+0x14").replace("1000.", "1001.")
    table = read(text).tables["timeline"]
    assert list(table.columns) == ["thread", "start_ns", "end_ns", "depth", "frame_id"]
    profile = read(text)
    names = profile.frames["function"].tolist()
    rows = [(row.start_ns, row.end_ns, row.depth, names[row.frame_id]) for row in table.itertuples()]
    first, last = 1000_000_001_000, 1001_000_251_000
    assert rows == [
        (first, last + 250_000, 0, "main"),
        (first, last, 1, "f"),
        (last, last + 250_000, 1, "g"),
    ]
    assert "timeline" not in read(header("app 101 cycles: ")).tables


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("app 101 1000.000001:     250000 cpu-clock:u: \n\t   55d0 f+0x1 (/srv/ap", "no complete sample"),
        (
            "# Samples: 7  of event 'x'\n# Overhead  Command  Shared Object  Symbol\n 9.1%  a  b  [.] f\n",
            "a report of perf",
        ),
        ("app 1 1.000001: 999999999999999999 cycles: \n\t 1a0 f (/a)\n\n" * 12, "more than 64 bits"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, says: str) -> None:
    with pytest.raises(ReadError, match=says):
        read_perf_script(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '1234 1700000000.123456 openat(AT_FDCWD, "/etc") = 3\n' * 3,
        "     <idle>-0     [001] d..2  123.456789: sched_switch: prev_comm=swapper\n" * 3,
        "main;f;g 12\nmain;f 3\n",
        "[   12.345678] usb 1-1: new device\n" * 3,
        "def f():\n    a0 = (1)\n    return b\n",
        "Nov 29 23:00:00 host cron[12]: 1.5: done\n",
    ],
)
def test_other_texts_are_not_taken(text: str) -> None:
    assert perf_script.recognise(open_source(text.encode())) is None


SAMPLES = (
    USUAL.replace("cpu-clock:u: \n", "cpu-clock:u: \n\t    55d0c1f0 inl (inlined)\n", 1)
    + "pool: 3 [x] 7/8 [001] 1000.000300:          1 cycles: \n\tffffffff81 idle+0x1 ([kernel.kallsyms])\n\n"
    + "app  101  1000.000501:     250000 cpu-clock:u: \n\t    55d0c1a4 (anonymous namespace)::g()+0x14 (/srv/app)\n"
    + "\t    55d0c2b0 main+0x20 (/srv/app)\n\n"
)
LINES = (
    "     pool: 3 [x] 24436 27452.815488:     250000 cpu-clock:u:      5601dec16b15 g()+0xb5 (/srv/m)\n"
    "         1 two 3 24437 27452.825152:     250000 cpu-clock:u:      5601dec16cc3 main+0x93 (/srv/m)\n"
) * 2


@pytest.mark.slow
@pytest.mark.parametrize("text", [SAMPLES, LINES, SAMPLES.replace("\n", "\r\n")], ids=["stacks", "lines", "crlf"])
def test_a_file_cut_at_any_byte_keeps_its_whole_samples(text: str) -> None:
    ends = [match.end() for match in re.finditer(r"(?<=\n)\r?\n", text)] or [at.end() for at in re.finditer("\n", text)]
    for place in range(len(text) + 1):
        data = text[:place].encode()
        whole = sum(end <= place for end in ends)
        try:
            profile = read_perf_script(data)
        except ReadError:
            assert not whole, f"cut at {place}"
            continue
        counted = sum(profile.total(name) for name in profile.metric_names if name.startswith("samples"))
        # where only the blank line is missing the sample is whole as well; of the first nothing tells whether it is
        rest = text[place : ends[whole]] if whole < len(ends) else ""
        perhaps = not rest.strip("\r\n") or (whole == 0 and bool(profile.notes))
        assert counted in ((whole, whole + 1) if perhaps else (whole,)), f"cut at {place}"
        begun = text[([0, *ends])[whole] : place].strip()
        assert profile.notes or counted > whole or not begun, f"cut at {place}, and nothing said"


comms = (
    st.text(st.sampled_from("ab1 :[]/-.;<>é"), min_size=1, max_size=15)
    .map(str.strip)
    .filter(lambda comm: comm and not comm.startswith(("#", "VM:")))
)
names = st.sampled_from(["f", "main", "a::b<c (d), e>::operator()", "[unknown]", "go.(*T).m", "L;::x", "x y"])
objects = st.sampled_from(["/srv/app", "[kernel.kallsyms]", "/tmp/a b (deleted)", "[unknown]"])
frames = st.lists(st.tuples(names, objects), max_size=5)
samples = st.lists(st.tuples(comms, st.integers(1, 10**7), st.integers(1, 10**12), frames), min_size=1, max_size=12)


@given(samples, st.sampled_from(["u", "ppp", ""]), st.booleans(), st.booleans())
def test_what_was_sampled_is_read(
    rows: list[tuple[str, int, int, list[tuple[str, str]]]], modifier: str, cpu: bool, offset: bool
) -> None:
    event = f"cycles:{modifier}" if modifier else "cycles"
    text = ""
    expected: Counter[tuple[str, ...]] = Counter()
    for number, (comm, tid, period, stack) in enumerate(rows):
        where = " [003]" if cpu else ""
        text += f"{comm} {tid:>5}{where} {number}.000001: {period:>10} {event}: \n"
        for name, object in stack:
            text += f"\t{number + 16:>16x} {name}{'+0x1f' if offset and name != '[unknown]' else ''} ({object})\n"
        text += "\n"
        expected[tuple(name for name, _ in reversed(stack)) or ("[no stack]",)] += period
    profile = read_perf_script(text.encode())
    assert stacks_of(profile) == expected
    assert labels(profile, "comm") == {comm for comm, *_ in rows}
    assert labels(profile, "tid") == {str(tid) for _, tid, *_ in rows}
    assert profile.samples["self_samples"].sum() == len(rows)
