"""Run a notebook in a child process and keep our own record of how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import keyring
from workbench.errors import SettingsError
from workbench.masking import masked
from workbench.private import sweep_hidden, temporary_folder
from workbench.report.child import INTERRUPT_GRACE_S, KILL_GRACE_S
from workbench.report.export import export_html
from workbench.report.notebooks import read_notebook, write_notebook
from workbench.report.parameters import check_parameters
from workbench.report.quick_nbformat import nbformat
from workbench.report.record import Ending, NotebookRecord, code_cells, count_executed, judge
from workbench.runs.folder import utc_now

RECORD_KEY = "workbench"
# The child ends by itself within its own two grace periods; after this time it is killed.
CHILD_GRACE_S = INTERRUPT_GRACE_S + KILL_GRACE_S + 10.0
LINE_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass
class Heard:
    """What the child has reported so far."""

    on_output: Callable[[str], None] | None
    answered: int = 0
    ending: Ending | None = None


async def run_notebook(
    notebook: Path,
    parameters: Mapping[str, Any],
    output: Path,
    html: Path | None,
    *,
    title: str,
    timeout_s: float | None = None,
    on_output: Callable[[str], None] | None = None,
) -> NotebookRecord:
    """Execute ``notebook`` with ``parameters`` into ``output`` and, unless None, one offline page ``html``.

    Names and types of the parameters are checked before anything starts. The notebook runs in a child process
    with a kernel of its own, in the working directory of the caller. However it ends, what was executed is
    left under ``output`` with the record in its metadata, and the page says so. ``timeout_s`` is for the
    whole notebook, None for no limit. ``on_output`` gets each piece of text a cell prints, as it comes.

    Raises SettingsError for a notebook or parameter that cannot be used and RunFolderError when a file cannot
    be written. A notebook that fails is no exception: see the record. When cancelled, the kernel is
    interrupted, the partial notebook is written, and the cancellation goes on.
    """
    checked = check_parameters(notebook, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    sweep_hidden(output.parent)
    working = output.with_name(f".{output.stem}.{os.getpid()}.running.ipynb")
    request = {"notebook": str(notebook), "output": str(working), "parameters": checked, "timeout_s": timeout_s}
    started = utc_now()
    heard = Heard(on_output)

    def finish(ending: Ending) -> NotebookRecord:
        executed = _last_saved(working, notebook)
        ending = judge(executed, ending)
        record = NotebookRecord(
            status=ending.status,
            exception=ending.exception,
            message=None if ending.message is None else masked(ending.message),
            started=started,
            ended=utc_now(),
            cells_executed=count_executed(executed, heard.answered),
            cells=len(code_cells(executed)),
            notebook=output.name,
            html=html.name if html else None,
        )
        _mask(executed)
        executed.metadata[RECORD_KEY] = record.as_dict()
        # papermill's own lines name the temporary file and the folders of this machine
        executed.metadata.get("papermill", {}).update(input_path=notebook.name, output_path=output.name)
        write_notebook(executed, output)
        working.unlink(missing_ok=True)
        if html is not None:
            export_html(output, html, title=title)
        return record

    try:
        with temporary_folder("notebook") as runtime:
            ending = await _execute({**request, "runtime": str(runtime)}, heard)
    except asyncio.CancelledError:
        finish(Ending("killed", "Interrupted", "the run was stopped"))
        raise
    return await asyncio.to_thread(finish, ending)


def _mask(executed: nbformat.NotebookNode) -> None:
    """Mask whatever has the shape of a private key in code and outputs, above all in errors and their tracebacks.

    Figures are not masked: their numbers are packed, and a run of zeros among them looks like a key.
    """
    for cell in executed.cells:
        cell.source = masked(cell.source)
        for output in cell.get("outputs", ()):
            for name in ("text", "ename", "evalue"):
                if name in output:
                    output[name] = masked(output[name])
            if "traceback" in output:
                output.traceback = [masked(line) for line in output.traceback]
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = masked(output.data["text/plain"])


def _last_saved(working: Path, notebook: Path) -> nbformat.NotebookNode:
    """What papermill saved last; the original notebook if nothing was saved, or the save was cut off."""
    try:
        return read_notebook(working)
    except SettingsError:
        return read_notebook(notebook)


async def _execute(request: Mapping[str, Any], heard: Heard) -> Ending:
    """Start the child, follow it to its end, and leave nothing of it behind."""
    # Its errors go to a file: a process that a cell left in the background would keep a pipe open.
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workbench.report.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # only this process gets Ctrl-C, and then ends the child properly
            limit=LINE_LIMIT_BYTES,
        )
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("both streams were asked for as pipes")
        timeout_s = request["timeout_s"]
        try:
            async with asyncio.timeout(None if timeout_s is None else timeout_s + CHILD_GRACE_S):
                stdin.write(json.dumps({**request, "keys": keyring.take()}).encode() + b"\n")
                await _follow(stdout, heard)
                await process.wait()
        except TimeoutError:
            return Ending("timeout", "TimeoutError", f"the notebook took longer than {timeout_s:g} s")
        finally:
            stdin.close()
            await _end(process)
        errors.seek(0)
        return heard.ending or _ending_untold(process.returncode or 0, errors.read())


async def _follow(stdout: asyncio.StreamReader, heard: Heard) -> None:
    """Read the child's events to the end of its output."""
    async for line in stdout:
        match json.loads(line):
            case {"output": text}:
                if heard.on_output is not None:
                    heard.on_output(text)
            case {"answered": answered}:
                heard.answered = answered
            case {"ending": ending}:
                heard.ending = Ending(**ending)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for a child whose standard input is closed; kill its process group if it does not end."""
    waiting = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait_for(asyncio.shield(waiting), CHILD_GRACE_S)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await waiting


def _ending_untold(returncode: int, errors: bytes) -> Ending:
    """The ending of a child that reported none: the signal that killed it, or the last line of its errors."""
    if returncode < 0:
        return Ending("killed", signal.Signals(-returncode).name, "the process that ran the notebook was killed")
    lines = errors.decode(errors="replace").split("\n")
    return Ending("failed", "ChildProcessError", next(filter(None, reversed(lines)), f"exit code {returncode}"))
