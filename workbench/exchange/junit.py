"""Checks as JUnit XML, which continuous integration shows as tests.

The format has no standard. Written is what the schemas in use agree on (Jenkins' xunit plugin, junit-10.xsd): one
``testsuite`` with counts, a ``testcase`` each, ``failure`` and ``skipped`` within it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

FAILED, SKIPPED = frozenset({"fail", "FAIL"}), frozenset({"left out", "skipped"})
# what XML 1.0 cannot hold, escaped or not
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One check: its name, its state (pass, fail, left out) and what is said of it."""

    name: str
    state: str
    text: str


def junit_xml(suite: str, cases: Sequence[Case]) -> str:
    """One suite of these cases, as text."""
    failed = sum(case.state in FAILED for case in cases)
    skipped = sum(case.state in SKIPPED for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    root = ElementTree.Element("testsuites", {"name": "workbench", **counts})
    found = ElementTree.SubElement(root, "testsuite", {"name": _clean(suite), **counts, "time": "0"})
    for case in cases:
        values = {"name": _clean(case.name), "classname": "workbench", "time": "0"}
        made = ElementTree.SubElement(found, "testcase", values)
        if case.state in FAILED:
            failure = ElementTree.SubElement(made, "failure", {"message": _clean(case.text), "type": "regression"})
            failure.text = _clean(case.text)
        elif case.state in SKIPPED:
            ElementTree.SubElement(made, "skipped", {"message": _clean(case.text)})
        else:
            ElementTree.SubElement(made, "system-out").text = _clean(case.text)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
