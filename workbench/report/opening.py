"""Opens a page in a browser if there is a user to see it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

# browsers that webbrowser would run inside the terminal
_IN_TERMINAL = frozenset({"www-browser", "links", "elinks", "lynx", "w3m"})


def open_page(page: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Open a file in a graphical browser; returns whether that was tried. Nothing is opened from scripts, in continuous
    integration, without a display, or if only a terminal browser is installed.
    """
    if not somebody_looks(os.environ if environment is None else environment, sys.stdout.isatty()):
        return False
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if getattr(browser, "basename", "") in _IN_TERMINAL or getattr(browser, "name", "") in _IN_TERMINAL:
        return False
    return browser.open(page.resolve().as_uri())


def somebody_looks(environment: Mapping[str, str], is_terminal: bool, platform: str = sys.platform) -> bool:
    """Whether a page that opens by itself would be seen."""
    if not is_terminal or environment.get("CI"):
        return False
    return platform == "darwin" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
