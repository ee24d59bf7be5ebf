"""Reads runs, batches, baselines and profiles as sides of a comparison: ``workbench.compare``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RunFolderError, SettingsError, WorkbenchError
from workbench.runs.folder import MANIFEST

if TYPE_CHECKING:
    import pandas as pd

    from workbench.compare.comparison import Comparison
    from workbench.compare.side import Graph, Side
    from workbench.runs.read import Run
    from workbench.sweep.opened import SweepRun

# receipts of a step whose response times are compared: enough for any decile
MOST_ROWS = 500_000
# the service name of a profile file
FILE_SERVICE = "profile"


def compare(
    before: str | Path,
    after: str | Path,
    *more: str | Path,
    receipts: float | Sequence[float] | None = None,
    anyway: bool = False,
) -> Comparison:
    """Compare the runs ``after`` and ``more`` with the run ``before``.

    Each is the folder of a run or of a batch, the name of a baseline, or a profile of one step; then ``receipts`` gives
    the receipts sent in it, one number for all or one each. Unless ``anyway``, raises MeasurementError if the runs are
    not comparable, naming what differs (settings, machine, versions, stand-in or service). Raises RunFolderError,
    ReadError or SettingsError if one cannot be read.
    """
    from workbench.compare.comparison import compare_sides

    started = time.perf_counter()
    found = compare_sides(sides_of([before, after, *more], receipts=receipts), anyway=anyway)
    return replace(found, seconds=time.perf_counter() - started)


def sides_of(paths: Sequence[str | Path], *, receipts: float | Sequence[float] | None = None) -> list[Side]:
    """The sides of a comparison; see :func:`compare`."""
    counts = _counts(receipts, len(paths))
    sides = [side_of(Path(path), sent) for path, sent in zip(paths, counts, strict=True)]
    return _named_apart(sides, [Path(path) for path in paths])


def side_of(path: Path, receipts: float | None = None) -> Side:
    """One side of a comparison; see :func:`compare`."""
    from workbench.batches.folder import FILE, Batch
    from workbench.sides.baselines import find_baseline
    from workbench.sweep.opened import open_run

    path = find_baseline(path)
    if path.is_dir():
        if receipts is not None:
            raise SettingsError(
                "a run folder contains its number of receipts", where="--receipts", hint="Give it for profiles only"
            )
        if (path / FILE).exists():
            runs = [open_run(run.path) for run in Batch.open(path).runs().values()]
            return replace(_of_runs(path.name, runs), path=path)
        if not (path / MANIFEST).exists():
            raise RunFolderError(
                "this folder is neither a run nor a batch", where=str(path), hint="Run folders are in data/runs"
            )
        return replace(_of_runs(path.name, [open_run(path)]), path=path)
    return _of_profile(path, receipts)


def _counts(receipts: float | Sequence[float] | None, count: int) -> list[float | None]:
    if receipts is None or isinstance(receipts, int | float):
        given: list[float | None] = [receipts] * count
    else:
        given = [float(one) for one in receipts]
    if len(given) != count or any(one is not None and not one > 0 for one in given):
        raise SettingsError(
            f"{count} profiles need one number of receipts for all, or {count}, each above 0; found {receipts}",
            where="--receipts",
        )
    return given


def _of_profile(path: Path, receipts: float | None) -> Side:
    """A profile of one step."""
    from workbench.analysis.costs import compact_costs, window_costs
    from workbench.compare.side import Graph, Side
    from workbench.profiles.read import read_profile

    profile = read_profile(path)
    if profile.format == "massif":
        raise SettingsError(
            "a heap profile has no cost per receipt",
            where=path.name,
            hint="workbench diff compares two heaps, and workbench compare two runs under massif",
        )
    if receipts is None:
        raise SettingsError(
            "a profile file does not contain its number of receipts",
            where=path.name,
            hint="Give --receipts, one number for all profiles or one each",
        )
    costs = window_costs(profile, service=FILE_SERVICE, mode=profile.format, step=1, receipts=round(receipts))
    measured = {(FILE_SERVICE, profile.format): Graph(profile, receipts)}
    return Side(
        name=path.name,
        path=path,
        costs=compact_costs(costs),
        graphs=measured if profile.basis == "graph" else {},
        findings=_findings_of(costs, measured),
    )


def _findings_of(costs: pd.DataFrame, measured: Mapping[tuple[str, str], Graph]) -> Any:
    from workbench.analysis.findings import Measured, find

    made = []
    for (service, mode), graph in measured.items():
        metric = graph.profile.default_metric
        if metric not in set(costs["metric"]):
            continue
        made.append(
            Measured(
                service=service, mode=mode, metric=metric, costs=costs, profile=graph.profile,
                receipts=round(graph.receipts),
            )
        )  # fmt: skip
    return find(made)


def _of_runs(name: str, runs: Sequence[SweepRun]) -> Side:
    """The runs of a batch, or one run, as one side."""
    import pandas as pd

    from workbench.compare.likeness import facts_of
    from workbench.compare.side import Side

    sides = []
    for run in runs:
        profiles = run.profiles
        graphs, notes = _graphs(run)
        sides.append(
            Side(
                name=name,
                facts=facts_of(run.manifest),
                valid=run.verdict != "INVALID",
                costs=profiles.costs,
                graphs=graphs,
                findings=run.findings if profiles.services else None,
                leaks={service: leaks for service in profiles.services if (leaks := profiles.leaks(service))},
                steps=run.steps,
                responses=responses_of(run),
                outcomes=_outcomes(run),
                limit=run.manifest.get("limit") or {},
                floors=_floors(run),
                notes=notes,
            )
        )
    if len(sides) == 1:
        return sides[0]
    if not sides:
        raise RunFolderError("this batch has no runs", where=name)
    common = {
        key: value
        for key, value in sides[0].facts.items()
        if not key.startswith("settings.profiler") and all(side.facts.get(key) == value for side in sides)
    }
    return Side(
        name=name,
        facts=common,
        valid=all(side.valid for side in sides),
        costs=pd.concat([side.costs for side in sides if len(side.costs)] or [pd.DataFrame()], ignore_index=True),
        graphs={key: graph for side in sides for key, graph in side.graphs.items()},
        findings=_all_findings(sides),
        leaks={key: leaks for side in sides for key, leaks in side.leaks.items()},
        responses=next((side.responses for side in sides if len(side.responses)), pd.DataFrame()),
        outcomes=next((side.outcomes for side in sides if len(side.responses)), pd.DataFrame()),
        limit=next((side.limit for side in sides if side.limit), {}),
        floors=next((side.floors for side in sides if side.floors), {}),
        notes=tuple(dict.fromkeys(note for side in sides for note in side.notes)),
    )


def responses_of(run: Run) -> pd.DataFrame:
    """The response times of accepted receipts in the valid steps without a profiler: load, step, response_ms. Of a
    larger step, the first MOST_ROWS receipts."""
    import pandas as pd

    parts = []
    steps = run.steps
    if len(steps):
        plain = steps["profiler"].isin(("none", "")) if "profiler" in steps else steps["kind"] != ""
        steps = steps[(steps["kind"] == "step") & plain & (steps["verdict"] != "INVALID")]
    for row in steps.itertuples():
        try:
            samples = run.samples_of(int(row.step), ["intended_ns", "done_ns", "outcome"])
        except RunFolderError:
            continue  # the baseline left its samples out
        samples = samples[samples["outcome"] == "ok"].head(MOST_ROWS).sort_values("intended_ns", kind="stable")
        times = (samples["done_ns"] - samples["intended_ns"]).to_numpy(dtype="float64") / 1e6
        parts.append(pd.DataFrame({"load": _load_of(row), "step": int(row.step), "response_ms": times}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _floors(run: Run) -> dict[float, float]:
    """The noise floors of the run's target by quantile of response times, as measured by ``workbench calibrate
    --aa``."""
    from workbench.sweep.noise_known import noise_floors_of

    found = noise_floors_of(run)
    names = {0.5: "response_p50_ms", 0.9: "response_p90_ms", 0.95: "response_p95_ms"}
    return {share: found[name].floor_pct for share, name in names.items() if name in found}


def _load_of(row: Any) -> str:
    """The load of a step in words; steps with the same load are repeats."""
    how = f"{row.rate_per_s:g} a second" if row.loop == "open" else f"{row.concurrency:g} in flight"
    return f"{int(row.receipts):,} receipts, {how}"


def _outcomes(run: Run) -> pd.DataFrame:
    import pandas as pd

    outcomes, steps = run.outcomes, run.steps
    if outcomes.empty or steps.empty:
        return pd.DataFrame()
    wanted = steps.loc[steps["kind"] == "step", "step"]
    rows = outcomes[outcomes["step"].isin(wanted)]
    return rows.groupby("outcome", as_index=False)["receipts"].sum()


def _all_findings(sides: Sequence[Side]) -> Any:
    from workbench.analysis.findings import Findings

    known = [side.findings for side in sides if side.findings is not None]
    return Findings(
        tuple(one for found in known for one in found.ranked),
        tuple(one for found in known for one in found.folded),
        tuple(note for found in known for note in found.notes),
    )


def _graphs(run: SweepRun) -> tuple[dict[tuple[str, str], Graph], tuple[str, ...]]:
    """The call graph of each service's step with the most receipts, and notes on profiles that cannot be read."""
    from workbench.compare.side import Graph

    found: dict[tuple[str, str], Graph] = {}
    notes = []
    for service in run.profiles.services:
        try:
            measured = run.profiles.measured(service)
        except WorkbenchError as error:
            notes.append(f"The profile of {service} cannot be read, so no cause can be named: {error}")
            continue
        if measured.profile is not None and measured.profile.basis == "graph" and measured.receipts:
            found[service, run.profiles.mode] = Graph(measured.profile, measured.receipts)
    return found, tuple(notes)


def _named_apart(sides: Sequence[Side], paths: Sequence[Path]) -> list[Side]:
    """Make names unique: by the folders above them, else by numbers from 1."""
    names = [side.name for side in sides]
    for depth in range(2, 5):
        names = [
            "/".join(path.resolve().parts[-depth:]) if names.count(name) > 1 else name
            for path, name in zip(paths, names, strict=True)
        ]
    return [
        replace(side, name=name if names.count(name) == 1 else f"{name} ({names[: at + 1].count(name)})")
        for at, (side, name) in enumerate(zip(sides, names, strict=True))
    ]
