"""The requests recorded with the real indexer-service, sent to the stand-in: every answer is alike.

The recording and its two programs lie in ``../shared/conformance``, beside the checkout; without it there is no test.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workbench.standin.child import child

from .conftest import quick

CONFORMANCE = Path(__file__).resolve().parents[3] / "shared" / "conformance"
TOLERANCE_S = 30


@pytest.mark.skipif(not CONFORMANCE.is_dir(), reason="the recordings of the real programs are not beside the checkout")
async def test_every_recorded_answer_is_alike(tmp_path: Path) -> None:
    answered = tmp_path / "answered.jsonl"
    async with child(quick(timestamp_tolerance_s=TOLERANCE_S), tmp_path / "log") as endpoints:
        run("send.py", endpoints.service_url, str(answered), "--tolerance", str(TOLERANCE_S))
    compared = run("compare.py", str(CONFORMANCE / "recorded.jsonl"), str(answered))
    assert compared.splitlines()[-1] == "188 of 188 cases alike"
    assert (tmp_path / "log").read_text() == ""


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-B", str(CONFORMANCE / program), *arguments], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
