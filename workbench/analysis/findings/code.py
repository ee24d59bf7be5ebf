"""Whose code a function is: the service's own, a library's, or plumbing that only passes calls on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.names import base_name, tidy_file, tidy_rust

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

OWN, LIBRARY, PLUMBING = "own", "library", "plumbing"

# Runtimes, frameworks and basic libraries. They are never named as repeated work, and are skipped when looking for the
# code that called.
_PLUMBING = re.compile(
    r"(?:std|core|alloc|proc_macro|rustc|compiler_builtins|hashbrown|tokio(?:_\w+)?|mio|hyper(?:_\w+)?|h2|http(?:_\w+)?"
    r"|axum(?:_\w+)?|tower(?:_\w+)?|futures(?:_\w+)?|tracing(?:_\w+)?|async_\w+|pin_project(?:_\w+)?|once_cell"
    r"|parking_lot(?:_\w+)?|crossbeam(?:_\w+)?|actix(?:_\w+)?|ractor|bytes|dashmap|backtrace|asyncio|uvloop|selectors"
    r"|threading|concurrent|contextlib|functools|runpy|aiohttp|ctypes|_ctypes\S*|libffi\S*"
    r"|lib(?:c|m|dl|rt|gcc_s|pthread|stdc\+\+)(?:[.-]\S*)?|ld-linux\S*|(?:lib)?python[\d.]*(?:\.so\S*)?"
    r"|\[vdso\]|linux-vdso\S*)"
)
# files of a package, of the standard library, of the system
_PACKAGED = re.compile(
    r"^std:|^[\w.+-]+-\d+\.\d+[\w.+-]*/|/(?:site|dist)-packages/|/lib/python\d|/(?:registry/src|git/checkouts)/|^<frozen"
)
_SYSTEM = re.compile(r"^/(?:usr/)?(?:local/)?lib(?:32|64|exec)?/|/(?:site|dist)-packages/|^/usr/share/")
_INTERPRETER = re.compile(r"(?:lib)?python[\d.]*(?:\.so.*)?")


def roles(functions: pd.DataFrame) -> NDArray[np.object_]:
    """OWN, LIBRARY or PLUMBING of each row with function, file, object, crate.

    A crate (module, object) is the service's own if most of its functions have no file in a package and no object of
    the system. One without files is own unless its program is an interpreter.
    """
    files = functions["file"].map(tidy_file)
    packaged = files.str.contains(_PACKAGED) | functions["object"].str.contains(_SYSTEM)
    interpreter = functions["object"].map(base_name).str.fullmatch(_INTERPRETER)
    plumbing = functions["crate"].map(base_name).str.fullmatch(_PLUMBING) | (interpreter & ~files.str.endswith(".py"))
    known = (files != "") | (functions["object"] != "")
    votes = (~packaged & known).groupby(functions["crate"]).transform("mean")
    own = (votes > 0.5) & (functions["crate"] != "")
    return np.where(plumbing, PLUMBING, np.where(own, OWN, LIBRARY)).astype(object)


def of_the_system(object: str) -> bool:
    """Whether an object is a library of the system, which is not rebuilt with the service."""
    return _SYSTEM.search(object) is not None


def short(name: str) -> str:
    """A short name: type and function, without hash, arguments and the closure of an async function.

    >>> short("ecdsa::recovery::<impl ecdsa::verifying::VerifyingKey>::recover_from_prehash::h0123456789abcdef")
    'VerifyingKey::recover_from_prehash'
    >>> short("<app::Store as app::Keeps>::keep::{{closure}}"), short("main")
    ('Store::keep', 'main')
    """
    tidy = tidy_rust(name).removesuffix("::{closure}")
    if match := re.match(r"^<(.*) as [^<>]*>::(.+)$", tidy):
        return f"{match[1].rsplit('::', 1)[-1]}::{match[2]}"
    flat = re.sub(r"<impl (?:[^<>]* for )?([^<>]*)>", lambda found: found[1].rsplit("::", 1)[-1], tidy)
    return "::".join(flat.split("::")[-2:])
