"""Events of a run as lines for a person; on a terminal the last line is rewritten while a step runs."""

from __future__ import annotations

from typing import Any, TextIO

_DOING = {
    "pinpoint": "walking to the limit, at most",
    "paired": "without the profiler, sending",
    "warm_up": "warming up with",
}


def line_of(kind: str, facts: dict[str, Any]) -> str | None:
    """One event as a line; None for those that say nothing new."""
    if kind == "predicted":
        return str(facts["sentence"])
    if kind == "step_started":
        what = _DOING.get(facts["kind_of_step"], "sending")
        return f"step {facts['step']}: {what} {facts['receipts']:,} receipts"
    if kind == "search_budget":
        return str(facts["sentence"])
    if kind == "trial_finished":
        return f"step {facts['step']}: {facts['rate_per_s']:g}/s, {facts['outcome']}: {facts['why']}"
    if kind == "progress":
        return f"step {facts['step']}: {facts['done']:,} of {facts['receipts']:,} answered, {facts['ok']:,} ok"
    if kind == "step_finished":
        return (
            f"step {facts['step']}: {facts['accepted']:,} accepted, {facts['denied']:,} denied, "
            f"{facts['failed']:,} failed, {facts['throughput_per_s']:g}/s, {facts['verdict']}: {facts['reason']}"
        )
    if kind == "paired_left_out":
        return f"no step without the profiler, to compare with: {facts['why']}"
    if kind == "profiler_starting":
        return f"starting the service under {facts['mode']}"
    if kind == "profiler_stopping":
        return f"stopping the service, so that {facts['mode']} writes all it has"
    if kind in ("beyond_calibration", "beside_another"):
        return f"warning: {facts['why']}"
    if kind == "calibration_not_used":
        return f"note: the calibration is not used: {facts['why']}; make one with `workbench calibrate`"
    if kind == "step_left_out":
        return f"step {facts['step']}: left out after denial"
    if kind == "pinpoint_left_out":
        return f"the exact limit was not looked for: {facts['why']}"
    if kind == "preflight" and facts["raised"]:
        return None  # it is what the run ends with
    if kind == "preflight":
        word = "refused" if facts["refuses"] else "note"
        return ". ".join(filter(None, (f"{word}: {facts['what']}", facts["remedy"])))
    if kind == "denied_in_database":
        return f"step {facts['step']}: the database's denylist has the payer {facts['payer']}"
    if kind == "database_note":
        return str(facts["why"])
    if kind == "network_starting":
        return "starting PostgreSQL, network subgraph, graph-node and aggregator"
    if kind == "services_starting":
        return "starting the services, and waiting until they answer"
    if kind == "idle_window":
        return f"no receipts for {facts['seconds']:g} s, to see what time alone costs"
    if kind == "run_resumed":
        return f"going on with {facts['done']} of {facts['steps']} steps done"
    return None


class Progress:
    """Writes events to a stream, usually standard error. Call it with kind and facts; ``end`` ends an open line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._open = False

    def __call__(self, kind: str, facts: dict[str, Any]) -> None:
        line = line_of(kind, facts)
        if line is None:
            return
        if self._live:
            self._stream.write(f"\r\x1b[2K{line}")
            self._open = kind == "progress"
            if not self._open:
                self._stream.write("\n")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def end(self) -> None:
        """End the line that was being rewritten."""
        if self._open:
            self._stream.write("\n")
            self._open = False
