"""How the run of a notebook ended, by our own check.

papermill's metadata in the saved notebook says "completed" for cells that never ran when the kernel dies, a
time limit strikes or a cell calls ``sys.exit(0)``. So the verdict is made here, from the exception and from
the cells themselves.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import nbformat

Status = Literal["ok", "failed", "timeout", "dead_kernel", "killed"]


@dataclass(frozen=True, slots=True)
class NotebookRecord:
    """One notebook run.

    ``status``: ok; failed (a cell raised or did not run); timeout (``timeout_s`` passed); dead_kernel (the
    kernel process ended by itself); killed (the process that ran the notebook was ended from outside).
    ``exception`` and ``message`` are the type and first line of what stopped it. ``started`` and ``ended``
    are ISO 8601 in UTC. ``cells_executed`` counts the code cells that ran to their end, of ``cells``.
    """

    status: Status
    exception: str | None
    message: str | None
    started: str
    ended: str
    cells_executed: int
    cells: int
    notebook: str
    html: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every cell ran to its end."""
        return self.status == "ok"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, for a manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ended, before its cells are checked."""

    status: Status
    exception: str | None = None
    message: str | None = None


def judge(notebook: nbformat.NotebookNode, ending: Ending) -> Ending:
    """``ending``, unless it is ok and a cell shows otherwise: it has an error, or no execution number."""
    if ending.status != "ok":
        return ending
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                return Ending("failed", output.ename, first_line(output.evalue))
        if cell.execution_count is None:
            return Ending("failed", "CellNotRun", f"a cell was never run: {first_line(cell.source)}")
    return ending


def count_executed(notebook: nbformat.NotebookNode, answered: int) -> int:
    """Code cells that ran to their end without an error, of those the kernel ``answered``.

    The execution numbers in the notebook do not show this: a cell gets its number when it begins, and not
    always if the kernel dies.
    """
    return sum(
        all(output.output_type != "error" for output in cell.outputs) for cell in code_cells(notebook)[:answered]
    )


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that hold code; an empty one is never run and so is left out."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def first_line(text: str) -> str:
    """The first line that is not empty."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
