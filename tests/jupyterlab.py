"""One JupyterLab and one browser for all tests of what is shown there: starting them is dear."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.ports import free_port
from tests.report.browser import PATIENCE_MS, headless_chromium
from workbench.report.quick_nbformat import nbformat


@dataclass
class Shown:
    """A page of JupyterLab. ``elsewhere``: requests that left this machine; ``complaints``: page errors."""

    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def command(self, name: str) -> None:
        """A command of JupyterLab."""
        await self.page.evaluate("(name) => { window.jupyterapp.commands.execute(name) }", name)

    async def idle(self) -> None:
        """Wait until the notebook's kernel has nothing to do; before that Lab would ask which kernel is wanted."""
        await self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


@dataclass(frozen=True)
class JupyterLab:
    """``folder`` holds a folder for each test, from which its kernels work."""

    address: str
    folder: Path
    browser: Browser

    def notebook(self, name: str, made: nbformat.NotebookNode) -> Path:
        """Write a notebook into a folder of its own."""
        path = self.folder / name / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(made, path)
        return path

    async def opened(self, notebook: Path, *, height_px: int = 900) -> Shown:
        """A notebook in a window of its own; nothing of it has run yet."""
        page = await self.browser.new_page(viewport={"width": 1400, "height": height_px})
        page.set_default_timeout(PATIENCE_MS)
        # anywidget gives a panel two seconds to be made, which a busy machine may take
        await page.add_init_script(
            "const timeout = AbortSignal.timeout; AbortSignal.timeout = (ms) => timeout.call(AbortSignal, 60 * ms)"
        )
        shown = Shown(page)
        page.on(
            "request",
            lambda request: (
                shown.elsewhere.append(request.url)
                if request.url.startswith("http") and "127.0.0.1" not in request.url
                else None
            ),
        )
        page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        place = notebook.relative_to(self.folder).as_posix()
        await page.goto(f"{self.address}/lab/workspaces/{notebook.stem}/tree/{place}")
        await page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook')")
        await shown.idle()
        return shown


@asynccontextmanager
async def jupyter_lab(folder: Path) -> AsyncIterator[JupyterLab]:
    """JupyterLab with settings of its own in ``folder``, and a browser."""
    work, config = folder / "work", folder / "config"
    work.mkdir()
    (config / "labconfig").mkdir(parents=True)
    # else a question about news lies over the notebooks
    (config / "labconfig" / "page_config.json").write_text(
        json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}})
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SERVICE", "SERVICE_METRICS", "AGENT_METRICS", "GRAPH"):  # of a stand-in that is profiled by hand
            patch.setenv(f"WORKBENCH_{name}_PORT", str(free_port()))
        patch.setenv("JUPYTER_CONFIG_DIR", str(config))
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "data-dir"))
        async with _served(work) as address, headless_chromium() as browser:
            yield JupyterLab(address, work, browser)


@asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[str]:
    """A JupyterLab server over ``folder``; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        f"--ServerApp.root_dir={folder}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            async for line in process.stderr:
                text = line.decode()
                if "http://127.0.0.1:" in text:
                    address = "http://127.0.0.1:" + text.split("http://127.0.0.1:")[1].split("/")[0]
                    break
        draining = asyncio.create_task(process.stderr.read())
        yield address
        draining.cancel()
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:  # its kernels do not end
            process.kill()
            await process.wait()
