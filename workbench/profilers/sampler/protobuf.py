"""A report as pprof's protobuf, in the form of pprof-rs: uncompressed, without mappings, one location per function.

Differences: a function is identified by name, file and line, its line is that of ``def``, and there is a label ``task``
beside ``thread``. Readers recognise this by comments, which pprof-rs never writes.

Source: profile.proto of google/pprof; src/report.rs of tikv/pprof-rs.
"""

from __future__ import annotations

from collections.abc import Iterable

from workbench.profilers.sampler.breathing import breathing
from workbench.profilers.sampler.report import Report

THREAD_BYTES = 15
"""Linux cuts thread names to this length, and so do upstream's files."""

_SECOND_NS = 10**9


def to_protobuf(report: Report) -> bytes:
    """The report as bytes of profile.proto: samples/count and cpu/nanoseconds."""
    strings: dict[str, int] = {"": 0}

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    used = sorted({number for stack in report.stacks for number in stack.functions})
    ids = {number: position for position, number in enumerate(used, start=1)}
    out = bytearray()
    for kind, unit in (("samples", "count"), ("cpu", "nanoseconds")):
        _message(out, 1, _integer(1, text(kind)) + _integer(2, text(unit)))
    thread_key, task_key = text("thread"), text("task")
    for stack in breathing(report.stacks):
        body = _packed(1, [ids[number] for number in stack.functions])
        body += _packed(2, [stack.count, stack.count * _SECOND_NS // report.frequency])
        _message(body, 3, _integer(1, thread_key) + _integer(2, text(thread_label(stack.thread))))
        if stack.task:
            _message(body, 3, _integer(1, task_key) + _integer(2, text(_clean(stack.task))))
        _message(out, 2, body)
    for number in used:
        line = _integer(1, ids[number]) + _integer(2, report.functions[number].line)
        body = _integer(1, ids[number])
        _message(body, 4, line)
        _message(out, 4, body)
    for number in used:
        function = report.functions[number]
        name = text(_clean(function.name))
        body = _integer(1, ids[number]) + _integer(2, name) + _integer(3, name)
        body += _integer(4, text(_clean(function.file))) + _integer(5, function.line)
        _message(out, 5, body)
    period_type = _integer(1, text("cpu")) + _integer(2, text("nanoseconds"))
    # the last string of the file: see `taken_ns`
    comments = [text(_clean(comment)) for comment in (*report.comments, _taken(report.taken_ns))]
    for value in strings:
        _message(out, 6, value.encode())
    out += _integer(9, report.began_ns) + _integer(10, report.duration_ns)
    _message(out, 11, period_type)
    out += _integer(12, _SECOND_NS // report.frequency)
    out += _packed(13, comments)
    return bytes(out)


def taken_ns(data: bytes) -> int | None:
    """When the report in a file of :func:`to_protobuf` was taken, in ns since 1970; None for any other file."""
    _, mark, after = data.rpartition(_TAKEN.encode())
    digits = after.split(b" ", 1)[0]
    return int(digits) if mark and digits.isdigit() and len(digits) < 20 else None


_TAKEN = "report taken at "


def _taken(moment_ns: int) -> str:
    return f"{_TAKEN}{moment_ns} ns since 1970"


def thread_label(name: str) -> str:
    """The name of a thread as written in the files."""
    return _clean(name).encode()[:THREAD_BYTES].decode(errors="ignore")


def _clean(text: str) -> str:
    """Names may contain anything, even lone surrogates; the format needs UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _integer(field: int, value: int) -> bytearray:
    out = bytearray()
    if value:
        _varint(out, field << 3)
        _varint(out, value)
    return out


def _packed(field: int, values: Iterable[int]) -> bytearray:
    body = bytearray()
    for value in values:
        _varint(body, value)
    out = bytearray()
    if body:
        _message(out, field, body)
    return out


def _message(out: bytearray, field: int, body: bytes | bytearray) -> None:
    _varint(out, field << 3 | 2)
    _varint(out, len(body))
    out += body
