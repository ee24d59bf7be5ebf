"""Removes from names, paths and objects what changes between builds of a program.

These parts of a function's name change with the build: rustc's hash (legacy mangling), disambiguators of crates (v0
mangling, RFC 2603), numbers of copies made by LLVM and gcc, a symbol's version. Paths change too, and libraries appear
with their link name or file name.
"""

from __future__ import annotations

import re

from workbench.profiles.names import base_name, tidy_file

_HASH = re.compile(r"::h[0-9a-f]{16}(?=$|['. \[])|(?<=17)h[0-9a-f]{16}(?=E)")
# the disambiguator in a demangled v0 name, ``app[9b1c2f3a4d5e6f70]::run``; in the mangled name it is ``Cs<base 62>_``
_CRATE_HASH = re.compile(r"(?<=\w)\[[0-9a-f]{4,16}\](?=::|$)")
_MANGLED_CRATE = re.compile(r"(?<=C)s[0-9A-Za-z]*_(?=\d)")
# suffixes of LLVM and gcc for a copy or a part of a function, also as c++filt shows them
_COPY = r"(?:llvm|part|constprop|isra|cold|lto_priv|localalias|specialized|warm|__uniq)"
_COPIES = re.compile(rf"(?:\.{_COPY}(?:\.\d+)*)+$| \[clone (?:\.{_COPY}(?:\.\d+)*)+\]")
_RECURSION = re.compile(r"(?<=[^<,(\s])'\d+(?=$|')")
# the mark that stackcollapse-perf.pl --all writes after an inlined frame
_INLINED = "_[i]"
_SYMBOL_VERSION = re.compile(r"@@?[A-Za-z_][\w.]*$")
# numbers that compilers give to unnamed functions, in the order of the source
_NUMBERED = re.compile(
    r"(\.(?:func|gowrap|deferwrap))\d+(?:\.\d+)*|(\{(?:closure|async_block|async_fn|lambda\([^{}]*\)))#\d+|(\$_)\d+"
)
_SHARED = re.compile(r"^(lib.+?|ld)(?:-\d+(?:\.\d+)*)?\.so(?:\.\d+)*$")
_LOADER = re.compile(r"^ld-linux[\w-]*\.so(?:\.\d+)*$")
_PATH_HASH = re.compile(r"-[0-9a-f]{16}(?=$|[./])")
_DELETED = " (deleted)"
_BUILD_ID = re.compile(r"(?:^|/)\.build-id/|^[0-9a-f]{40}$")
_NAMELESS = frozenset({"", "???", "??", "[unknown]", "(unknown)", "unknown", "Unknown", "<unknown>", "(no name)"})
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+|(?=[a-f]*\d)[0-9a-f]{8,16}")


def without_build(name: str) -> str:
    """A function's name without the parts that change with each build. Other names are unchanged.

    >>> without_build("app::f::h0123456789abcdef"), without_build("app::f::h0123456789abcdef.llvm.4711")
    ('app::f', 'app::f')
    >>> without_build("_ZN3app1f17h0123456789abcdefE"), without_build("_RNvCs8pIxKQl4Rrq_3app3run")
    ('_ZN3app1f17E', '_RNvC3app3run')
    >>> without_build("app[9b1c2f3a4d5e6f70]::run"), without_build("scan.constprop.0.isra.0")
    ('app::run', 'scan')
    >>> without_build("pow@@GLIBC_2.29"), without_build("walk(int) [clone .part.3]")
    ('pow', 'walk(int)')
    """
    name = _COPIES.sub("", name.removesuffix(_INLINED))
    name = _HASH.sub("", name)
    if name.startswith(("_R", "__R")):
        name = _MANGLED_CRATE.sub("", name)
    elif "[" in name:
        name = _CRATE_HASH.sub("", name)
    return _SYMBOL_VERSION.sub("", name) if "@" in name else name


def without_number(name: str) -> str:
    """:func:`without_build`, and without the numbers that compilers give to closures in the order of the source.

    >>> without_number("main.run.func2.1"), without_number("app::run::{closure#3}")
    ('main.run.func', 'app::run::{closure}')
    """
    return _NUMBERED.sub(lambda match: match[match.lastindex or 0], without_build(name))


def without_recursion(name: str) -> str:
    """A callgrind name without the level of its recursion, also before the callers of ``--separate-callers``.

    >>> without_recursion("fib'2"), without_recursion("fib'2'main"), without_recursion("Of<'2'>::get")
    ('fib', "fib'main", "Of<'2'>::get")
    """
    return _RECURSION.sub("", name) if "'" in name else name


def is_address(name: str) -> bool:
    """Whether a function is named by an address, since it has no symbol: that means nothing without its object."""
    return _ADDRESS.fullmatch(name) is not None


def is_nameless(name: str) -> bool:
    """Whether a name is a tool's placeholder for code without a name."""
    return name in _NAMELESS


def library(object: str) -> str:
    """An object's name without path, version and build: ``libc-2.31.so`` and ``libc.so.6`` are the same.

    >>> library("/usr/lib/x86_64-linux-gnu/libc-2.31.so"), library("libc.so.6")
    ('libc.so', 'libc.so')
    >>> library("/home/a/target/release/deps/service-0123456789abcdef"), library("/lib64/ld-linux-x86-64.so.2")
    ('service', 'ld.so')

    "" for a path of a build id, which does not contain the name.
    """
    if _BUILD_ID.search(object):
        return ""
    name = _PATH_HASH.sub("", base_name(object.removesuffix(_DELETED)))
    if _LOADER.match(name):
        return "ld.so"
    match = _SHARED.match(name)
    return f"{match[1]}.so" if match else name


def source(file: str) -> str:
    """A source path without the parts that differ between machines, also without hash folders; see
    :func:`workbench.profiles.names.tidy_file`."""
    return _PATH_HASH.sub("", tidy_file(file.replace("\\", "/")))
