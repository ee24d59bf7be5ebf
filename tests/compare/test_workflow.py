"""The workflow in docs/: its steps that need neither sources nor GitHub, run one after the other by a shell, with the
stand-in in place of the builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

pytestmark = pytest.mark.slow

WORKFLOW = Path(__file__).parents[2] / "docs" / "gate-workflow.yml"
ELSEWHERE = {"install", "build", "comment"}
# what is measured here: system calls, which take the stand-in seconds
SWEEP = "--profiler strace --receipts 20,20,20 --concurrency 2 --idle-s 0 --no-pinpoint"


def steps() -> dict[str, dict]:  # type: ignore[type-arg]
    made = yaml.safe_load(WORKFLOW.read_text())
    return {step["id"]: step for step in made["jobs"]["compare"]["steps"] if "id" in step}


def test_the_sweep_of_the_workflow_is_one_the_command_takes() -> None:
    from workbench.cli.commands import COMMANDS
    from workbench.cli.program import parser_of
    from workbench.sweep.steps import parse_steps

    words = yaml.safe_load(WORKFLOW.read_text())["env"]["SWEEP"].split()
    options = parser_of(COMMANDS["sweep"]).parse_args([*words, "--name", "base"])
    assert len(parse_steps(options.receipts)) == 3
    assert options.profiler == "callgrind"


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_every_step_that_can_run_here_runs(tmp_path: Path) -> None:
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    here = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SWEEP": SWEEP,
        "MAX_REGRESSION": "3%",
        "GITHUB_OUTPUT": str(outputs),
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    found = steps()
    assert set(found) == {"base", "head", "check", "page", *ELSEWHERE}

    def run(name: str, script: str, **variables: str) -> None:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={**here, **variables},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"

    run("head", found["head"]["run"])
    given = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    # the two sweeps are one line; the base is here the same run
    swept, *others = found["base"]["run"].strip().splitlines()
    assert swept == found["head"]["run"].splitlines()[0].replace("head", "base")
    run("base", "\n".join([f"report={given['run']}/report.html", *others]))
    run("check", found["check"]["run"], RUN=given["run"])
    run("page", found["page"]["run"], RUN=given["run"])
    suite = ElementTree.fromstring((tmp_path / "cost.xml").read_text())
    assert int(suite.attrib["tests"]) > 0
    assert (tmp_path / "cost.md").read_text() in summary.read_text()
    assert "What a receipt costs" in summary.read_text()
    assert "Content-Security-Policy" in (tmp_path / "cost.html").read_text()
