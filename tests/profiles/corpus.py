"""What each profile of the corpus holds: ``python -m tests.profiles.corpus`` prints the table ``corpus.tsv``.

The corpus are profiles of public projects and, in ``reported/`` and ``real/`` beside them, small inputs of everyday
tools and the profiles of the real programs.

A line is: file, format or ``refused``, totals of all metrics (or what the refusal says), and the top five functions by
self cost of the default metric. The figures were checked against the oracles the other tests name (callgrind_annotate
and ``totals:`` lines, ms_print and msparser, pprof's own dumps, strace -c) and by reading the files; the test makes
sure that they stay so.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.profiles.samples import SAMPLES
from workbench.errors import ReadError
from workbench.profiles.read import read_profile

TABLE = Path(__file__).with_name("corpus.tsv")
BESIDE = ("reported", "real")
_NO_PROFILES = ("README.md", ".window.json")


def summary(path: Path) -> str:
    """The line of one file, without its name."""
    try:
        profile = read_profile(path)
    except ReadError as error:
        # the list of formats grows, and a file that is none of them stays so
        hint = re.sub(r"^Known are .*?;", "Known are ...;", error.hint or "")
        return f"refused\t{error.what}\t{hint}"
    totals = " ".join(f"{name}={_figure(profile.total(name))}" for name in profile.metric_names)
    table = profile.top(n=5)
    rows = "; ".join(
        f"{_one_line(name)} {_figure(cost)}" for name, cost in zip(table["name"], table["self"], strict=True) if cost
    )
    return f"{profile.format}\t{totals}\t{rows}"


def files(folder: Path) -> list[Path]:
    """All profiles of the corpus, by folder and name."""
    return sorted(path for path in folder.glob("*/*") if path.is_file())


def names(folder: Path) -> dict[str, Path]:
    """The files of the corpus and of the folders beside it, by the names they have in the table."""
    found = {path.relative_to(folder).as_posix(): path for path in files(folder)}
    for beside in BESIDE:
        for path in sorted((folder.parent / beside).glob("*")):
            if not path.name.endswith(_NO_PROFILES):
                found[f"{beside}/{path.name}"] = path
    return found


def _figure(value: float) -> str:
    return f"{value:.15g}"


def _one_line(name: str) -> str:
    return re.sub(r"\s+", " ", name).replace(";", ",")


if __name__ == "__main__":
    if SAMPLES is None:
        sys.exit("the corpus of public profiles is not beside this project")
    for name, file in sorted(names(SAMPLES).items()):
        print(f"{name}\t{summary(file)}")
