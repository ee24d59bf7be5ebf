"""Joins the modules that rooms keep in their ``js/`` into the one script of a page.

Browsers load modules by address, and a page without requests has no addresses. So the ES modules, which node can test
directly, are joined here: each once, after those that it imports, without ``import`` and ``export``, in one function's
scope. So top-level names of modules must be distinct.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(r'^import \{[^}]*\} from "(\.[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function |class |const )", re.MULTILINE)


@cache
def joined_script(entry: str) -> str:
    """The module ``entry`` with all that it imports, as one script. ``report/page`` names ``page.js`` in the ``js/`` of
    the room ``report``.
    """
    room, _, name = entry.rpartition("/")
    texts: dict[Path, str] = {}
    _collect(_PACKAGE / room / "js" / f"{name}.js", texts)
    body = "\n".join(texts.values())
    return f'(() => {{\n"use strict";\n{body}}})();'


def _collect(module: Path, texts: dict[Path, str]) -> None:
    """Add a module after those that it imports."""
    if module in texts:
        return
    text = module.read_text(encoding="utf-8")
    for address in _IMPORT.findall(text):
        _collect((module.parent / address).resolve(), texts)
    texts[module] = _EXPORT.sub("", _IMPORT.sub("", text)).lstrip("\n")
