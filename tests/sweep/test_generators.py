"""Runs whose steps are sent by several generators: their folder tells of each, and they are gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import workbench
from tests.load.clusters import dask_cluster
from workbench.errors import SettingsError, ToolError
from workbench.load.engines.child import child_process
from workbench.load.engines.dask import Cluster, dask
from workbench.settings import Settings
from workbench.sweep.experiment import engine_for

pytestmark = pytest.mark.slow

FAST: dict[str, Any] = {"rate": 400.0, "limit_grt": "0.1", "runs_dir": "runs"}  # the limit is receipt 100


async def test_a_sweep_by_two_processes_finds_the_limit_and_tells_of_each() -> None:
    run = await workbench.sweep(receipts="60,150", processes=2, **FAST)
    assert run.manifest["limit"]["observed_receipts"] == 100
    samples = run.samples
    steps = samples[samples["step"] <= 2]
    assert (steps["worker"] == steps["index"] % 2).all()
    assert set(samples.loc[samples["step"] == 3, "worker"]) == {0}  # the walk is receipt by receipt
    told = run.manifest["generators"]
    assert list(told) == [f"step {step}, generator {number} of 2" for step in (1, 2) for number in (1, 2)]
    assert all("75 sent" in text for name, text in told.items() if name.startswith("step 2"))
    threads = run.watch.query("source == 'generator' and metric == 'threads'")["value"]
    assert threads.max() >= 4  # both are watched, as one
    assert not samples.duplicated(["step", "index"]).any()
    assert (run.steps["stored"] == run.steps["paid"]).all()


async def test_a_load_from_a_notebooks_client_and_one_gone_on_with_on_another_cluster(tmp_path: Path) -> None:
    with dask_cluster(tmp_path / "first", workers=2) as first:
        async with Client(first.address, asynchronous=True, set_as_default=False) as client:
            result = await workbench.load(num_receipts=60, rate=200, client=client, runs_dir="runs")
        assert result.summary["accepted"] == 60
        told = result.summary["generators"]
        assert list(told) == ["generator 1 of 2", "generator 2 of 2"]
        assert all("clock offset" in text and "Dask worker tcp://127.0.0.1:" in text for text in told.values())
        assert all(text in result.text for text in told.values())
        assert result.run.manifest["settings"]["scheduler"] == first.address
        with pytest.raises(SettingsError, match="the Dask client is not connected"):
            await workbench.load(num_receipts=1, client=client)  # it is closed

        def kill(kind: str, facts: dict[str, Any]) -> None:
            if kind == "progress" and facts["done"] >= 40:
                first.kill(0)

        with pytest.raises(ToolError, match=r"the Dask scheduler was lost.*--resume"):
            await workbench.sweep(
                receipts="900", pinpoint=False, engine="dask", scheduler=first.address, run_dir="cut", on_event=kill
            )
    interrupted = workbench.open_run("cut")
    assert interrupted.manifest["state"] == "failed"
    assert list(Path("cut/interrupted").glob("step-001*.parquet"))
    with (
        dask_cluster(tmp_path / "second", workers=1) as second,
        Client(second.address, set_as_default=False) as client,  # synchronous, its loop is in a thread of its own
    ):
        run = await workbench.sweep(resume="cut", client=client)
    assert run.manifest["state"] == "finished"
    assert sorted(run.samples["index"]) == list(range(900))


def test_a_run_under_a_profiler_is_sent_by_one_process_here() -> None:
    given = {"engine": "dask", "scheduler": "127.0.0.1:8786"}
    assert engine_for(Settings.resolve(profiler="callgrind", **given), None) is child_process
    engine: Any = engine_for(Settings.resolve(**given), None)
    assert (engine.func, engine.args) == (dask, (Cluster("tcp://127.0.0.1:8786"),))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 0}, "from 1 to 256 or auto, found '0'"),
        ({"processes": "many"}, "or auto, found 'many'"),
        ({"engine": "dask", "scheduler": "a:1", "processes": 2}, "each worker is one generator"),
        ({"engine": "dask"}, "give it with --scheduler"),
        ({"scheduler": "tcp://127.0.0.1:8786"}, "--engine dask only"),
        ({"engine": "dask", "scheduler": "http://"}, "such as tcp://127.0.0.1:8786"),
        ({"engine": "ray"}, "engine"),
    ],
)
def test_settings_of_generators_that_do_not_fit_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings.resolve(**given)
