"""The callgrind profiles for the benchmark, made once by real tools and kept; none contains repetitions.

- ``cpython``: CPython imports pandas and plotly under the service's flags, with callers kept apart: about 240 MB.
- ``cc1``: the C compiler proper of gcc at work on a generated file, under the same: about 130 MB.
- ``window``: a given window of a real service.
- ``windows``: the same, with more windows behind it in one file, as ``callgrind_control --dump`` and
  ``--combine-dumps=yes`` write them, until it has 80 MB. Each is a dump of its own, with its number and its own counts:
  each count and each total is multiplied by the dump's number. The lines and their lengths differ from dump to dump.
"""

from __future__ import annotations

import gzip
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from workbench.profilers.tools.callgrind import Callgrind

FLAGS = ("--tool=callgrind", *Callgrind().flags)
APART = ("--separate-callers=4",)

HEAD = """#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct s { float f[16]; long n; char s[64]; };
"""
STATEMENTS = (
    "a[{i}] = a[{j}] * {k} + x;",
    "x = x * {k} + a[{i}] - a[{j}];",
    "if (x & {i}) a[{j}] += {k};",
    "if (a[{i}] > a[{j}]) x += {k}; else a[{j}] ^= x;",
    "for (long i = 0; i < {k}; i++) a[i & 15] += x * i;",
    "switch (x & 7) {{ case {i}: x += {k}; break; case {j}: x -= 3; break; default: a[{i}]++; }}",
    "d = d * {k}.5 + sin(d) - (double)a[{i}];",
    "p.f[{i}] = (float)(d / ({k} + 1)); p.n += (long)strlen(p.s);",
    'snprintf(p.s, sizeof p.s, "%ld %g", x, d);',
    "while (x > {k}) {{ x >>= 1; if (a[x & 15] == {i}) continue; a[{j}]--; }}",
    "memcpy(p.f, q->f, sizeof p.f); x += p.n ^ q->n;",
)


def cpython(cache: Path) -> Path:
    """CPython importing pandas and plotly. Takes some minutes the first time."""
    return _profiled(cache, "cpython", [sys.executable, "-c", "import pandas, plotly"])


def cc1(cache: Path) -> Path:
    """The compiler at work. Takes some minutes the first time."""
    _needed("gcc")
    source, unfolded = cache / "compiled.c", cache / "compiled.i"
    if not unfolded.exists():
        source.write_text(_program(24))
        subprocess.run(["gcc", "-E", source, "-o", unfolded], check=True)
    compiler = subprocess.run(
        ["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return _profiled(cache, "cc1", [compiler, "-quiet", "-O2", str(unfolded), "-o", str(cache / "compiled.s")])


def window(cache: Path, given: Path) -> Path:
    """A window, unpacked if necessary."""
    if given.suffix != ".gz":
        return given
    target = cache / given.stem
    if not target.exists():
        target.write_bytes(gzip.decompress(given.read_bytes()))
    return target


def windows(cache: Path, given: Path, megabytes: int) -> Path:
    """Many windows of one service in one file of at least this size."""
    target = cache / f"windows-{megabytes}-{given.name}"
    if not target.exists():
        one, number = window(cache, given).read_bytes(), 0
        with target.with_suffix(".part").open("wb") as file:
            while file.tell() < megabytes * 1_000_000:
                number += 1
                file.write(dump(one, number))
        target.with_suffix(".part").rename(target)
    return target


def dump(window: bytes, number: int) -> bytes:
    """The window as the ``number``-th dump of its process."""
    head, mark, body = window.partition(b"\nevents:")
    head = re.sub(rb"^part: \d+", b"part: %d" % number, head, flags=re.MULTILINE)
    positions = len(re.search(rb"^positions:(.*)$", head, re.MULTILINE)[1].split())  # type: ignore[index]
    names, *lines = (mark + body).lstrip(b"\n").split(b"\n")
    return b"\n".join([head, names, *(_times(line, positions, number) for line in lines)])


def _times(line: bytes, positions: int, number: int) -> bytes:
    """A line with its counts multiplied."""
    if line[:1].isdigit() or line[:1] in (b"+", b"-", b"*"):
        words = line.split(b" ")
        return b" ".join(
            [*words[:positions], *(b"%d" % (int(word) * number) if word else word for word in words[positions:])]
        )
    key, mark, value = line.partition(b"=") if b"=" in line else line.partition(b": ")
    if key in (b"totals", b"summary"):
        return key + mark + b" ".join(b"%d" % (int(word) * number) for word in value.split())
    if key in (b"calls", b"jump", b"jcnd"):
        count, space, rest = value.partition(b" ")
        return key + mark + b"/".join(b"%d" % (int(word) * number) for word in count.split(b"/")) + space + rest
    return line


def _profiled(cache: Path, name: str, command: list[str]) -> Path:
    target = cache / f"{name}.callgrind.out"
    if target.exists():
        return target
    _needed("valgrind")
    print(f"making the profile of {name}: some minutes, once", file=sys.stderr)
    raw = cache / f"{name}.raw"
    subprocess.run(
        ["valgrind", *FLAGS, *APART, f"--callgrind-out-file={raw}", *command], check=True, capture_output=True
    )
    raw.rename(target)
    return target


def _needed(tool: str) -> None:
    if shutil.which(tool) is None:
        raise SystemExit(f"{tool} is needed to make the profiles")


def _program(functions: int) -> str:
    """A C file of many functions, the same each time."""
    chance = random.Random(1)
    text, names = [HEAD], [""]
    for number in range(functions):
        kind = "static inline " if number % 3 == 0 else ""
        text.append(f"{kind}long step_{number}(long *a, long x, struct s *q) {{ struct s p = *q; double d = x;")
        for _ in range(chance.randrange(10, 60)):
            i, j, k = chance.randrange(8), 8 + chance.randrange(8), chance.randrange(1, 1000)
            text.append("  " + chance.choice(STATEMENTS).format(i=i, j=j, k=k))
        called = chance.choice(names)
        text.append(f"  return {called}(a, x, &p); }}" if called else "  return x + (long)d + p.n; }")
        names.append(f"step_{number}")
    return "\n".join(text) + "\n"
