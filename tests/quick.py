"""``make quick`` (``pytest --quick``): the tests that need nothing but Python, with few examples of each property.

Nobody keeps a list of them. Left out are tests with one of the marks in ``WITH_TOOLS``, and each other test at the
moment at which it would start a process or open a port: Python's audit events tell of both.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

WITH_TOOLS = ("browser", "docker", "slow", "valgrind")
_WHOLE_FILE = re.compile(rf"^pytestmark = pytest\.mark\.(?:{'|'.join(WITH_TOOLS)})\b", re.MULTILINE)
NOT_PURE = {
    "subprocess.Popen": "starts a process",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "socket.bind": "opens a port",
    "socket.connect": "connects to a port",
}
EXAMPLES = 10
USUAL_EXAMPLES = 50
"""Of a property that does not say how many it wants. Each run tries others."""
PATIENCE_S = 1.0
"""How long a test may go on after it was told to end: somebody may wait for the task or thread that was told."""


@dataclass
class Guard:
    """Whether a test runs, and what it did that is not quick."""

    on: bool = False
    why: str = ""
    timer: threading.Timer | None = None

    def heard(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit event. What is not pure is the end of the test, as a skip."""
        if not self.on or event not in NOT_PURE:
            return
        self.why = f"is not quick: it {NOT_PURE[event]}"
        if self.timer is None:
            main = threading.main_thread().ident or 0
            self.timer = threading.Timer(PATIENCE_S, signal.pthread_kill, (main, signal.SIGUSR1))
            self.timer.start()
        pytest.skip(self.why)

    def end(self) -> None:
        """The test is over."""
        self.on = False
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None

    def told(self, number: int, frame: object) -> None:
        """The test waits for what was ended."""
        if self.on:
            pytest.skip(self.why)


_guard = pytest.StashKey[Guard]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option; ``make quick`` gives it."""
    parser.addoption("--quick", action="store_true", help="only what starts no process and opens no port")


def choose_examples(config: pytest.Config) -> None:
    """How many examples of a property are tried. How long one takes says nothing: machines are shared."""
    common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("workbench", max_examples=USUAL_EXAMPLES, **common)  # type: ignore[arg-type]
    settings.register_profile("quick", max_examples=EXAMPLES, **common)  # type: ignore[arg-type]
    settings.load_profile("quick" if config.getoption("--quick") else "workbench")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file of which all tests are left out by their mark is not imported for that."""
    if config.getoption("--quick") and collection_path.suffix == ".py":
        return bool(_WHOLE_FILE.search(collection_path.read_text(encoding="utf-8"))) or None
    return None


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the tests that are marked as needing a tool or long, where only the quick ones are asked for."""
    if config.getoption("--quick"):
        gone = {item for item in items if any(item.get_closest_marker(mark) for mark in WITH_TOOLS)}
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]
        for item in items:
            _few_examples(getattr(item, "function", None))


def _few_examples(function: object) -> None:
    """Tests that say themselves how many examples they try have few as well. hypothesis has no public way to tell."""
    own = getattr(function, "_hypothesis_internal_use_settings", None)
    if own is not None and own.max_examples > EXAMPLES:
        function._hypothesis_internal_use_settings = settings(own, max_examples=EXAMPLES)  # type: ignore[attr-defined]


def watch(config: pytest.Config) -> None:
    """From now on look at what tests do. An audit hook cannot be taken out again, so this is for the whole session."""
    if config.getoption("--quick"):
        guard = config.stash[_guard] = Guard()
        signal.signal(signal.SIGUSR1, guard.told)
        sys.addaudithook(guard.heard)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The guard is on for the time of a test and its fixtures; pytest's own processes are none of its business."""
    guard = item.config.stash.get(_guard, Guard())
    guard.on = True
    try:
        return (yield)
    finally:
        guard.end()
