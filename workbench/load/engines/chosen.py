"""The engine that the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from workbench.load.engines.conduct import OnProgress
from workbench.load.engines.processes import automatic, processes, usable_cores
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey
from workbench.settings import EngineSettings

if TYPE_CHECKING:
    from distributed import Client

Engine = Callable[[StepSpec, SigningKey | None, OnProgress | None], Awaitable[StepReport]]
"""Runs one step, in whatever number of generators. The buffer ``spec.buffer`` must exist and gets the rows."""


def engine_of(settings: EngineSettings, client: Client | None = None) -> Engine:
    """The engine of a run. ``client``: of the Dask cluster, in place of one that is made from the settings.

    Raises ToolError where Dask is wanted and not installed.
    """
    if settings.engine == "dask":
        from workbench.load.engines.dask import require_dask

        require_dask()
        from workbench.load.engines.dask import Cluster, dask

        cluster = Cluster(str(settings.scheduler), settings.allow_unencrypted, getattr(client, "security", None))
        return partial(dask, cluster)
    return partial(_local, settings)


async def _local(
    settings: EngineSettings, spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None
) -> StepReport:
    count = automatic(spec.plan, usable_cores()) if settings.processes == "auto" else settings.processes
    return await processes(spec, key, count, on_progress)
