"""What a run measured, written in another tool's format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import NAME_ANOTHER_OUTPUT, RunFolderError
from workbench.exchange import hdr, k6_summary, rows
from workbench.load.chunks import StoredRows
from workbench.runs.atomic import replacing, to_json
from workbench.runs.read import Run

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["hdr", "hgrm", "csv", "k6"]


def export(run: Run, to: Format, output: Path, *, step: int | None = None, clock: str = "response") -> None:
    """Write the samples of ``step`` of a run into ``output``; ``csv`` takes all steps if none is named.

    ``hdr``: HdrHistogram's log; ``hgrm``: its percentiles of ``clock``; ``csv``: a row per request; ``k6``: a summary.
    Raises RunFolderError if the run does not have that step, or has several and none is named, ToolError if a library
    is missing.
    """
    if to in ("hdr", "hgrm"):
        hdr.require_hdrh()
    if to == "csv":
        chosen = _steps(run) if step is None else [_step(run, step)]
        with replacing(output, NAME_ANOTHER_OUTPUT) as unfinished:
            rows.write(unfinished, _frames(run, chosen))
        return
    number = _step(run, step)
    with replacing(output, NAME_ANOTHER_OUTPUT) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        file.writelines(_text(run, number, to, clock))


def _text(run: Run, step: int, to: Format, clock: str) -> Iterable[str]:
    chunks = StoredRows(run.folder.samples(step))
    if to == "hgrm":
        return [hdr.percentiles(chunks, clock)]
    if to == "hdr":
        begin_ns = min((int(chunk.intended_ns.min()) for chunk in chunks if len(chunk)), default=0)
        return hdr.log(chunks, begin_ns, begin_ns + to_unix_ns(run, step))
    row = _row(run, step)
    users = row["concurrency"] if row["loop"] == "closed" else run.manifest["settings"]["max_in_flight"]
    whole = k6_summary.summary(
        lambda: run.sample_batches(k6_summary.COLUMNS, step=step),
        row,
        run=str(run.path),
        in_flight=run.series.loc[run.series["step"] == step, "in_flight"].tolist(),
        users=int(users),
    )
    return [to_json(whole), "\n"]


def to_unix_ns(run: Run, step: int) -> int:
    """What to add to the monotonic clock of a step's rows to get nanoseconds since 1970.

    A resumed run has several clocks, one per session: each is valid from the step that its session began with.
    """
    place = run.steps["step"].tolist().index(step)
    sessions = [session for session in run.manifest["clock"]["sessions"] if session["step"] <= place]
    return int(sessions[-1]["wall_ns"]) - int(sessions[-1]["monotonic_ns"])


def _frames(run: Run, steps: list[int]) -> Iterator[tuple[pd.DataFrame, int]]:
    for step in steps:
        offset = to_unix_ns(run, step)
        for frame in run.sample_batches(step=step):
            yield frame, offset


def _steps(run: Run) -> list[int]:
    """The finished steps that have samples."""
    if run.steps.empty:
        raise RunFolderError(
            "no step of this run has finished", where=str(run.path), hint=f"Go on with `{run.folder.next_command()}`"
        )
    return [step for step in run.steps["step"].tolist() if run.folder.samples(step).exists()]


def _step(run: Run, asked: int | None) -> int:
    """The step to export: only one, so that clocks and loads of several are not mixed."""
    steps = _steps(run)
    if asked is None and len(steps) == 1:
        return int(steps[0])
    if asked not in steps:
        what = f"this run has {len(steps)} steps" if asked is None else f"there is no step {asked}"
        raise RunFolderError(what, where=str(run.path), hint=f"Name one with --step: {', '.join(map(str, steps))}")
    return asked


def _row(run: Run, step: int) -> dict[str, Any]:
    return {str(name): value for name, value in run.steps[run.steps["step"] == step].iloc[0].to_dict().items()}
