"""A service in C that dumps its own windows from inside valgrind: a quadratic function, a linear one, start-up in every
step, a cache that fills in the first step, and a leak."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

LEAK_BYTES = 48
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>
#include <valgrind/valgrind.h>

static volatile long sink;
char *volatile stored[100000];
static int count;

__attribute__((noinline)) void start_up(void) { for (int i = 0; i < 20000; i++) sink += i; }
__attribute__((noinline)) void verify(void) { for (int i = 0; i < 1000; i++) sink += i; }
__attribute__((noinline)) void scan_batch(int position) { for (int i = 0; i < 20 * position; i++) sink += i; }
__attribute__((noinline)) void scan_stored(void) { for (int i = 0; i < 10 * count; i++) sink += i; }
__attribute__((noinline)) void keep(void) { stored[count++] = malloc(LEAK); }
__attribute__((noinline)) void warm(void) { if (count < 20) stored[99999 - count] = malloc(5000); }
__attribute__((noinline)) void scratch(void) { char *p = malloc(400); sink += (long)p; free(p); }

static void edge(int step, const char *which) {
    char command[100];
    snprintf(command, sizeof command, "detailed_snapshot massif-%d-%s", step, which);
    VALGRIND_MONITOR_COMMAND(command);
}

int main(int argc, char **argv) {
    for (int step = 1; step < argc; step++) {
        int receipts = atoi(argv[step]);
        edge(step, "begin");
        CALLGRIND_ZERO_STATS;
        start_up();
        for (int i = 0; i < receipts; i++) {
            verify(); scan_batch(i); scan_stored(); warm(); keep(); scratch();
        }
        char name[20];
        snprintf(name, sizeof name, "step-%d", step);
        CALLGRIND_DUMP_STATS_AT(name);
        edge(step, "end");
    }
    return 0;
}
"""


def run(folder: Path, tool: str, flags: list[str], steps: list[int]) -> Path:
    """The service under ``valgrind --tool=TOOL``; its files are in the folder returned."""
    for program in ("gcc", "valgrind"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not Path("/usr/include/valgrind/callgrind.h").exists():
        pytest.skip("valgrind's headers are not installed")
    source, program = folder / "service.c", folder / "service"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-O1", f"-DLEAK={LEAK_BYTES}", "-o", program, source], check=True)
    command = ["valgrind", "-q", f"--tool={tool}", f"--{tool}-out-file={folder}/{tool}.out", *flags, str(program)]
    subprocess.run([*command, *map(str, steps)], cwd=folder, check=True, capture_output=True, timeout=120)
    return folder
