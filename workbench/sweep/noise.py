"""A/A test: pairs of equal loads against one target, and how much they differ."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.analysis.noise import Floor, noise_floors, sentence
from workbench.analysis.step_row import from_frame
from workbench.calibration.identity import identity
from workbench.calibration.noise_stored import keep_noise
from workbench.runs.folder import utc_now
from workbench.runs.read import Run
from workbench.settings import Settings
from workbench.sweep.noise_known import load_of, target_of
from workbench.sweep.record import OnEvent
from workbench.sweep.run import run_sweep
from workbench.sweep.single import load_settings


@dataclass(frozen=True)
class Noise:
    """The result of equal loads: the ``run`` with them as repeats of one step, and a noise floor for each figure."""

    run: Run
    floors: tuple[Floor, ...]

    @property
    def known(self) -> bool:
        """Whether any figure has a floor."""
        return any(floor.floor_pct == floor.floor_pct for floor in self.floors)

    @property
    def text(self) -> str:
        """A line a figure."""
        return "\n".join(sentence(floor) for floor in self.floors)


async def measure_noise(settings: Settings, pairs: int, on_event: OnEvent | None = None) -> Noise:
    """Send ``pairs`` of equal loads one after another, and store the target's noise floor beside this machine's
    calibration. Raises the same errors as :func:`workbench.sweep.run.sweep`."""
    load = load_settings(settings).model_copy(update={"repeats": 2 * pairs, "fail_if": []})
    run = await run_sweep(load, None, on_event, toward_limit=False)
    found = Noise(run, noise_floors(from_frame(run.steps)))
    manifest = run.manifest
    if not found.known:  # an earlier floor is better than none
        return found
    keep_noise(
        load.runs_dir,
        {
            "made": utc_now(),
            "identity": identity(manifest["machine"], manifest["versions"]),
            "target": target_of(manifest),
            "load": load_of(manifest),
            "run": run.path.name,
            "floors": [floor.to_json() for floor in found.floors],
        },
    )
    return found
