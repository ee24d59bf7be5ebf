"""The heap profile for the benchmark of pprof files: written by a Go program, made once and kept.

The program is compiled from source that is made here: packages of functions that call one another through tables, as
methods of interfaces do, each call chosen by what the argument hashes to. Every request walks another way down and
keeps a piece of memory at its end, and every piece is recorded (``runtime.MemProfileRate = 1``), so the profile has
about as many different stacks as there were requests. It is what ``runtime/pprof`` writes, unpacked.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGES, FUNCTIONS = 24, 120
MAIN = """package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
%(imports)s
	"service/core"
)

func main() {
	requests, _ := strconv.Atoi(os.Args[1])
%(registered)s
	runtime.MemProfileRate = 1
	for i := 0; i < requests; i++ {
		core.Serve(uint64(i))
	}
	runtime.GC()
	out, err := os.Create(os.Args[2])
	if err != nil {
		panic(err)
	}
	if err := pprof.Lookup("heap").WriteTo(out, 0); err != nil {
		panic(err)
	}
	out.Close()
	runtime.KeepAlive(core.Kept)
}
"""
CORE = """package core

type Handler func(state uint64, left int)

var (
	Handlers []Handler
	Kept     [][]byte
)

// Next is the state after a call: splitmix64.
func Next(state uint64) uint64 {
	state += 0x9e3779b97f4a7c15
	state = (state ^ state>>30) * 0xbf58476d1ce4e5b9
	state = (state ^ state>>27) * 0x94d049bb133111eb
	return state ^ state>>31
}

// Keep is where a request ends; every other piece is given back.
//go:noinline
func Keep(state uint64) {
	piece := make([]byte, 16+state%512)
	if state&1 == 0 {
		Kept = append(Kept, piece)
	}
}

// Call goes on to one of three functions that a caller of this number knows, or ends.
func Call(from int, state uint64, left int) {
	if left == 0 {
		Keep(state)
		return
	}
	callee := (from*7 + 1 + int(state>>40%3)*131) % len(Handlers)
	if state>>50%8 == 0 {
		callee = int(state >> 33 % 16)
	}
	Handlers[callee](state, left-1)
}

//go:noinline
func Serve(request uint64) {
	state := Next(request)
	Call(int(state%64), state, 8+int(state>>20%40))
}
"""
HANDLERS = """// Handlers are what others call.
func Handlers() []core.Handler {
	return []core.Handler{
%(methods)s	}
}
"""
FUNCTION = """
type T%(number)d struct{ seen uint64 }

func (t *T%(number)d) Step%(number)d(state uint64, left int) {
	t.seen += state
	state = core.Next(state ^ %(number)d)
	if state&16 == 0 {
		core.Call(%(number)d, state, left)
		return
	}
	t.again%(number)d(state, left)
}

func (t *T%(number)d) again%(number)d(state uint64, left int) {
	core.Call(%(number)d, state>>1, left)
}
"""


def heap(cache: Path, megabytes: int) -> Path:
    """The profile of a Go program, of ``megabytes`` and a little more or less. Takes a minute or two the first time."""
    target = cache / f"heap-{megabytes}.pb"
    if not target.exists():
        if shutil.which("go") is None:
            raise SystemExit("go is needed: it compiles the program that is profiled, and its pprof is the rival")
        program = _compiled(cache)
        trial = len(_profiled(program, 10_000))
        each = (len(_profiled(program, 40_000)) - trial) / 30_000
        unfinished = target.with_suffix(".unfinished")
        unfinished.write_bytes(_profiled(program, int(megabytes * 1e6 / each)))
        unfinished.rename(target)
    return target


def _compiled(cache: Path) -> Path:
    program = cache / "service-of-go"
    if not program.exists():
        with TemporaryDirectory() as name:
            folder = Path(name)
            _write(folder)
            subprocess.run(["go", "build", "-o", program, "."], cwd=folder, check=True)
    return program


def _write(folder: Path) -> None:
    (folder / "go.mod").write_text("module service\n\ngo 1.21\n")
    (folder / "core").mkdir()
    (folder / "core" / "core.go").write_text(CORE)
    packages = [f"module{number}" for number in range(PACKAGES)]
    for place, package in enumerate(packages):
        (folder / package).mkdir()
        mine = range(place * FUNCTIONS, (place + 1) * FUNCTIONS)
        body = "".join(FUNCTION % {"number": number} for number in mine)
        methods = "".join(f"\t\t(&T{number}{{}}).Step{number},\n" for number in mine)
        listed = HANDLERS % {"methods": methods}
        source = folder / package / f"{package}.go"
        source.write_text(f'package {package}\n\nimport "service/core"\n\n{listed}{body}')
    imports = "".join(f'\n\t"service/{package}"' for package in packages)
    registered = "".join(f"\tcore.Handlers = append(core.Handlers, {package}.Handlers()...)\n" for package in packages)
    (folder / "main.go").write_text(MAIN % {"imports": imports, "registered": registered})


def _profiled(program: Path, requests: int) -> bytes:
    with TemporaryDirectory() as folder:
        written = Path(folder) / "heap.pb.gz"
        subprocess.run([program, str(requests), written], check=True, env={"GODEBUG": "profstackdepth=128"})
        return gzip.decompress(written.read_bytes())
