"""Notebooks that end in every way there is; the record is ours and does not trust papermill's metadata."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from workbench.errors import SettingsError
from workbench.report import run_notebook
from workbench.report.engine import SparingManager
from workbench.report.quick_nbformat import nbformat

Make = Callable[..., Path]
ANNOUNCE = "import os\nprint('pid', os.getpid(), flush=True)"
WAIT = "import threading\nthreading.Event().wait()"
OWN_NAMES = "assert not {'gc', 'atexit'} & {*globals()}; import gc; assert gc.get_threshold()[0] == 50_000"


def saved(path: Path) -> nbformat.NotebookNode:
    made = nbformat.read(path, as_version=4)
    nbformat.validate(made)
    assert [file.name for file in path.parent.iterdir() if "running" in file.name or file.name.endswith(".tmp")] == []
    return made


async def test_a_good_notebook(notebook: Make, tmp_path: Path) -> None:
    heard: list[str] = []
    output = tmp_path / "new folder {1}" / "out.ipynb"
    record = await run_notebook(
        notebook("print('number is', number)", f"await __import__('asyncio').sleep(0)\n{OWN_NAMES}\nnumber + 1"),
        {"number": 41},
        output,
        output.with_suffix(".html"),
        title="A good one",
        timeout_s=120,
        on_output=heard.append,
    )
    assert record.ok
    assert (record.status, record.exception, record.cells_executed, record.cells) == ("ok", None, 4, 4)
    assert "".join(heard) == "number is 41\n"
    made = saved(output)
    assert made.cells[-1].outputs[0].data["text/plain"] == "42"
    assert made.metadata["workbench"] == record.as_dict()
    assert str(tmp_path) not in json.dumps(made.metadata)
    assert "<title>A good one</title>" in output.with_suffix(".html").read_text()


def test_the_notebook_is_saved_where_it_holds_something_new(tmp_path: Path) -> None:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("1")]
    for part in (made, *made.cells):  # as papermill prepares it
        part.metadata["papermill"] = nbformat.NotebookNode()
    path = tmp_path / "out.ipynb"
    manager = SparingManager(made, output_path=str(path), progress_bar=False)
    manager.notebook_start()
    saves = [path.exists()]
    for number, cell in enumerate(made.cells):
        path.unlink(missing_ok=True)
        manager.cell_start(cell, number)
        saves.append(path.exists())
        manager.cell_complete(cell, number)
        saves.append(path.exists())
    assert saves == [True, False, False, False, True]
    assert [cell.metadata.papermill.status for cell in saved(path).cells] == ["completed", "completed"]
    assert saved(path).cells[1].metadata.papermill.duration >= 0
    path.unlink()
    manager.notebook_complete()
    assert path.exists()


async def test_a_temporary_folder_whose_name_is_too_long_for_sockets(
    notebook: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (long := tmp_path / ("x" * 100)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    record = await run_notebook(notebook(), {}, tmp_path / "out.ipynb", None, title="t", timeout_s=120)
    assert record.ok, record


@pytest.mark.parametrize(
    ("cell", "status", "exception", "message"),
    [
        ("raise ValueError('first line\\nsecond')", "failed", "ValueError", "first line"),
        ("import sys; sys.exit(0)", "failed", "SystemExit", "0"),
        ("input()", "failed", "StdinNotImplementedError", "raw_input was called"),
        ("import os; os._exit(0)", "dead_kernel", "DeadKernelError", "the kernel process ended"),
    ],
)
async def test_a_notebook_that_ends_badly(
    notebook: Make, tmp_path: Path, cell: str, status: str, exception: str, message: str
) -> None:
    output, html = tmp_path / "out.ipynb", tmp_path / "out.html"
    record = await run_notebook(
        notebook("print('before')", cell, "print('after')"), {}, output, html, title="Bad", timeout_s=120
    )
    assert (record.status, record.exception) == (status, exception)
    assert record.message is not None
    assert record.message.startswith(message)
    assert (record.cells_executed, record.cells) == (2, 4)
    assert "before" in json.dumps(saved(output).cells)
    assert "did not run to its end" in html.read_text()


async def test_a_notebook_that_takes_too_long_is_interrupted(notebook: Make, tmp_path: Path) -> None:
    heard: list[str] = []
    output = tmp_path / "out.ipynb"
    record = await run_notebook(
        notebook(ANNOUNCE, WAIT), {}, output, None, title="Slow", timeout_s=6, on_output=heard.append
    )
    assert (record.status, record.exception) == ("timeout", "TimeoutError")
    assert record.cells_executed < record.cells == 3
    assert gone(heard)
    saved(output)


async def test_a_killed_child_is_told_and_takes_its_kernel_along(notebook: Make, tmp_path: Path) -> None:
    heard: list[str] = []

    def kill_child(text: str) -> None:
        heard.append(text)
        kernel = psutil.Process(int(text.split()[1]))
        kernel.parent().kill()

    output = tmp_path / "out.ipynb"
    record = await run_notebook(
        notebook(ANNOUNCE, WAIT), {}, output, None, title="Killed", timeout_s=120, on_output=kill_child
    )
    assert (record.status, record.exception) == ("killed", "SIGKILL")
    assert gone(heard)
    saved(output)


@pytest.mark.slow
async def test_cancelling_interrupts_the_cell_and_keeps_the_notebook(notebook: Make, tmp_path: Path) -> None:
    heard: list[str] = []
    begun = asyncio.Event()

    def hear(text: str) -> None:
        heard.append(text)
        begun.set()

    output = tmp_path / "out.ipynb"
    cleaning = f"{ANNOUNCE}\ntry:\n    __import__('threading').Event().wait()\nfinally:\n    print('tidied')"
    task = asyncio.create_task(run_notebook(notebook(cleaning), {}, output, None, title="Cancelled", on_output=hear))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(heard)
    made = saved(output)
    assert made.metadata["workbench"]["status"] == "killed"
    assert "tidied" in json.dumps(made.cells)


async def test_what_a_cell_left_running_is_not_waited_for(notebook: Make, tmp_path: Path) -> None:
    heard: list[str] = []
    background = (
        "import subprocess, sys\n"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print('pid', left.pid)"
    )
    record = await run_notebook(
        notebook(background), {}, tmp_path / "out.ipynb", None, title="", on_output=heard.append
    )
    assert record.ok
    psutil.Process(int(heard[0].split()[1])).kill()


@pytest.mark.slow
async def test_cancelling_at_once_begins_no_cell(notebook: Make, tmp_path: Path) -> None:
    heard: list[str] = []
    running = run_notebook(
        notebook("print('begun')"), {}, tmp_path / "out.ipynb", None, title="", on_output=heard.append
    )
    others = set(psutil.Process().children())  # of earlier tests
    task = asyncio.create_task(running)
    while not set(psutil.Process().children()) - others:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == []
    made = saved(tmp_path / "out.ipynb")
    assert (made.metadata["workbench"]["status"], made.metadata["workbench"]["cells_executed"]) == ("killed", 0)


def test_killing_the_parent_ends_child_and_kernel(notebook: Make, tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from workbench.report import run_notebook\n"
        "say = lambda text: print(text, flush=True)\n"
        "asyncio.run(run_notebook(pathlib.Path(sys.argv[1]), {}, pathlib.Path(sys.argv[2]), None,"
        " title='', on_output=say))\n"
    )
    command = [sys.executable, "-c", script, str(notebook(ANNOUNCE, WAIT)), str(tmp_path / "out.ipynb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        heard = [parent.stdout.readline()]
        kernel = psutil.Process(int(heard[0].split()[1]))
        child = kernel.parent()
        os.kill(parent.pid, signal.SIGKILL)
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running()
    assert gone(heard)


async def test_parameters_are_checked_before_anything_starts(notebook: Make, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Did you mean 'number'"):
        await run_notebook(notebook(), {"numbr": 1}, tmp_path / "no" / "out.ipynb", None, title="")
    assert not (tmp_path / "no").exists()


async def test_two_at_once_do_not_meet(notebook: Make, tmp_path: Path) -> None:
    source = notebook("print(number)")
    heard: dict[int, list[str]] = {1: [], 2: []}
    records = await asyncio.gather(
        *(
            run_notebook(
                source,
                {"number": number},
                tmp_path / f"{number}.ipynb",
                None,
                title="",
                timeout_s=120,
                on_output=heard[number].append,
            )
            for number in heard
        )
    )
    assert all(record.ok for record in records)
    assert {number: "".join(texts).strip() for number, texts in heard.items()} == {1: "1", 2: "2"}


def gone(heard: list[str]) -> bool:
    """Whether the kernel whose process id was printed has ended, or ends within its own watch's time."""
    if not heard:  # it was ended before it printed
        return True
    try:
        kernel = psutil.Process(int(heard[0].split()[1]))
    except psutil.NoSuchProcess:
        return True
    left = psutil.wait_procs([kernel], timeout=30)[1]
    return not left or left[0].status() == psutil.STATUS_ZOMBIE
