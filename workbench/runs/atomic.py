"""Files that are either complete or missing."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RESUME, RunFolderError, of_system
from workbench.masking import masked

if TYPE_CHECKING:
    import pandas as pd


def has_room(folder: Path) -> bool:
    """Whether the file system of ``folder`` still has a free block."""
    return shutil.disk_usage(folder).free > 0


@contextmanager
def replacing(path: Path, hint: str = RESUME) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without error.

    Raises RunFolderError (disk full, no permission) naming the file; no half-written file is left. ``hint``: what to
    do, see :func:`workbench.errors.with_remedy`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise of_system(RunFolderError, "cannot write", error, path, hint) from None
    finally:
        with suppress(OSError):  # missing, or its parent is not a folder
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, hint: str = RESUME, mode: int = 0o666) -> None:
    """``value`` as indented JSON, atomically. NaN and infinity are written as null: JSON has neither.

    ``mode`` is the file's before the umask is applied.
    """
    text = to_json(value)
    with replacing(path, hint) as temporary:
        temporary.touch(mode)
        temporary.write_text(text + "\n", encoding="utf-8")


def to_json(value: Any) -> str:
    """``value`` as indented JSON text, without private keys; NaN and infinity become null."""
    return masked(json.dumps(_finite(value), indent=2, allow_nan=False, default=_plain))


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """A DataFrame as Parquet, atomically."""
    with replacing(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_parquet_parts(path: Path, frames: Iterable[pd.DataFrame], **options: Any) -> int:
    """DataFrames of the same columns as the row groups of one Parquet file, atomically, each written before the next is
    requested. Returns the number of rows. The first frame defines the columns, so at least one is needed.

    ``options`` are those of ``pyarrow.parquet.ParquetWriter``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    with replacing(path) as temporary, ExitStack() as stack:
        writer = None
        for frame in frames:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(temporary, table.schema, **options))
            writer.write_table(table, row_group_size=max(1, len(frame)))
            rows += len(frame)
    return rows


def _plain(value: Any) -> Any:
    """numpy's scalars as Python's."""
    return _finite(value.item())


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
