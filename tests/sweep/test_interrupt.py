"""A run that is stopped: in a notebook the cell has what was measured, elsewhere the interrupt goes on."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest
from jupyter_client.manager import AsyncKernelManager

import workbench
from tests.sweep.test_sweep import wait_for_progress
from workbench.runs.read import open_run
from workbench.sweep.interrupt import folder_of, how_to_go_on, mark

CELL = """
import workbench
run = await workbench.sweep(receipts="30,600", rate=60, runs_dir="runs", pinpoint=False)
"""


def begun(runs: Path) -> Path:
    """The folder of the only run, once it has one."""
    pause = threading.Event()
    for _ in range(600):
        if found := list(runs.glob("*/events.jsonl")):
            return found[0].parent
        pause.wait(0.1)
    raise AssertionError("no run folder was made")


async def test_an_interrupt_of_the_kernel_gives_what_was_measured() -> None:
    """As Jupyter does it: SIGINT to the kernel while the cell awaits, then the next cell."""
    manager = AsyncKernelManager()
    manager.kernel_spec.argv[0] = sys.executable  # type: ignore[union-attr]
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    outputs: list[dict] = []  # type: ignore[type-arg]

    async def execute(code: str) -> str:
        reply = await client.execute_interactive(code, output_hook=outputs.append, timeout=120, allow_stdin=False)
        return str(reply["content"]["status"])

    try:
        await client.wait_for_ready(timeout=120)
        cell = asyncio.create_task(execute(CELL))
        folder = await asyncio.to_thread(begun, Path("runs"))
        await asyncio.to_thread(wait_for_progress, folder, step=2)
        await manager.interrupt_kernel()
        assert await cell == "ok"
        shown = str(outputs)
        assert await execute("print(type(run).__name__, run.state, len(run.steps))") == "ok"
        printed = "".join(one["content"].get("text", "") for one in outputs if one["msg_type"] == "stream")
        assert "SweepRun interrupted 1" in printed
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
    assert open_run(folder).state == "interrupted"
    assert f"Interrupted. Everything measured is in {folder}" in shown
    assert f"await workbench.sweep(resume='{folder}')" in shown
    # one output that was rewritten: the bar was in it while the step ran, and is not any more
    (first,) = [one for one in outputs if one["msg_type"] == "display_data"]
    updates = [one for one in outputs if one["msg_type"] == "update_display_data"]
    assert {one["content"]["transient"]["display_id"] for one in (first, *updates)} == {
        first["content"]["transient"]["display_id"]
    }
    texts = [one["content"]["data"]["text/plain"] for one in updates]
    assert any("receipts" in text and "█" in text for text in texts)
    assert "█" not in texts[-1]


async def test_a_timeout_of_the_caller_is_a_timeout() -> None:
    limit = asyncio.timeout(60)

    def stop(kind: str, facts: dict) -> None:  # type: ignore[type-arg]
        if kind == "step_started":
            limit.reschedule(asyncio.get_running_loop().time())

    async def limited() -> None:
        async with limit:
            await workbench.load(num_receipts=2000, rate=50, runs_dir="runs", on_event=stop)

    with pytest.raises(TimeoutError) as raised:
        await limited()
    folder = begun(Path("runs"))
    assert open_run(folder).state == "interrupted"
    assert folder_of(raised.value) == folder
    assert how_to_go_on(raised.value).endswith(f"go on with `workbench sweep --resume {folder}`")
    stopped = workbench.LoadResult(open_run(folder))
    assert repr(stopped).startswith("The load is interrupted")


def test_what_was_not_begun_has_nothing_to_go_on_with() -> None:
    assert how_to_go_on(KeyboardInterrupt()) == ""
    first = asyncio.CancelledError()
    mark(first, Path("runs/a"), "workbench sweep --resume runs/a")
    became = KeyboardInterrupt()  # as asyncio.run makes it of a cancellation
    became.__context__ = first
    said = "Everything measured is in runs/a; go on with `workbench sweep --resume runs/a`"
    assert (how_to_go_on(first), how_to_go_on(became)) == (said, said)
    first.__context__ = became  # errors can be chained in a circle
    assert how_to_go_on(became) == said
