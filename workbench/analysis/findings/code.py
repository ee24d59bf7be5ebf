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

# They call what they were given, or are what everything is made of: never what is repeated, and seen through when it is
# asked who called.
_PLUMBING = re.compile(
    r"(?:std|core|alloc|proc_macro|rustc|compiler_builtins|hashbrown|tokio(?:_\w+)?|mio|hyper(?:_\w+)?|h2|http(?:_\w+)?"
    r"|axum(?:_\w+)?|tower(?:_\w+)?|futures(?:_\w+)?|tracing(?:_\w+)?|async_\w+|pin_project(?:_\w+)?|once_cell"
    r"|parking_lot(?:_\w+)?|crossbeam(?:_\w+)?|actix(?:_\w+)?|ractor|bytes|dashmap|backtrace|asyncio|uvloop|selectors"
    r"|threading|concurrent|contextlib|functools|runpy|aiohttp|ctypes|_ctypes\S*|libffi\S*"
    r"|lib(?:c|m|dl|rt|gcc_s|pthread|stdc\+\+)(?:[.-]\S*)?|ld-linux\S*|(?:lib)?python[\d.]*(?:\.so\S*)?"
    r"|\[vdso\]|linux-vdso\S*)"
)
# of a package, of the standard library, of the system
_PACKAGED = re.compile(
    r"^std:|^[\w.+-]+-\d+\.\d+[\w.+-]*/|/(?:site|dist)-packages/|/lib/python\d|/(?:registry/src|git/checkouts)/|^<frozen"
)
_SYSTEM = re.compile(r"^/(?:usr/)?(?:local/)?lib(?:32|64|exec)?/|/(?:site|dist)-packages/|^/usr/share/")
_INTERPRETER = re.compile(r"(?:lib)?python[\d.]*(?:\.so.*)?")


def roles(functions: pd.DataFrame) -> NDArray[np.object_]:
    """OWN, LIBRARY or PLUMBING of each row with function, file, object, crate.

    A crate (module, object) is the service's own when most of its files lie in no package, nor its object among those
    of the system. One without files is own where its program is no interpreter.
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
    """Whether an object is one of the system's libraries, which no build of the service makes anew."""
    return _SYSTEM.search(object) is not None


def short(name: str) -> str:
    """A name as a person says it: its type and its function, without hash, arguments and the closure of an async one.

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
