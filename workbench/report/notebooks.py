"""Notebook files: read with errors that name them, written completely or not at all."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import SettingsError
from workbench.report.quick_nbformat import nbformat
from workbench.runs.atomic import replacing

_NO_NOTEBOOK = (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError, AttributeError, KeyError)


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """The notebook at ``path`` in format 4. Raises SettingsError when it cannot be read or is no notebook."""
    try:
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise SettingsError(f"cannot read the notebook: {error.strerror}", where=str(path)) from None
    except _NO_NOTEBOOK as error:
        first_line = str(error).partition("\n")[0]
        raise SettingsError(f"this is not a notebook: {first_line}", where=str(path)) from None
    return notebook


def write_notebook(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write atomically. Raises RunFolderError when the file cannot be written."""
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)  # type: ignore[no-untyped-call]


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))
