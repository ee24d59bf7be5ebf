"""``workbench diff`` on windows of a service before and after a change: two builds of a program, under Valgrind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from workbench.charts.flame import flame_graph
from workbench.cli import main
from workbench.profiles.read import read_callgrind
from workbench.profiles.transforms.combine import Difference, difference
from workbench.profiles.transforms.matching import NAMED
from workbench.profiles.tree import subtree_sums

# A service in small: requests are parsed, checked, priced and remembered. A window is what two marks are around: it
# begins inside serve(), which recurses once, so that callgrind names it serve'2 in one of the windows.
SERVICE_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>
#define NEVER __attribute__((noinline))

typedef struct { char who[16]; unsigned value; } receipt;
static unsigned *kept;
static int held;

NEVER static unsigned mix(unsigned x) { for (int i = 0; i < 30; i++) x = x * 1664525u + 1013904223u; return x; }
NEVER static unsigned recover(const receipt *r) {
  unsigned s = r->value;
  for (int i = 0; i < 20; i++) s = mix(s);
  return s;
}
NEVER static int parse(const char *text, receipt *out) { return sscanf(text, "%15s %u", out->who, &out->value) == 2; }
NEVER static int check(const receipt *r, unsigned *signer) { *signer = recover(r); return *signer != 0; }
NEVER static void store(const receipt *r, unsigned signer) {
#ifndef ONCE
  signer = recover(r);
#endif
  kept = realloc(kept, ++held * sizeof *kept);
  kept[held - 1] = signer;
}
NEVER static void serve(int first, int last, int again) {
  if (again) { serve(first, last, 0); return; }
  for (int i = first; i < last; i++) {
    char text[64];
    receipt r;
    unsigned signer;
    if (i == 10) CALLGRIND_ZERO_STATS;
    snprintf(text, sizeof text, "payer-%d %d", i % 7, i * 31);
    if (parse(text, &r) && check(&r, &signer)) store(&r, signer);
    if (i == 59) CALLGRIND_DUMP_STATS_AT("window");
  }
}
int main(int argc, char **argv) { serve(0, 60, argc > 1 && argv[1][0] == 'r'); return kept[0] == 0; }
"""
SERVICE_RS = r"""
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
#[derive(Default)]
pub struct Plain(u64);
impl Hasher for Plain {
    fn finish(&self) -> u64 { self.0 }
    fn write(&mut self, bytes: &[u8]) { for byte in bytes { self.0 = self.0.wrapping_mul(31) + u64::from(*byte); } }
}
#[inline(never)]
fn mix(mut x: u64) -> u64 { for _ in 0..30 { x = x.wrapping_mul(6364136223846793005).wrapping_add(1); } x }
#[inline(never)]
fn recover(value: u64) -> u64 { (0..20).fold(value, |so_far, _| mix(so_far)) }
#[inline(never)]
fn store(kept: &mut HashMap<u64, u64, BuildHasherDefault<Plain>>, value: u64, signer: u64) {
    let signer = if cfg!(once) { signer } else { signer ^ recover(value ^ 1) };
    kept.insert(value, signer);
}
fn main() {
    let mut kept = HashMap::default();
    for value in 0..50u64 { let signer = recover(value); store(&mut kept, value, signer); }
    std::process::exit((kept.len() != 50) as i32);
}
"""

ROUNDED = 100

needs_valgrind = pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
needs_rustc = pytest.mark.skipif(not shutil.which("rustc"), reason="rustc is not installed")


def profiled(program: Path, *arguments: str) -> Path:
    """The last dump of a run under callgrind."""
    out = program.parent / "callgrind.out"
    tool = ["valgrind", "--tool=callgrind", "--dump-line=yes", f"--callgrind-out-file={out}"]
    subprocess.run([*tool, str(program), *arguments], cwd=program.parent, check=True, capture_output=True)
    windows = sorted(program.parent.glob("callgrind.out.*"))
    return windows[0] if windows else out


def c_window(folder: Path, *flags: str, recursive: bool = False) -> Path:
    """A window of 50 requests of the service, built in this folder."""
    folder.mkdir(parents=True)
    (folder / "service.c").write_text(SERVICE_C)
    program = folder / f"service-{folder.parent.name}"
    subprocess.run(["gcc", "-g", "-O1", *flags, "-o", str(program), "service.c"], cwd=folder, check=True)
    return profiled(program, *(["r"] if recursive else []))


def rust_run(folder: Path, *flags: str) -> Path:
    """A whole run of the service in Rust, built in this folder."""
    folder.mkdir(parents=True)
    (folder / "service.rs").write_text(SERVICE_RS)
    subprocess.run(["rustc", "-g", "-O", *flags, "-o", "service", "service.rs"], cwd=folder, check=True)
    return profiled(folder / "service")


def changed(changes: Difference) -> set[str]:
    """The functions whose own cost changed."""
    functions = changes.functions
    return set(functions.loc[functions["change_self"] != 0, "name"])


@needs_gcc
@needs_valgrind
def test_only_what_changed_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = c_window(tmp_path / "one" / "src", recursive=True)
    after = c_window(tmp_path / "another" / "place" / "src", "-DONCE", "-ffunction-sections", "-Wl,--build-id=none")
    assert main(["diff", str(before), str(after)]) == 0
    said = capsys.readouterr().out
    assert "Only after" not in said
    assert "Only before" not in said
    assert "functions only" not in said
    changes = difference(read_callgrind(before), read_callgrind(after))
    assert changed(changes) == {"mix", "recover", "store"}
    mix = changes.functions.set_index("name").loc["mix"]
    assert mix["after_self"] * 2 == mix["before_self"]
    # the folder and the program's name differ
    assert mix["matched_by"] == NAMED
    rows = [line for line in said.splitlines() if "service.c" in line]
    assert {row.split()[7] for row in rows} == {"mix", "recover", "store", "serve", "main"}
    # in the flame graph the two lie over each other: what is only before is the second recovery
    tree = flame_graph(read_callgrind(after), before=read_callgrind(before)).data
    assert tree.before is not None
    now, was = (subtree_sums(tree.parent, costs)[:, 0] for costs in (tree.costs, tree.before))
    names = tree.functions["function"].to_numpy()[tree.function]
    # shares of a call graph are rounded down to whole numbers
    assert {str(name) for name in names[(was > ROUNDED) & (now == 0)]} == {"recover", "mix"}
    assert not names[(now > ROUNDED) & (was == 0)].tolist()


@needs_gcc
@needs_valgrind
def test_the_same_program_built_elsewhere_did_not_change(tmp_path: Path) -> None:
    before = c_window(tmp_path / "one" / "src")
    after = c_window(tmp_path / "two" / "elsewhere", "-Wl,--build-id=none", recursive=True)
    changes = difference(read_callgrind(before), read_callgrind(after))
    assert changed(changes) == set()
    assert changes.unmatched == ()


@needs_rustc
@needs_valgrind
def test_a_rust_program_built_elsewhere_with_other_hashes(tmp_path: Path) -> None:
    before = rust_run(tmp_path / "one", "-Cmetadata=one")
    after = rust_run(tmp_path / "two" / "build", "-Cmetadata=two", "--cfg=once")
    changes = difference(read_callgrind(before), read_callgrind(after))
    functions = changes.functions.set_index("name")
    for name in ("service::recover", "service::mix"):
        assert functions.at[name, "after_self"] * 2 == functions.at[name, "before_self"]
    alone = changes.functions[changes.functions["state"] != "both"]
    assert not alone["name"].str.contains("service::").any()
    same = difference(read_callgrind(before), read_callgrind(rust_run(tmp_path / "three", "-Cmetadata=three")))
    assert not {name for name in changed(same) if "service::" in name}
