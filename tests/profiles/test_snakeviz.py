"""SnakeViz's page without its server: drawn offline, in a report, on loopback; names cannot break out of it."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.async_api import Frame, Page

from tests.report.browser import headless_chromium
from workbench.errors import ToolError, WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile
from workbench.report.export import export_html
from workbench.report.quick_nbformat import nbformat
from workbench.report.snakeviz import serve_snakeviz, snakeviz_frame, snakeviz_page

EVIL = "</script><script>document.title=1</script>"
STACKS = f"main;serve;check 50\nmain;serve;<img src=x onerror=document.title='broken'> 20\nother;{EVIL} 70\n"


@pytest.fixture(scope="module")
def profile() -> Profile:
    return read_profile(STACKS.encode(), format="folded")


@dataclass
class Opened:
    """A page in the browser and what it did."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@asynccontextmanager
async def opened(address: str, *, offline: bool = True) -> AsyncIterator[Opened]:
    async with headless_chromium() as browser:
        context = await browser.new_context(offline=offline)
        seen = Opened(await context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on(
            "console", lambda message: seen.complaints.append(message.text) if message.type == "error" else None
        )
        seen.page.on("dialog", lambda dialog: seen.complaints.append("a dialog"))
        await seen.page.goto(address)
        yield seen


async def drawn(frame: Frame | Page) -> list[str]:
    """The labels of what is drawn, once it is."""
    await frame.locator("#chart rect").first.wait_for(state="attached", timeout=60_000)
    labels = await frame.locator("#chart text").all_text_contents()
    return [label for label in labels if label]


@pytest.mark.browser
async def test_the_page_is_drawn_offline_from_a_file(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(snakeviz_page(profile), encoding="utf-8")
    async with opened(path.as_uri()) as seen:
        labels = await drawn(seen.page)
        assert await seen.page.locator("#pstats-table tbody tr").count() == len(profile.functions) + 1
        assert await seen.page.title() == "<bytes> (samples)"
        assert seen.requests == [path.as_uri()]
        assert seen.complaints == []
        # a click draws again from there, the list of callers is lodash's template
        await seen.page.locator("#pstats-table tbody tr", has_text="serve").first.click()
        await seen.page.locator("#sv-call-stack-btn").click()
        assert "serve" in await seen.page.locator("#sv-call-stack-list").inner_text()
        await seen.page.locator("#sv-style-select").select_option("sunburst")
        await seen.page.locator("#chart path").first.wait_for(state="attached")
        await seen.page.locator("#chart path").first.hover(force=True)
        assert "Cumulative Time" in await seen.page.locator("#sv-info-div").inner_text()
        assert await seen.page.locator("img[src=x]").count() == 0
        assert seen.complaints == []
    assert any("<all: samples, 1 s stands for 1 count>" in label for label in labels)
    assert any(EVIL in label for label in labels)


@pytest.mark.browser
async def test_the_frame_is_drawn_in_a_report_under_its_policy(profile: Profile, tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("snakeviz_frame(profile)")
    cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": snakeviz_frame(profile)._repr_html_()})]
    notebook, page = tmp_path / "n.ipynb", tmp_path / "n.html"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), notebook)
    export_html(notebook, page, title="Report")
    async with opened(page.as_uri()) as seen:
        inner = seen.page.frames[1]
        labels = await drawn(inner)
        assert await seen.page.title() == "Report"
        assert await inner.evaluate(
            "() => { try { return window.parent.document.title } catch (e) { return e.name } }"
        ) == ("SecurityError")
        assert seen.requests == [page.as_uri()]
        assert seen.complaints == []
    assert any("check" in label for label in labels)


@pytest.mark.browser
async def test_a_frame_that_has_no_size_yet_is_drawn_when_it_gets_one(profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "hidden.html"
    inside = escape(snakeviz_page(profile))
    path.write_text(
        f'<body><iframe sandbox="allow-scripts" style="width:0;height:0;border:0" srcdoc="{inside}"></iframe></body>',
        encoding="utf-8",
    )
    async with opened(path.as_uri()) as seen:
        frame = seen.page.frames[1]
        await frame.wait_for_function("document.readyState === 'complete' && window.innerWidth === 0")
        await frame.evaluate("new Promise((done) => _.defer(() => _.defer(done)))")  # after the time it draws in
        await seen.page.locator("iframe").evaluate("(e) => { e.style.width = '900px'; e.style.height = '600px'; }")
        assert await drawn(frame)
        assert seen.complaints == []


@pytest.mark.browser
async def test_it_is_served_on_loopback_only_and_nothing_else_is(profile: Profile) -> None:
    with serve_snakeviz(profile) as address:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{16,}/", address)
        async with opened(address, offline=False) as seen:
            assert await drawn(seen.page)
            assert [url for url in seen.requests if not url.startswith("data:")] == [address]
        root = address.rsplit("/", 2)[0]
        for path in ("/", "/snakeviz/%2Fetc", "/static/snakeviz.js", "/../../etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(root + path, timeout=10)
        with pytest.raises(urllib.error.HTTPError, match="404"):  # a site's own name that leads here
            urllib.request.urlopen(urllib.request.Request(address, headers={"Host": "site.example"}), timeout=10)
        port = int(root.rsplit(":", 1)[1])
        with pytest.raises(ToolError, match="cannot listen"), serve_snakeviz(profile, port=port):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_the_page_loads_and_links_to_nothing(profile: Profile) -> None:
    page = BeautifulSoup(snakeviz_page(profile), "html.parser")
    assert [element for element in page.find_all(True) if element.has_attr("src") or element.has_attr("href")] == []
    policy = page.head.find("meta")["content"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    scripts = page.find_all("script")
    assert len(scripts) == policy.count("sha256-")
    assert not any(EVIL in script.get_text() for script in scripts)


def test_the_same_profile_gives_the_same_page(profile: Profile) -> None:
    assert snakeviz_page(profile) == snakeviz_page(profile)


def test_a_metric_can_be_chosen_and_must_be_there() -> None:
    two = read_profile(b"a;b 1 2\nc 3 4\n", format="folded")
    assert "before, 1 s stands" in snakeviz_page(two, "before")
    with pytest.raises(WorkbenchError, match="there is no metric"):
        snakeviz_page(two, "other")


def test_of_many_functions_the_heaviest_are_shown_and_the_rest_is_counted() -> None:
    """SnakeViz writes every function into its page, whether it is drawn or not."""
    many = read_profile("".join(f"main;f{number} {number + 1}\n" for number in range(40)).encode(), format="folded")
    page = snakeviz_page(many, most=10)
    assert "f39" in page
    assert "f1(" not in page.replace("f1)", "f1(")
    assert "31 of 41 functions" in snakeviz_frame(many, most=10).as_text
    assert "functions" not in snakeviz_frame(many).as_text
