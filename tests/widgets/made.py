"""Made-up findings and runs for panels to show."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pandas as pd

from workbench.analysis.findings import Finding
from workbench.analysis.findings.model import Size
from workbench.runs.read import Run

EVIL = "<img src=x onerror=document.title='evil'>"


def finding(subject: str, weight: float) -> Finding:
    evidence = pd.DataFrame({"function": [EVIL, "g"], "calls": [2.0, math.nan]})
    return Finding(
        kind="repeated work", service="s", mode="callgrind", subject=subject, sentence=f"{subject} is called. Twice.",
        metric="Ir", size=Size(1234.5, "instructions"), share_pct=12.5, saving_pct=math.nan, certainty="sure",
        confidence=1.0, todo="Call it once", shown="Where", weight=weight, evidence=evidence,
    )  # fmt: skip


def two_runs(run: Run, folder: Path) -> tuple[Path, Path]:
    """Two copies of a finished run in ``folder``, named as run folders are."""
    paths = folder / "20260101T000000Z-one", folder / "20260102T000000Z-two"
    for path in paths:
        shutil.copytree(run.path, path)
    return paths
