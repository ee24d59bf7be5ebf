"""Generator and stand-in under pprofile in one run: what each of them spends on a receipt, line by line.

Two steps, one short and one longer. Both processes are started anew for each step, so both steps include the same cost
of starting, and their difference is the cost of the additional receipts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RunFolderError
from workbench.load.engines.child import child_process
from workbench.load.engines.conduct import OnProgress
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey
from workbench.settings import Settings
from workbench.sweep.opened import SweepRun, open_run
from workbench.sweep.record import OnEvent
from workbench.sweep.run import run_sweep
from workbench.sweep.run_profiles import RunProfiles

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

FEW = 10
"""Receipts of the short step."""
_FOLDER = "generator"


@dataclass(frozen=True)
class BothProfiled:
    """A short and a longer step, and the Profiles of generator and stand-in."""

    run: SweepRun

    @property
    def receipts(self) -> list[int]:
        """Receipts sent in each step."""
        return [int(sent) for sent in self.run.steps["sent"]]

    @property
    def generator(self) -> list[Profile]:
        """The Profile of the generator for each step. Raises RunFolderError if the run has none."""
        from workbench.profiles.read import read_callgrind

        found = [read_callgrind(path) for path in sorted((self.run.path / _FOLDER).glob("step-*.pprofile.out"))]
        if not found:
            raise RunFolderError("is not a run whose generator was profiled", where=str(self.run.path))
        return found

    @property
    def service(self) -> list[Profile]:
        """The Profile of the stand-in for each step."""
        profiles = RunProfiles(self.run)
        return profiles.profiles(profiles.services[0])


async def profile_both(
    num_receipts: int = 100,
    *,
    run_dir: str | Path | None = None,
    on_event: OnEvent | None = None,
    **parameters: Any,
) -> BothProfiled:
    """Send FEW receipts, then FEW + ``num_receipts``, with generator and stand-in under pprofile.

    ``run_dir`` names the folder to write; if its run has finished, it is opened and nothing is sent. ``parameters`` are
    fields of :class:`workbench.Settings`. Raises ToolError if pprofile is not installed, and what
    :func:`workbench.sweep` raises.
    """
    if run_dir is not None and (Path(run_dir) / _FOLDER).is_dir():
        return BothProfiled(open_run(Path(run_dir)))
    asked: dict[str, Any] = {
        "name": "generator-profile",
        "concurrency": 4,
        "timeout_s": 60.0,
        **parameters,
        "profiler": "pprofile",
        "receipts": f"{FEW},{FEW + num_receipts}",
        "paired": False,
        "warm_up_receipts": 0,
        "idle_s": 0.0,
        "pinpoint": False,
    }
    settings = Settings.resolve(**asked)
    into = None if run_dir is None else Path(run_dir)
    return BothProfiled(await run_sweep(settings, into, on_event, toward_limit=False, engine=_under_pprofile))


async def _under_pprofile(spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None) -> StepReport:
    """The engine: one generator, under pprofile."""
    folder = spec.buffer.parents[1] / _FOLDER  # the buffer is in the run's samples/
    folder.mkdir(exist_ok=True)
    out = folder / f"step-{spec.step:03d}.pprofile.out"
    profiled = partial(child_process, under=("-m", "pprofile", "--format", "callgrind", "--out", str(out)))
    return await profiled(spec, key, on_progress)
