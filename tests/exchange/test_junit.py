"""JUnit's XML: read by a library that others use, and held to what the known schemas have in common."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped

from workbench.errors import RunFolderError
from workbench.exchange.junit import Case, junit_xml, write_junit

CASES = (
    Case("response_p95_ms > 50", details="41.2 (38 to 44) ms in step 1"),
    Case("refused_share > 0.1 %", "failed", "0.4 % in step 2", "step 2: 0.4 %", 1.5, "run"),
    Case("instructions_per_receipt > 7e6", "error", "not measured: use --profiler callgrind"),
    Case("lag_p99_ms > 1", "skipped", "no step is a valid measurement"),
)

# attributes and children of each element, required ones with "!", as Jenkins' and Ant's schemas both allow
_RULES: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors"}, {"skipped", "time"}, {"testcase"}),
    "testcase": ({"name", "classname"}, {"time"}, {"failure", "error", "skipped", "system-out"}),
    "failure": (set(), {"message", "type"}, set()),
    "error": (set(), {"message", "type"}, set()),
    "skipped": (set(), {"message"}, set()),
    "system-out": (set(), set(), set()),
}


def against_the_rules(text: str) -> list[str]:
    """What in the XML is against the schemas; counts that do not agree too."""
    root = ElementTree.fromstring(text.encode("utf-8"))
    problems = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        required, allowed, children = _RULES[element.tag]
        problems += [f"{element.tag} lacks {name}" for name in required - set(element.attrib)]
        problems += [f"{element.tag} has {name}" for name in set(element.attrib) - required - allowed]
        problems += [f"{element.tag} holds {child.tag}" for child in element if child.tag not in children]
        numbers = set(element.attrib) & {"tests", "failures", "errors", "skipped"}
        problems += [f"{name} is {element.get(name)}" for name in numbers if not str(element.get(name)).isdecimal()]
    for suite in root.iter("testsuite"):
        found = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
        problems += [
            f"{name} differ" for name, tag in found.items() if len([*suite.iter(tag)]) != int(suite.get(name, -1))
        ]
    for case in root.iter("testcase"):
        problems += ["several results"] if len([child for child in case if child.tag != "system-out"]) > 1 else []
    return problems


def test_the_rules_see_what_is_wrong() -> None:
    wrong = '<testsuites><testsuite name="a" tests="2" failures="0"><testcase name="b"><oops/></testcase></testsuite>'
    with pytest.raises(KeyError, match="oops"):
        against_the_rules(f"{wrong}</testsuites>")
    found = against_the_rules(f"{wrong}</testsuites>".replace("<oops/>", "<failure/><error/>"))
    assert {"testcase lacks classname", "testsuite lacks errors", "tests differ", "several results"} <= set(found)


def test_a_library_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, "thresholds of run 1", CASES)
    read = JUnitXml.fromfile(str(path))
    (suite,) = list(read)
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("thresholds of run 1", 4, 1, 1, 1)
    passed, failed, error, skipped = list(suite)
    assert (passed.name, passed.is_passed, passed.system_out) == (CASES[0].name, True, CASES[0].details)
    assert isinstance(failed.result[0], Failure)
    assert (failed.classname, failed.time, failed.result[0].message) == ("run", 1.5, "0.4 % in step 2")
    assert isinstance(error.result[0], Error)
    assert error.result[0].text == "not measured: use --profiler callgrind"
    assert isinstance(skipped.result[0], Skipped)
    assert against_the_rules(path.read_text()) == []


TEXT = st.text(st.characters(codec="utf-8"))


@given(TEXT, st.lists(st.builds(Case, TEXT, st.sampled_from(["passed", "failed", "error", "skipped"]), TEXT, TEXT)))
def test_any_text_makes_good_xml(suite: str, cases: list[Case]) -> None:
    text = junit_xml(suite, cases)
    assert against_the_rules(text) == []
    (read,) = list(JUnitXml.fromstring(text.encode("utf-8")))
    assert read.tests == len(cases)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"):
        write_junit(tmp_path / "file" / "junit.xml", "thresholds", CASES)
