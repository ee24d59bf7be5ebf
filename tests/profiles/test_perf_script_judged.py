"""perf script's text against perf's own report and against other collapsers, on recordings made in the test run."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.profiles.stacks import stacks_of
from workbench.profiles.model import Profile
from workbench.profiles.read import read_perf_script, read_profile

PROGRAM = """
#include <pthread.h>
#include <algorithm>
#include <functional>
#include <string>
#include <vector>
volatile unsigned long sink;
static inline __attribute__((always_inline)) void inlined(int n) { for (int i = 0; i < n; i++) sink += i * i; }
namespace {
struct Op {
  __attribute__((noinline)) unsigned long operator()(std::vector<int> const &v, char c) const {
    unsigned long s = 0; for (int i : v) s += i * c; inlined(20000); return s;
  }
};
}
template <class T> __attribute__((noinline)) void work(T const &t, std::vector<int> &v) {
  for (int k = 0; k < 40; k++) sink += t(v, 'a');
  std::sort(v.begin(), v.end(), [](int a, int b) { return a > b; });
}
void *run(void *name) {
  pthread_setname_np(pthread_self(), (char *)name);
  std::vector<int> v;
  for (int k = 0; k < 40; k++) {
    for (int i = 0; i < 5000; i++) v.push_back(i * 7919 % 10007);
    work(Op{}, v); v.clear();
  }
  return 0;
}
int main() {
  pthread_t a, b;
  pthread_create(&a, 0, run, (void *)"pool: 3 [x]");
  pthread_create(&b, 0, run, (void *)"1 two 3");
  pthread_join(a, 0); pthread_join(b, 0);
}
"""
# perf and the C++ library's names of a function, without the mark of its privilege level
_ROW = re.compile(r"\s*(\d+)\s+(\d+)\s+\[.\] (.*?)\s*$")
_EVENT = re.compile(r"# Samples: .* of event '(.*)'")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose path has a blank."""
    for tool in ("perf", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("perf")
    source, built = folder / "app.cpp", folder / "my app"
    source.write_text(PROGRAM)
    subprocess.run(["g++", "-g", "-O1", "-fno-omit-frame-pointer", "-o", built, source, "-lpthread"], check=True)
    return built


@pytest.fixture(scope="module")
def recording(program: Path) -> Path:
    """A recording of two events with call chains."""
    return record(program, "cpu-clock:u", "page-faults:u")


def record(program: Path, *events: str) -> Path:
    """A recording of a run of the program; skips where the machine lets perf record nothing."""
    data = program.with_name(f"{len(events)}.data")
    chosen = [option for event in events for option in ("-e", event)]
    done = subprocess.run(["perf", "record", "-q", *chosen, "-g", "-o", data, program], capture_output=True, text=True)
    if done.returncode or not data.exists():
        pytest.skip(f"perf may not record here: {done.stderr.strip()[:200]}")
    return data


def script(recording: Path, *options: str) -> str:
    """What perf script prints."""
    command = ["perf", "script", "-i", str(recording), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout


def report(recording: Path) -> dict[str, Counter[str]]:
    """perf report's self periods and samples of each symbol, by metric."""
    command = ["perf", "report", "-i", str(recording), "--stdio", "--no-children", "-g", "none"]
    text = subprocess.run([*command, "-F", "sample,period,sym"], check=True, capture_output=True, text=True).stdout
    found: dict[str, Counter[str]] = {}
    event = ""
    for line in text.splitlines():
        heading, row = _EVENT.match(line), _ROW.match(line)
        if heading:
            event = heading[1]
        elif row:
            name = "[unknown]" if row[3].startswith("0x") else row[3]
            found.setdefault(event, Counter())[name] += int(row[2])
            found.setdefault(f"samples:{event}", Counter())[name] += int(row[1])
    return found


def leaves(profile: Profile, metric: str) -> Counter[str]:
    """The self costs by name, as they are in the file."""
    found: Counter[str] = Counter()
    for stack, cost in stacks_of(profile, metric).items():
        found[stack[-1]] += int(cost)
    return found


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--header"],
        ["--ns"],
        ["--show-mmap-events", "--show-task-events"],
        ["-G"],
        ["--no-inline"],
        ["-F", "comm,pid,tid,time,event,ip,sym,dso,period"],
        ["-F", "comm,tid,period,event,ip,sym,symoff"],
        ["-F", "+pid"],
        ["-F", "+srcline"],
        ["-G", "-F", "+srcline"],
    ],
    ids=lambda options: " ".join(options) or "usual",
)
def test_perf_report_has_the_same_sums(recording: Path, options: list[str]) -> None:
    profile = read_profile(script(recording, *options).encode())
    assert profile.format == "perf_script"
    said = report(recording)
    assert set(profile.metric_names) == set(said)
    for metric, costs in said.items():
        found = leaves(profile, metric)
        if "--no-inline" in options or "-G" in options:
            assert found == costs
        # perf report gives inlined code to the function that it is in, perf script to the inlined one
        assert found.total() == costs.total()
    comms = set(profile.tags.loc[profile.tags["key"] == "comm", "value"])
    assert {"pool: 3 [x]", "1 two 3"} <= comms


@pytest.mark.parametrize(
    "options",
    [["-F", "comm,ip,sym"], ["-F", "ip,sym,dso"], ["-F", "comm,tid,time,ip,sym,dso"], ["-F", "event,ip,sym"]],
    ids=" ".join,
)
def test_fewer_fields_give_the_same_stacks(recording: Path, options: list[str]) -> None:
    profile = read_perf_script(script(recording, "--no-inline", *options).encode())
    usual = read_perf_script(script(recording, "--no-inline").encode())
    expected: Counter[tuple[str, ...]] = Counter()
    for metric in ("samples:cpu-clock:u", "samples:page-faults:u"):
        expected.update(stacks_of(usual, metric))
    found: Counter[tuple[str, ...]] = Counter()
    for metric in profile.metric_names:
        if metric.startswith("samples"):
            found.update(stacks_of(profile, metric))
    assert found == expected


@pytest.mark.parametrize("tool", ["inferno-collapse-perf", "stackcollapse-perf.pl"])
def test_other_collapsers_find_the_same_stacks(program: Path, tool: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed, Debian has no package of it")
    path = tmp_path / "out.perf"
    # they drop frames that begin with a bracket, and one of them those of objects with a blank
    text = script(record(program, "cpu-clock:u"), "--no-inline")
    path.write_text(text.replace("(anonymous namespace)", "anonymous").replace("my app", "app"))
    said = subprocess.run([tool, path], check=True, capture_output=True, text=True).stdout
    # they begin a stack with the comm and shorten names in ways of their own: what is left is how deep costs lie
    depths: Counter[int] = Counter()
    for line in said.splitlines():
        stack, _, cost = line.rpartition(" ")
        depths[stack.count(";")] += int(cost)
    profile = read_perf_script(path)
    assert depths == _by_depth(profile, "cpu-clock:u")
    assert depths.total() == profile.total()


def _by_depth(profile: Profile, metric: str) -> Counter[int]:
    found: Counter[int] = Counter()
    for stack, cost in stacks_of(profile, metric).items():
        found[len(stack)] += int(cost)
    return found
