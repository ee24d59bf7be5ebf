"""papermill's engine with fewer and cheaper saves of the notebook.

papermill saves at the start and at the end of each cell, also of text cells: a sweep's 48 cells write a growing file 98
times. Here it is saved when a code cell has ended, and every 30 seconds within a long one. For each save papermill
copies, checks and indents the whole notebook; here that is done once, for the finished one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

ENGINE = "workbench"


class SparingManager(NotebookExecutionManager):  # type: ignore[misc]  # papermill has no types
    """Saves the notebook only where it holds something new."""

    nb: Any
    _holds_back = False

    def save(self, **options: Any) -> None:
        """Save if there is something new. ``options``: ``nb``, the notebook if it is another one now."""
        if self._holds_back:
            return
        self.nb = options.get("nb") or self.nb
        if self.output_path:
            Path(self.output_path).write_text(json.dumps(self.nb), encoding="utf-8")
        self.last_save_time = self.now()

    def cell_start(self, cell: Any, cell_index: int | None = None, **options: Any) -> None:
        """Notes the start, for the save at the cell's end."""
        self._held_back(True, super().cell_start, cell, cell_index, options)

    def cell_complete(self, cell: Any, cell_index: int | None = None, **options: Any) -> None:
        """Notes the end, and saves after a code cell."""
        self._held_back(cell.cell_type != "code", super().cell_complete, cell, cell_index, options)

    def _held_back(self, held: bool, note: Any, cell: Any, cell_index: int | None, options: dict[str, Any]) -> None:
        self._holds_back = held
        try:
            note(cell, cell_index, **options)
        finally:
            self._holds_back = False


class SparingEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's usual engine with this manager."""

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **options: Any,
    ) -> Any:
        """As papermill's own method, which offers no choice of the manager."""
        manager = SparingManager(
            nb,
            output_path=output_path,
            progress_bar=progress_bar,
            log_output=log_output,
            autosave_cell_every=autosave_cell_every,
        )
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, log_output=log_output, **options)
        finally:
            manager.cleanup_pbar()
            manager.notebook_complete()
        return manager.nb


def register() -> str:
    """Register the engine with papermill; returns the name to request it by."""
    papermill_engines.register(ENGINE, SparingEngine)
    return ENGINE
