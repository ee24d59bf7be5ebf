"""The two files of a report, with upstream's names: both complete, or neither."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from workbench.profilers.sampler.flamegraph import to_flamegraph
from workbench.profilers.sampler.protobuf import to_protobuf
from workbench.profilers.sampler.report import Report

_NAME = re.compile(r"(?:profile|flamegraph)-(\d{4}-\d\d-\d\d-\d\d_\d\d_\d\d-\d+)\.(?:pb|svg)")
_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one report."""

    svg: Path
    pb: Path


class ReportFiles:
    """Writes the reports of one process, numbered from 0."""

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self._title = title
        self._number = 0

    def write(self, report: Report) -> Snapshot:
        """Write a report. The protobuf is written last, so that when it exists both do. Raises OSError; then neither
        file exists, and the next report gets the same number."""
        self.folder.mkdir(parents=True, exist_ok=True)
        snapshot = self._free_names(report.taken_ns)
        svg, pb = to_flamegraph(report, self._title).encode(), to_protobuf(report)
        _write_whole(snapshot.svg, svg)
        try:
            _write_whole(snapshot.pb, pb)
        except OSError:
            snapshot.svg.unlink(missing_ok=True)
            raise
        self._number += 1
        return snapshot

    def _free_names(self, taken_ns: int) -> Snapshot:
        stamp = time.strftime("%Y-%m-%d-%H_%M_%S", time.gmtime(taken_ns // _SECOND_NS))
        while True:
            snapshot = snapshot_of(self.folder, f"{stamp}-{self._number}")
            if not (snapshot.svg.exists() or snapshot.pb.exists()):
                return snapshot
            self._number += 1  # another process started in this folder within the same second


def snapshot_of(folder: Path, key: str) -> Snapshot:
    """The file names of a report from time and number."""
    return Snapshot(folder / f"flamegraph-{key}.svg", folder / f"profile-{key}.pb")


def key_of(name: str) -> str | None:
    """Time and number in the name of a report's file; None for other files."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def _write_whole(path: Path, data: bytes) -> None:
    """Readers see a complete file or none. It is not flushed to disk: a power cut would end the service too."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
