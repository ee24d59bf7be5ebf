"""The engine that the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from workbench.errors import SettingsError
from workbench.load.cores import usable_cores
from workbench.load.engines.conduct import OnProgress
from workbench.load.engines.processes import automatic, processes
from workbench.load.plan import Plan
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey
from workbench.settings import EngineSettings

if TYPE_CHECKING:
    from distributed import Client

Engine = Callable[[StepSpec, SigningKey | None, OnProgress | None], Awaitable[StepReport]]
"""Runs one step with any number of generators. The buffer ``spec.buffer`` must exist and gets the rows."""


def engine_of(settings: EngineSettings, client: Client | None = None) -> Engine:
    """The engine of a run. With ``client``, its Dask cluster sends instead of that in the settings; a resumed run may
    have lost its first cluster.

    Raises ToolError if Dask is needed and not installed, SettingsError if ``client`` is not connected.
    """
    if client is None and settings.engine == "local":
        return partial(_local, settings)
    from workbench.load.engines.dask import Cluster, dask, require_dask

    require_dask()
    if client is None:
        return partial(dask, Cluster(str(settings.scheduler), settings.allow_unencrypted))
    return partial(dask, Cluster(address_of(client), settings.allow_unencrypted, client.security))


def processes_of(settings: EngineSettings, plan: Plan) -> int:
    """How many processes on this machine send a plan."""
    return automatic(plan, usable_cores()) if settings.processes == "auto" else settings.processes


def address_of(client: Client) -> str:
    """The address of a client's scheduler. Raises SettingsError if it is not connected."""
    if client.scheduler is None:
        raise SettingsError("the Dask client is not connected", where="client", hint="Await it first: await client")
    return str(client.scheduler.address)


async def _local(
    settings: EngineSettings, spec: StepSpec, key: SigningKey | None, on_progress: OnProgress | None
) -> StepReport:
    return await processes(spec, key, processes_of(settings, spec.plan), on_progress)
