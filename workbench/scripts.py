"""Scripts of pages: the modules that rooms keep in their ``js/``, as the one script that a page holds.

Browsers load modules by address, and a page that loads nothing has none. So the modules are written as ES
modules, which node tests as they are, and joined here: each once, after those that it imports, without its
``import`` lines and ``export`` words, in one function's scope. Names at the top of modules are therefore distinct.
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
    """Add a module behind those that it imports."""
    if module in texts:
        return
    text = module.read_text(encoding="utf-8")
    for address in _IMPORT.findall(text):
        _collect((module.parent / address).resolve(), texts)
    texts[module] = _EXPORT.sub("", _IMPORT.sub("", text)).lstrip("\n")
