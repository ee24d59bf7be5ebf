"""Shows the events of a run: a line for each, and a progress bar while a step runs.

Terminals and notebooks get the bar; files and pipes only the lines.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, TextIO

from workbench.markup import markup
from workbench.numbers import duration
from workbench.terminal import coloured, painted

PROGRESS = "workbench_progress"
"""Marks a notebook output as progress of a run, which reports leave out."""
_DOING = {
    "pinpoint": "walking to the limit, at most",
    "paired": "without the profiler: sending",
    "warm_up": "warming up with",
}


def line_of(kind: str, facts: dict[str, Any]) -> str | None:
    """One event as a line; None for events that tell nothing new."""
    if kind == "predicted":
        return str(facts["sentence"])
    if kind == "step_started":
        what = _DOING.get(facts["kind_of_step"], "sending")
        return f"step {facts['step']}: {what} {facts['receipts']:,} receipts"
    if kind == "search_budget":
        return str(facts["sentence"])
    if kind == "trial_finished":
        return f"step {facts['step']}: {facts['rate_per_s']:g}/s, {facts['outcome']}: {facts['why']}"
    if kind == "step_finished":
        return (
            f"step {facts['step']}: {facts['accepted']:,} accepted, {facts['denied']:,} denied, "
            f"{facts['failed']:,} failed, {facts['throughput_per_s']:g}/s, {facts['verdict']}: {facts['reason']}"
        )
    if kind == "paired_left_out":
        return f"no step without the profiler to compare with: {facts['why']}"
    if kind == "profiler_starting":
        return f"starting the service under {facts['mode']}"
    if kind == "profiler_stopping":
        return f"stopping the service, so that {facts['mode']} writes its output"
    if kind in ("beyond_calibration", "beside_another"):
        return f"warning: {facts['why']}"
    if kind == "calibration_not_used":
        return f"note: the calibration is not used: {facts['why']}; make one with `workbench calibrate`"
    if kind == "step_left_out":
        return f"step {facts['step']}: skipped, the sender is denied"
    if kind == "pinpoint_left_out":
        return f"the exact limit was not searched for: {facts['why']}"
    if kind == "preflight" and facts["raised"]:
        return None  # the last lines of the run tell this
    if kind == "preflight":
        word = "refused" if facts["refuses"] else "note"
        return ". ".join(filter(None, (f"{word}: {facts['what']}", facts["remedy"])))
    if kind == "denied_in_database":
        return f"step {facts['step']}: the payer {facts['payer']} is on the database's denylist"
    if kind == "database_note":
        return str(facts["why"])
    if kind == "network_starting":
        return "starting PostgreSQL, the network subgraph, graph-node and the aggregator"
    if kind == "services_starting":
        return "starting the services, and waiting until they answer"
    if kind == "idle_window":
        return f"no receipts for {facts['seconds']:g} s, to measure what the idle service costs"
    if kind == "run_resumed":
        return f"continuing with {facts['done']} of {facts['steps']} steps done"
    return None


@dataclass(frozen=True)
class Step:
    """The step that is being sent: its number, the number of steps (0: not known), its receipts, and when it began."""

    number: int
    of: int
    receipts: int
    began_s: float


def bar(done: int, whole: int, width: int = 24) -> str:
    """A progress bar of ``width`` characters."""
    full = width if done >= whole else width * max(done, 0) // whole
    return "█" * full + "░" * (width - full)


def left_s(receipts: int, per_s: float) -> float:
    """Seconds until the remaining ``receipts`` are answered at a rate of ``per_s``; NaN where the rate is not known."""
    return max(0, receipts) / per_s if per_s > 0 else math.nan


def bar_line(step: Step, facts: dict[str, Any], now_s: float) -> str:
    """A running step in one line: bar, receipts answered, how many were accepted, time left."""
    done, whole = facts["done"], step.receipts
    of = f" of {step.of}" if step.number <= step.of else ""
    elapsed_s = now_s - step.began_s
    left = left_s(whole - done, done / elapsed_s if elapsed_s > 0 else math.nan)
    said = [f"{done:,} of {whole:,} receipts", f"{facts['ok']:,} ok"]
    if not math.isnan(left):
        said.append(f"{duration(left)} left")
    return f"step {step.number}{of} {bar(done, whole)} {', '.join(said)}"


class Screen(Protocol):
    """Where progress is shown: lines that stay, and a last line that is rewritten."""

    def line(self, text: str) -> None:
        """Add a line that stays."""

    def rewrite(self, text: str) -> None:
        """Show ``text`` as the last line, in place of the previous one."""

    def close(self) -> None:
        """Remove the last line."""


class StreamScreen:
    """Progress in a terminal; a file or pipe gets only the lines that stay."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._open = False

    def line(self, text: str) -> None:
        """Add a line."""
        self.close()
        self._stream.write((painted(text) if coloured(self._stream) else text) + "\n")
        self._stream.flush()

    def rewrite(self, text: str) -> None:
        """Rewrite the last line of a terminal, cut to its width."""
        if self._live:
            import shutil

            width = shutil.get_terminal_size().columns
            self._stream.write(f"\r\x1b[2K{text[: width - 1]}")
            self._stream.flush()
            self._open = True

    def close(self) -> None:
        """Clear the line that was being rewritten."""
        if self._open:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
            self._open = False


class NotebookScreen:
    """Progress as one output of a notebook cell, which is replaced on each change."""

    MOST_LINES = 200

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._last = ""
        self._handle: Any = None

    def line(self, text: str) -> None:
        """Add a line; only the last lines are kept."""
        self._lines = [*self._lines, text][-self.MOST_LINES :]
        self._last = ""
        self._show()

    def rewrite(self, text: str) -> None:
        """Show ``text`` below the lines."""
        self._last = text
        self._show()

    def close(self) -> None:
        """Remove the bar."""
        if self._last:
            self._last = ""
            self._show()

    def _show(self) -> None:
        from IPython.display import display

        text = "\n".join([*self._lines, *([self._last] if self._last else [])])
        shown = {"text/plain": text, "text/html": markup("progress", text=text)}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True, metadata={PROGRESS: True})  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown, raw=True, metadata={PROGRESS: True})


class Progress:
    """Shows the progress of a run. Call it with a line, or its ``event`` with an event of the run. As a context manager
    it removes the bar at the end."""

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen: Screen = NotebookScreen() if stream is None else StreamScreen(stream)
        self._clock = clock
        self._steps = 0
        self._step = Step(0, 0, 0, 0.0)

    def __call__(self, line: str) -> None:
        """Show a line."""
        self._screen.line(line)

    def event(self, kind: str, facts: dict[str, Any]) -> None:
        """Show one event of a run; events that tell nothing new are skipped."""
        if kind in ("run_started", "run_resumed"):
            self._steps = facts["steps"]
        if kind == "step_started":
            self._step = Step(facts["step"], self._steps, facts["receipts"], self._clock())
        if kind == "progress" and not facts["done"]:  # the generator is still starting
            self._step = replace(self._step, began_s=self._clock())
        if kind == "progress":
            self._screen.rewrite(bar_line(self._step, facts, self._clock()))
        elif line := line_of(kind, facts):
            self._screen.line(line)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.close()


def in_notebook() -> bool:
    """Whether this code runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def where_somebody_looks() -> AbstractContextManager[Progress | None]:
    """Progress for a notebook or a terminal; None in scripts, logs and pipes."""
    if in_notebook():
        return Progress()
    return Progress(sys.stderr) if sys.stderr.isatty() else nullcontext()
