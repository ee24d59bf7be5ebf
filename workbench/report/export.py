"""An executed notebook as one self-contained HTML file, which cannot load anything from outside.

nbconvert's own templates load require.js, MathJax and more from the network and leave out plotly's charts
(see nbconvert issue 754, plotly.py issue 5158). The template here has no address in it, contains plotly.js
once, compressed, and forbids every outside load by a content security policy that the browser enforces.
"""

from __future__ import annotations

import base64
import copy
import gzip
import html as html_text
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bs4 import BeautifulSoup

from workbench.errors import ToolError
from workbench.markup import commands
from workbench.report.arrange import Arranged, arranged, changed
from workbench.report.figures import PLOTLY_MIME, figure_html
from workbench.report.notebooks import read_notebook, tags
from workbench.report.quick_nbformat import nbformat
from workbench.runs.atomic import replacing
from workbench.scripts import joined_script

# Interactive-only cells need a kernel; the banner says what papermill's error notes say.
MADE = "How this was made"
DROPPED_TAGS = {"interactive-only", "papermill-error-cell-tag"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src data: blob:",
        "style-src 'unsafe-inline'",
        "script-src 'unsafe-inline'",
        "font-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
_TEMPLATES = Path(__file__).parent
_LOADING = frozenset(
    ("action", "background", "cite", "data", "formaction", "href", "ping", "poster", "src", "srcset", "xlink:href")
)
_OF_A_RUN = re.compile(r"\w[\w.-]*/(?:report\.html|notebook\.ipynb)")
_INSIDE = re.compile(r"\s*(?:data:|blob:|#|$)", re.IGNORECASE)
_STYLE_LOAD = re.compile(r"""(?:url\(\s*|@import\s+)["']?(?!data:|#)([^"')\s;]+)""", re.IGNORECASE)
_SCRIPT_ADDRESS = re.compile(r"""(?:https?|wss?)://(?!www\.w3\.org/)[^\s"'`)]+""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Heading:
    """An entry of the contents list."""

    text: str
    anchor: str


def export_html(notebook: Path, html: Path, *, title: str) -> None:
    """Write ``notebook`` as one self-contained page, atomically.

    Code is folded away, charts are interactive, ``title`` names the page. Outside addresses in the
    outputs of cells are removed. Raises SettingsError when the notebook cannot be read, RunFolderError when the
    page cannot be written, ToolError when an outside address would be left in it.
    """
    page = render(read_notebook(notebook), title=title)
    left = external_addresses(page)
    if left:
        raise ToolError(f"the page would load {left[0]} from outside", where=str(notebook))
    with replacing(html) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(notebook: nbformat.NotebookNode, *, title: str) -> str:
    """The page of a notebook, as text."""
    from nbconvert import HTMLExporter, TemplateExporter
    from traitlets.config import Config

    page = arranged([cell for cell in notebook.cells if not DROPPED_TAGS.intersection(tags(cell))])
    shown, charts = with_figures(_in_order(notebook, page))
    shown.metadata.pop("widgets", None)  # nothing here draws them
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="template",
        extra_template_basedirs=[str(_TEMPLATES)],
        embed_images=True,
        config=Config(
            {
                "NbConvertBase": {"display_data_priority": ["text/html", "image/png", "text/plain"]},
                "CoalesceStreamsPreprocessor": {"enabled": True},
            }
        ),
    )
    resources = {
        "contents": contents(page),
        "left_out": [(what, commands(why)) for what, why in page.left_out],
        "made": bool(page.made),
        "says_how": page.says_how,
        "head_code": page.head_code,
        "title": html_text.escape(title),
        "style": (_TEMPLATES / "template" / "report.css").read_text(encoding="utf-8"),
        "policy": POLICY,
        "record": notebook.metadata.get("workbench", {}),
        "plotly": _packed_plotly() if charts else "",
        "script": joined_script("report/charts"),
    }
    # not HTMLExporter's own method, which parses the page once more for the sake of its own templates
    html, _ = TemplateExporter.from_notebook_node(exporter, shown, resources)
    return without_external(html)


def _in_order(notebook: nbformat.NotebookNode, page: Arranged) -> nbformat.NotebookNode:
    """A copy of the notebook with the cells of its report. ``place`` in the metadata of a cell says what it opens and
    closes: a section, the head, or how it was made."""
    cells: list[nbformat.NotebookNode] = []

    def add(these: Sequence[nbformat.NotebookNode], kind: str, code: str = "") -> None:
        for at, cell in enumerate(these):
            place = {"kind": kind, "opens": not at, "closes": at == len(these) - 1, "code": code}
            cells.append(changed(cell, metadata={**cell.metadata, "place": place}))

    add(page.head, "head")
    for section in page.sections:
        add(section.cells, "section", section.code)
    add(page.made, "made")
    return changed(notebook, cells=cells)


def with_figures(notebook: nbformat.NotebookNode) -> tuple[nbformat.NotebookNode, int]:
    """A copy in which every plotly output is HTML, and how many charts it has."""
    shown = copy.deepcopy(notebook)
    charts = 0
    for cell in shown.cells:
        for output in cell.get("outputs", []):
            spec = output.get("data", {}).get(PLOTLY_MIME)
            if spec is not None:
                charts += 1
                output.data = {"text/html": figure_html(spec, f"chart-{charts}")}
    return shown, charts


def contents(page: Arranged) -> list[Heading]:
    """The headings of the sections; nbconvert anchors each at its text with hyphens for blanks."""
    texts = [text for section in page.sections for text in section.headings]
    return [
        Heading(html_text.escape(text), html_text.escape(text.replace(" ", "-")))
        for text in [*texts, *([MADE] if page.says_how else [])]
    ]


def external_addresses(html: str) -> list[str]:
    """Every address outside the page that it would load or link to: attributes, styles, and text of scripts.

    Addresses in plain text and in data (JSON, CSV) are not included: a browser does not follow them.
    """
    soup = BeautifulSoup(html, "html.parser")
    found = []
    for element in soup.find_all(True):
        for name, value in element.attrs.items():
            if _leads_outside(element.name, name, value):
                found.append(str(value))
            elif name == "style":
                found += _STYLE_LOAD.findall(str(value))
        if element.name == "style":
            found += _STYLE_LOAD.findall(element.get_text())
        elif element.name == "script" and element.get("type", "") in ("", "module", "text/javascript"):
            found += _SCRIPT_ADDRESS.findall(element.get_text())
        elif element.name == "meta" and str(element.get("http-equiv", "")).lower() == "refresh":
            found.append(str(element.get("content", "")))
    return found


def without_external(html: str) -> str:
    """The page with links outside turned into their text, and whatever else would be loaded from outside
    removed. A picture without a description gets one that says so.
    """
    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all(True):
        outside = any(_leads_outside(element.name, name, value) for name, value in element.attrs.items())
        if outside and element.name == "a":
            element.unwrap()
        elif outside:
            element.decompose()
        elif element.name == "img" and "alt" not in element.attrs:
            element["alt"] = "No description has been provided for this image"
    return str(soup)


def _leads_outside(element: str, attribute: str, value: object) -> bool:
    """Whether an attribute makes a browser load or follow something outside of the page, such as a file beside it. A
    link from a batch's page to a report or notebook of its runs, in folders below, does not count: a user clicks it."""
    if element == "a" and attribute == "href" and _OF_A_RUN.fullmatch(str(value)):
        return False
    return attribute in _LOADING and not _INSIDE.match(str(value))


def _packed_plotly() -> str:
    """plotly.js as gzip in base64: 2 MB instead of 5. No time stamp: equal input gives equal pages.

    Level 5 takes half the time of 9; the result is 1 % larger.
    """
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 5, mtime=0)).decode()
