"""Names of functions and files: which crate they belong to, and Rust's names made readable.

Raw names are kept: tables have them in ``raw_function``. The rules follow rustc's two mangling schemes (legacy, which
ends in ``::h`` and 16 hex digits, and v0, RFC 2603) as demanglers print them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from workbench.patterns import pattern

# LLVM's suffix of a copied or split symbol comes after the hash
_ADDRESS = pattern(r"0x[0-9a-fA-F]{1,16}")
_HASH = pattern(r"::h[0-9a-f]{16}(?=$|\.(?:llvm|cold|part|isra|constprop|lto_priv)\b)")
_COPIED = pattern(r"\.llvm\.\d+$")
# text that no demangled Rust name contains: argument lists, operators, destructors and types of C++, and pointers and
# references after the type
_CPP_WORDS = ("(anonymous namespace)", "::~", "{lambda(", "> >")
_CPP_MARKS = pattern(r"\boperator(?=[^\w:])|\bstd::__")
_CPP_POINTER = pattern(r"[\w>] ?[*&]+(?=[,>)\[ ]|$)")
_CPP_TYPE = pattern(
    r"[<,] ?(?:(?:const )?(?:int|char|unsigned|long|short|double|float|void|wchar_t)(?=[ ,>*&])|\d+[uU]?[lL]{1,2}\b)"
)
_RECURSION = pattern(r"'(\d+)$")
_CLOSURE = pattern(r"\{\{?closure(?:_env)?(?:#\d+)?\}?\}(?:<[^<>]*>)?")
_ASYNC = pattern(r"\{\{?(?:async_fn|async_block|coroutine)(?:_env)?(?:#\d+)?\}?\}(?:<[^<>]*>)?")
_SHIM = pattern(r"\{\{?(?:vtable\.shim|shim:vtable(?:#\d+)?)\}?\}")
_ESCAPES = (
    ("..", "::"),
    ("$LT$", "<"),
    ("$GT$", ">"),
    ("$LP$", "("),
    ("$RP$", ")"),
    ("$C$", ","),
    ("$SP$", "@"),
    ("$BP$", "*"),
    ("$RF$", "&"),
    ("$u20$", " "),
    ("$u27$", "'"),
    ("$u5b$", "["),
    ("$u5d$", "]"),
    ("$u7b$", "{"),
    ("$u7d$", "}"),
    ("$u7e$", "~"),
    ("$u3b$", ";"),
    ("$u2b$", "+"),
    ("$u22$", '"'),
)
_RUSTC = pattern(r"^/rustc/[0-9a-f]{40}/library/|^library/(?=(?:std|core|alloc|proc_macro|test|panic_unwind)/)")
_REGISTRY = pattern(r"^.*/(?:registry/src/[^/]+|git/checkouts/[^/]+)/")
_TOOLCHAIN = pattern(r"^.*/lib/rustlib/src/rust/library/")
_CRATE = pattern(r"^([A-Za-z_][A-Za-z0-9_]*)(?:\[[0-9a-f]+\])?$")
_PYTHON_SITE = pattern(r"/(?:site|dist)-packages/([^/]+)")
_GO_PACKAGE = pattern(r"^((?:[\w.~-]+/)*[\w~-]+)\.(?:\(|[A-Za-z_])")
# an argument list begins at the first bracket that is not part of these
_RESERVED = ("(anonymous namespace)", "operator()")

_BRACKETS = pattern(r"[<{\[(\]}>]")
_ANGLES = pattern(r"[<>]")

UNKNOWN_CRATE = ""


def tidy_rust(name: str) -> str:
    """A Rust name as in source code: without hash, escapes, generic arguments and recursion level; closures, async
    state machines and vtable shims are unified.

    >>> tidy_rust("<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop::h0123456789abcdef")
    '<alloc::vec::Vec as core::ops::drop::Drop>::drop'
    >>> tidy_rust("core::ops::function::FnOnce::call_once{{vtable.shim}}")
    'core::ops::function::FnOnce::call_once{shim}'
    >>> tidy_rust("app::serve::{closure#0}::{closure#1}")
    'app::serve::{closure}'

    Names of other languages are unchanged, since nothing in them matches.
    """
    if not _looks_rust(name):
        return name
    # there are many names, and most contain few of these: patterns that cannot match are not tried
    text = _RECURSION.sub("", name) if "'" in name else name
    text = _COPIED.sub("", text) if ".llvm." in text else text
    text = _HASH.sub("", text) if "::h" in text else text
    if "$" in text:
        for escape, plain in _ESCAPES:
            text = text.replace(escape, plain)
        text = text.replace("_<", "<")
    if "{" in text:
        text = _SHIM.sub("{shim}", text)
        text = _ASYNC.sub("{async}", text)
        text = _CLOSURE.sub("{closure}", text)
    text = _without_arguments(text)
    while "::{closure}::{closure}" in text:
        text = text.replace("::{closure}::{closure}", "::{closure}")
    return text


def without_argument_list(name: str) -> str:
    """A name without its argument list and the dot of PowerPC's entry points: the form that pprof matches when it cuts
    stacks (simplifyFunc of profile/prune.go)."""
    name = name.removeprefix(".")
    place = name.find("(")
    while place >= 0:
        reserved = next((word for word in _RESERVED if name.startswith(word, place - word.index("("))), None)
        if reserved is None:
            return name[:place]
        place = name.find("(", place - reserved.index("(") + len(reserved))
    return name


def tidy_file(file: str) -> str:
    """A source path without the parts that differ between machines: ``std:core/src/fmt/mod.rs``,
    ``serde-1.0.1/src/lib.rs``."""
    # patterns that cannot match are not tried
    for of_library in (_RUSTC, _TOOLCHAIN) if "library/" in file else ():
        short, count = of_library.subn("std:", file)
        if count:
            return short
    return _REGISTRY.sub("", file) if "/registry/src/" in file or "/git/checkouts/" in file else file


def apart(names: Sequence[str], mark: str) -> list[str]:
    """Unique names: repeated ones get ``mark`` with a number appended, ``mark="#{}"`` or ``"[{}]"``."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} {mark.format(seen[name])}")
    return out


def recursion_level(name: str) -> tuple[str, int]:
    """A callgrind name without its recursion suffix, and the level: ``fib'2`` is ``("fib", 2)``, ``fib`` level 1."""
    match = _RECURSION.search(name)
    return (name[: match.start()], int(match[1])) if match else (name, 1)


def symbol_label(name: str, object: str) -> str:
    """A label for code without a symbol: its address in its object, ``libsecp256k1.so+0x14400``; other names are
    unchanged.

    >>> symbol_label("0x0000000000014400", "/usr/lib/libsecp256k1.so")
    'libsecp256k1.so+0x14400'
    """
    if not object or not _ADDRESS.fullmatch(name):
        return name
    return f"{base_name(object)}+0x{int(name, 16):x}"


def base_name(path: str) -> str:
    """The last part of a path, of any operating system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def end_of(path: str, parts: int) -> str:
    """The last ``parts`` parts of a path, which stay when parent folders change."""
    return "/".join(path.rsplit("/", parts)[-parts:])


def crates_of(names: Sequence[str], files: Sequence[str]) -> list[str]:
    """The crate, package or module of each function: what ``group_by="crate"`` sums over; "" if unknown."""
    return [crate_of(name, file) for name, file in zip(names, files, strict=True)]


@lru_cache(maxsize=65536)
def crate_of(name: str, file: str = "") -> str:
    """The crate a Rust name belongs to (for a trait method, that of the implementing type), the package of a Go name,
    the module of a Python file. "" if neither name nor file shows it."""
    crate = _crate_of_path(name)
    if crate:
        return crate
    if file.endswith((".py", ".pyx")):
        return _python_module(file)
    short = tidy_file(file)
    if short.startswith("std:"):
        return short[4:].split("/", 1)[0]
    if short != file:
        return re.sub(r"-\d+\.\d+.*$", "", short.split("/", 1)[0])
    if (file.endswith((".go", ".s")) or "/" in name) and (match := _GO_PACKAGE.match(name)):
        return match[1]
    return UNKNOWN_CRATE


def _crate_of_path(name: str) -> str:
    if "::" not in name and ".." not in name:
        return ""
    text = name.lstrip("<_&*( ").removeprefix("dyn ").removeprefix("impl ").removeprefix("mut ")
    text = text.replace("$LT$", "<").lstrip("<&*( ")
    # names escaped by the compiler have ".." for "::"
    ends = [end for end in (text.find("::"), text.find("..")) if end >= 0]
    match = _CRATE.match(text[: min(ends)]) if ends else None
    return match[1] if match else ""


def _python_module(file: str) -> str:
    if match := _PYTHON_SITE.search(file):
        return match[1].removesuffix(".py")
    if "/lib/python" in file:
        return file.rsplit("/lib/python", 1)[1].partition("/")[2].split("/", 1)[0].removesuffix(".py")
    return file.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".py")


def _looks_rust(name: str) -> bool:
    if "::h" in name and _HASH.search(_RECURSION.sub("", name)):
        return True
    if "$" in name:
        return True
    return "::" in name and not _is_cpp(name) and not _has_argument_list(name)


def _is_cpp(name: str) -> bool:
    """Whether a name contains text that no Rust name has. There are many names: impossible patterns are not tried."""
    for word in _CPP_WORDS:
        if word in name:
            return True
    if ("operator" in name or "std::__" in name) and _CPP_MARKS.search(name):
        return True
    if ("*" in name or "&" in name) and _CPP_POINTER.search(name):
        return True
    return ("<" in name or "," in name) and _CPP_TYPE.search(name) is not None


def _has_argument_list(name: str) -> bool:
    """Whether a bracket opens right after a name, outside of all others, as in ``f(int)``."""
    if "(" not in name:
        return False
    depth = 0
    for match in _BRACKETS.finditer(name):
        char, before = match[0], name[match.start() - 1 : match.start()]
        if char in "<{[":
            depth += 1
        elif char in "}]" or (char == ">" and before not in "-="):
            depth -= 1
        elif char == "(" and depth <= 0 and (before.isalnum() or before in "_>"):
            return True
    return False


def _without_arguments(text: str) -> str:
    """Drop ``::<...>`` and ``<...>`` after a name, and keep ``<T as Trait>``, whose bracket opens a path, and
    ``::<impl Trait for T>``, which is a part of one."""
    if "<" not in text:
        return text
    out: list[str] = []
    kept: list[bool] = []
    dropped = done = 0
    for match in _ANGLES.finditer(text):
        position, char = match.start(), match[0]
        if not dropped:
            out.append(text[done:position])
        done = position + 1
        before = text[position - 1] if position else ""
        if char == "<":
            opens = not before or before in "<(&*[, ;{="
            keep = not dropped and (opens or (before == ":" and text.startswith("impl ", position + 1)))
            kept.append(keep)
            if keep:
                out.append(char)
            else:
                if not dropped:
                    out = ["".join(out).removesuffix("::")]
                dropped += 1
        elif kept and before not in "-=":
            if kept.pop():
                out.append(char)
            else:
                dropped -= 1
        elif not dropped:
            out.append(char)
    if not dropped:
        out.append(text[done:])
    # brackets do not match, so the name was not understood: keep it whole
    return "".join(out) if not kept else text
