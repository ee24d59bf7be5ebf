"""docs/standin.md names the test of each row of its contract."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "standin.md"


def test_docs_name_tests_that_exist() -> None:
    named = set(re.findall(r"`(test_\w+\.py::[^`]+)`", DOCS.read_text(encoding="utf-8")))
    listing = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        cwd=DOCS.parents[1],
    ).stdout
    existing = {
        line.rsplit("/", 1)[-1] if "[" not in line else line[line.index("test_") :] for line in listing.split("\n")
    }
    whole = existing | {test.split("[")[0] for test in existing}
    assert len(named) > 40
    assert named - whole == set()
