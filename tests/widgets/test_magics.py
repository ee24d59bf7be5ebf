"""``%load_ext workbench``: a cell of load in a window, findings, and the command line, in a shell without a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import workbench
from workbench.errors import SettingsError
from workbench.runs.folder import RunFolder
from workbench.widgets.findings_view import FindingsView
from workbench.widgets.magics import parsed, run_cell


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    workbench.load_ipython_extension(made)
    yield made
    InteractiveShell.clear_instance()


def test_the_line_of_a_profiled_cell() -> None:
    assert parsed("callgrind") == ("callgrind", {})
    assert parsed("valgrind service_command='a b' seed=3") == ("massif", {"service_command": "a b", "seed": "3"})
    for line, said in (("", "which mode"), ("nope", "no profiler mode"), ("strace x", "name=value"), ("'", "quot")):
        with pytest.raises(SettingsError, match=said):
            parsed(line)


async def test_a_cell_may_wait_and_keeps_its_text() -> None:
    names: dict[str, object] = {"asyncio": asyncio}
    await run_cell("await asyncio.sleep(0)\nx = '''a\n  b'''", names)
    await run_cell("y = len(x)", names)
    assert (names["x"], names["y"]) == ("a\n  b", 5)


@pytest.mark.parametrize("inside_a_loop", [False, True])
def test_commands_are_run_and_their_code_is_kept(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], inside_a_loop: bool
) -> None:
    async def in_a_kernel() -> None:
        shell.run_line_magic("workbench", "read nope")

    asyncio.run(in_a_kernel()) if inside_a_loop else shell.run_line_magic("workbench", "read nope")
    said = capsys.readouterr().out
    assert "nope: the file cannot be read" in said
    assert "ended with exit code 2" in said
    assert shell.user_ns["_exit_code"] == 2


def test_findings_of_a_run_are_shown(shell: InteractiveShell, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "mine")
    folder.update_manifest(state="finished", exit_code=0)
    view = shell.run_line_magic("findings", str(folder.path))
    assert isinstance(view, FindingsView)
    for line in ("", "one two", str(tmp_path)):
        with pytest.raises(UsageError):
            shell.run_line_magic("findings", line)


def test_a_cell_of_load_is_profiled_in_a_window(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    cell = "import workbench\nresult = await workbench.load(num_receipts=20, concurrency=2)\nurl = session.url"
    shell.run_cell_magic("profile", "flamegraph", cell)
    names = shell.user_ns
    assert names["result"].summary["accepted"] == 20
    assert names["profile"].format == "pprof"
    (record,) = Path("data/profiling").glob("*/*/flamegraph/cell.window.json")
    assert json.loads(record.read_text())["name"] == "cell"
    # the load found the profiled service, and no stand-in of its own
    assert names["result"].run.manifest["target"]["url"] == names["url"]
    assert "standin: " in capsys.readouterr().out
    with pytest.raises(UsageError, match="no profiler mode"):
        shell.run_cell_magic("profile", "nope", cell)
