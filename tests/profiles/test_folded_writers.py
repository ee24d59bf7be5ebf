"""Folded stacks of everyday writers (heaptrack, austin, py-spy, perf, bcc), and text that merely ends in numbers."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.profiles.stacks import stacks_of
from workbench.errors import ReadError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.profiles.readers.folded import reader as folded
from workbench.profiles.source import Source


def selfs(profile: Profile) -> dict[str, float]:
    table = profile.top()
    return {name: cost for name, cost in zip(table["name"], table["self"], strict=True) if cost}


def test_a_semicolon_at_the_end_is_no_frame() -> None:
    profile = read_profile(b"main (m.c);leak (m.c); 300\nmain (m.c);other (m.c); 2\nmain (m.c); 1\n")
    assert selfs(profile) == {"leak": 300, "other": 2, "main": 1}
    assert set(profile.functions["file"]) == {"m.c"}
    assert not profile.notes


def test_several_semicolons_at_the_end_and_none_are_one_stack() -> None:
    assert stacks_of(read_profile(b"a;b;; 3\na;b 4\na;b; 5\n")) == {("a", "b"): 12}


def test_semicolons_at_the_beginning_or_in_a_row_are_frames_without_a_name() -> None:
    profile = read_profile(b";a;b 3\na;;b 4\n")
    assert selfs(profile) == {"b": 7}
    assert "frame without a name" in str(profile.notes[0])


def test_names_of_heaptrack() -> None:
    profile = read_profile(b"main (main.cpp);std::vector<int, A<int> >::f() const (stl_vector.h);0x401136; 7\n")
    assert profile.functions["function"].tolist() == ["main", "std::vector<int, A<int> >::f() const", "0x401136"]
    assert profile.functions["file"].tolist() == ["main.cpp", "stl_vector.h", ""]


AUSTIN = """# austin: 3.6.0
# interval: 100
# mode: {mode}
P12;T0:34;/srv/w.py:<module>:30;/srv/w.py:A.run:20 {0}
P12;T0:34;/srv/w.py:<module>:30;/srv/w.py:A.run:21;C:\\lib\\x.py:f:3:4:5:18 {1}
P12;T0:34;:GC: {2}

# duration: 5
"""


@pytest.mark.parametrize(("mode", "name", "unit"), [("wall", "wall", "us"), ("memory", "memory", "bytes")])
def test_lines_of_austin_are_lines_of_a_function(mode: str, name: str, unit: str) -> None:
    profile = read_profile(AUSTIN.format(1000, 500, 7, mode=mode).encode())
    assert (profile.default_metric, profile.metrics[0].unit) == (name, unit)
    assert selfs(profile) == {"A.run": 1000, "f": 500, ":GC:": 7}
    functions = profile.functions.set_index("function")
    assert functions.loc["A.run", "file"] == "/srv/w.py"
    assert functions.loc["f", "file"] == "C:\\lib\\x.py"
    assert {20, 21, 3} <= set(profile.frames["line"])


def test_all_metrics_of_austin() -> None:
    profile = read_profile(AUSTIN.format("1000,0,-4096", "500,1,0", "7,0,16384", mode="full").encode())
    assert {name: profile.total(name) for name in profile.metric_names} == {"wall": 1507, "cpu": 1007, "memory": 12288}
    assert profile.default_metric == "wall"


def test_austin_without_its_header() -> None:
    profile = read_profile(b"P7;T0:7;/w.py:hot:3 10\nP7;T0:7;/w.py:hot:4 15\nP7;T0:7 1\n")
    assert selfs(profile) == {"hot": 25, "T0:7": 1}


def test_a_metric_that_is_asked_for_is_taken() -> None:
    profile = read_profile(AUSTIN.format(1, 2, 3, mode="wall").encode(), metric="ticks", unit="count")
    assert profile.metric_names == ("ticks",)


def test_rust_names_with_numbers_are_not_taken_for_those_of_austin() -> None:
    assert selfs(read_profile(b"main;a:b:3 4\nmain;c:d:5 6\n")) == {"c:d:5": 6, "a:b:3": 4}


def test_marks_of_collapsers_stay() -> None:
    text = b"sh;vfs_read 1\nsh;vfs_read_[k] 2\nsh;run_[j] 3\nsh;run_[i] 4\nsh;-;[unknown] 5\nsh;[libc.so.6] 6\n"
    assert selfs(read_profile(text)) == {
        "[libc.so.6]": 6, "[unknown]": 5, "run_[i]": 4, "run_[j]": 3, "vfs_read_[k]": 2, "vfs_read": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "main 12\n",
        "core::fmt::write 12\n<A as B<[u8; 4]>>::f 3\n",
        "fit (als.py:130) 5\nmain (m.c) 2\n",
        "[unknown] 7\n[libc.so.6] 2\n0x7f001234 2\n",
        "swapper 90\nsh;read 3\nsh;write 4\n",
        "bash;__libc_start_main;main;read;-;entry_SYSCALL_64;vfs_read 1200\n",
        "idle 10\nall;work 5\n\nno count here;x\n",
        "# comment\nmain();f(int, char) 3\n",
    ],
)
def test_stacks_are_recognised(text: str) -> None:
    assert folded.recognise(Source(text.encode(), "x")) is not None


OTHERS = {
    "prometheus": '# TYPE jobs counter\njobs{kind="a;b c"} 10\njobs{kind="b"} 3\nup 1\nstart_seconds 1.7e9\n',
    "log": "Nov 29 12:00:01 host kernel: usb 1-1: number 4\nNov 29 12:00:02 host app::main: took 12\n",
    "user agents": 'GET / "Mozilla/5.0 (X11; Linux x86_64)" 200\nGET /a "Mozilla/5.0 (X11; Linux)" 404\n',
    "csv": "name;start;took 3\na;1;2 3\nb;4;5 6\n",
    "csv with a heading": "name;kind\nfoo;bar 1\nbaz;bar 2\nqux;bar 3\n",
    "strace -c": "% time     seconds  usecs/call     calls\n 60.00    0.000300          30        10\n",
    "words": "the 120\nof 80\nmain 12\n",
    "vmstat": "nr_free_pages 12345\nnr_zone_inactive_anon 12\npgfault 1\n",
    "meminfo": "MemTotal:       16303144 kB\nHugePages_Total:       0\nHugePages_Free:        0\n",
    "stat": "cpu  10132153 290696 3084719 46828483\ncpu0 1393280 32966 572056 13343292\nctxt 115315\n",
    "ls": "total 12\n-rw-r--r-- 1 root root 4096 Nov 29 2026\n-rw-r--r-- 1 root root 12 Nov 29 10\n",
    "wc": "  12   40  300\n   1    2    3\n",
    "du": "12 a\n13 b\n",
    "table": "syscall      calls    seconds\n-------- --------\nwrite         10   0.000300\ntotal     16   0.000450\n",
    "assembler": "mov eax, ebx ; 12\nadd eax, 3 ; 13\n",
}


@pytest.mark.parametrize("name", OTHERS)
def test_text_that_merely_ends_in_numbers_is_refused_but_read_when_asked(name: str) -> None:
    text = OTHERS[name].encode()
    with pytest.raises(ReadError):
        read_profile(text)
    with contextlib.suppress(ReadError):
        assert read_profile(text, format="folded").format == "folded"


@pytest.mark.parametrize("path", ["stat", "vmstat", "meminfo", "self/status", "self/limits", "self/maps", "cpuinfo"])
def test_files_of_proc_are_refused(path: str) -> None:
    file = Path("/proc", path)
    if not file.exists():
        pytest.skip(f"there is no {file}")
    assert folded.recognise(Source(file.read_bytes(), "x")) is None


def test_what_ls_writes_is_refused() -> None:
    said = subprocess.run(["ls", "-l", os.path.dirname(__file__)], capture_output=True, check=True).stdout
    assert folded.recognise(Source(said, "x")) is None


def test_the_table_of_yappi_is_refused() -> None:
    yappi = pytest.importorskip("yappi", reason="yappi is not installed")
    code = "def f(): return sum(range(1000))\nfor _ in range(50): f()\n"
    yappi.start()
    exec(compile(code, "<made>", "exec"), {})
    yappi.stop()
    out = io.StringIO()
    yappi.get_func_stats().print_all(out)
    yappi.get_thread_stats().print_all(out)
    assert folded.recognise(Source(out.getvalue().encode(), "x")) is None


def test_a_table_of_pstats_is_refused() -> None:
    code = "import cProfile; cProfile.run('sum([1])')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert folded.recognise(Source(done.stdout, "x")) is None
