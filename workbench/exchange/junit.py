"""JUnit's XML: thresholds and gates as test cases, for the pages of CI systems.

There is no single standard. This follows what Jenkins' and the Ant task's schemas have in common: one
``testsuites`` with one ``testsuite``, whose counts agree with its ``testcase`` elements; of each case at most one of
``failure``, ``error`` and ``skipped``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from workbench.runs.atomic import replacing

State = Literal["passed", "failed", "error", "skipped"]
_ELEMENT = {"failed": "failure", "error": "error", "skipped": "skipped"}
# what XML 1.0 cannot hold, not even escaped
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One test case. ``message`` is one line and says why it did not pass; ``details`` are more lines, shown with it
    (of a passed case as its output). ``seconds``: how long it took."""

    name: str
    state: State = "passed"
    message: str = ""
    details: str = ""
    seconds: float = 0.0
    group: str = ""


def junit_xml(suite: str, cases: Sequence[Case]) -> str:
    """The XML of one suite of ``cases``. ``error``: could not be judged; ``failed``: was judged and did not
    hold; ``group`` of a case becomes its class name, by which CI systems group (empty: the suite's name)."""
    counts = {
        "tests": len(cases),
        "failures": sum(case.state == "failed" for case in cases),
        "errors": sum(case.state == "error" for case in cases),
        "skipped": sum(case.state == "skipped" for case in cases),
    }
    numbers = {name: str(count) for name, count in counts.items()}
    time = {"time": f"{sum(case.seconds for case in cases):.3f}"}
    whole = {name: value for name, value in numbers.items() if name != "skipped"}
    root = ElementTree.Element("testsuites", {"name": _text(suite), **whole, **time})
    inner = ElementTree.SubElement(root, "testsuite", {"name": _text(suite), **numbers, **time})
    for case in cases:
        inner.append(_case(case, suite))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def write_junit(path: Path, suite: str, cases: Sequence[Case]) -> None:
    """Write :func:`junit_xml` to a file, completely or not at all. Raises RunFolderError if that fails."""
    text = junit_xml(suite, cases)
    with replacing(path, "Give another file with --junit") as temporary:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")


def _case(case: Case, suite: str) -> ElementTree.Element:
    element = ElementTree.Element(
        "testcase",
        {"name": _text(case.name), "classname": _text(case.group or suite), "time": f"{case.seconds:.3f}"},
    )
    if case.state == "passed":
        if case.details:
            ElementTree.SubElement(element, "system-out").text = _text(case.details)
        return element
    said = ElementTree.SubElement(element, _ELEMENT[case.state], {"message": _text(case.message)})
    if case.state != "skipped":
        said.set("type", "threshold" if case.state == "failed" else "unmeasured")
    said.text = _text(case.details or case.message)
    return element


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
