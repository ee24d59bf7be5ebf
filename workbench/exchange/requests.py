"""Requests signed ahead for another load tool: the service is found and checked as for a load of ours."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TextIO

from workbench.errors import NAME_ANOTHER_OUTPUT, SettingsError
from workbench.exchange import k6, vegeta
from workbench.exchange.post import Post
from workbench.exchange.sending import CHUNK, Sending
from workbench.load.pace import Freshness
from workbench.load.plan import NS_PER_S
from workbench.load.samples import nonces
from workbench.load.spec import query_body
from workbench.receipts.payer import Payer
from workbench.receipts.template import ReceiptSigner
from workbench.runs.atomic import replacing
from workbench.service.budget import budget
from workbench.service.connect import Target, connect, receipt_template
from workbench.service.preflight import preflight
from workbench.settings import Settings
from workbench.sweep.payers import payer_of
from workbench.sweep.single import DEFAULT_CONCURRENCY
from workbench.sweep.steps import Step

Format = Literal["vegeta", "k6", "headers"]
Say = Callable[[str], None]
LEAD_S = 5.0
"""From the last signature in a file until the first request is due, unless the user gives a time."""
_TRIAL = 200
_MARGIN = 1.5
"""How much longer than in the trial a signature may take."""


@dataclass(frozen=True)
class Paid:
    """What is to be sent, and who pays: a service that answered, a payer that can pay, and all except the receipts."""

    target: Target
    payer: Payer
    post: Post
    budget_receipts: int | None

    @property
    def signer(self) -> ReceiptSigner:
        """Signs the receipts. It holds the key; the receipts do not."""
        return receipt_template(self.target, self.payer).signer(self.payer.key)


async def find(settings: Settings) -> Paid:
    """Find service, allocation and payer as a load does, with the same preflight.

    Raises SettingsError if no service is named or arrivals are a ramp, TargetError if it does not answer or would
    refuse.
    """
    if settings.target is None:
        raise SettingsError(
            "no service was given: the embedded stand-in stops before the requests could be sent",
            where="target",
            hint="Give --target; `workbench standin` starts one at http://127.0.0.1:7601",
        )
    if settings.ramp is not None:
        raise SettingsError(
            f"other tools take one constant rate, but arrivals are {settings.arrivals}",
            where="arrivals",
            hint="Give --rate alone",
        )
    target = await connect(settings)
    found = await preflight(target, target.payers)
    found.require(target.url)
    target = replace(target, payers=found.usable, probed=found.probed)
    payer = await payer_of(target, settings, (), Step(0, settings.num_receipts), toward_limit=False)
    fees = await target.fees(payer.address)
    left = None if fees is None else budget(fees, settings.value_wei)
    return Paid(
        target, payer, Post(target.paid_url, query_body(settings.query)), None if left is None else left.receipts
    )


def write(paid: Paid, to: Format, output: Path | None, start_in_s: float | None, say: Say) -> None:
    """Sign the receipts that ``paid.target.settings`` ask for and write their requests, into ``output`` or to standard
    output. ``say`` gets lines: until when they are good, and how to send them.

    A file gets all at once, for a start ``start_in_s`` from now (None: LEAD_S after the last signature). A pipe gets
    each shortly before it is due, the first ``start_in_s`` from now (None: at once), so that they are fresh however
    long the load takes; if nobody reads a FIFO yet, this waits.
    """
    settings = paid.target.settings
    if to == "k6":
        _write_k6(paid, output, start_in_s, say)
    elif _is_pipe(output):
        with nullcontext(sys.stdout) if output is None else output.open("w", encoding="utf-8") as pipe:
            planned = _sending(settings, time.time_ns() + int((start_in_s or 0.0) * NS_PER_S))
            _tell(paid, planned, say, say_until=False)
            pipe.writelines(_lines(paid, to, _in_time(paid, planned, pipe)))
    else:
        planned = _sending(settings, _file_start_ns(paid, start_in_s))
        with _whole(output) as file:
            file.writelines(_lines(paid, to, _ahead(paid, planned)))
        _tell(paid, planned, say)
        if to == "vegeta" and output is not None:
            concurrency = settings.concurrency or DEFAULT_CONCURRENCY
            say(f"Send them:  {vegeta.command(str(output), planned.count, planned.rate_per_s, concurrency)}")


def _write_k6(paid: Paid, output: Path | None, start_in_s: float | None, say: Say) -> None:
    """The script at ``output`` and its receipts beside it."""
    if output is None:
        raise SettingsError("a k6 script has its receipts in a file beside it", where="-o", hint="Give -o load.js")
    settings = paid.target.settings
    data = output.with_name(f"{output.stem}.receipts")
    planned = _sending(settings, _file_start_ns(paid, start_in_s))
    with _whole(data) as file:
        file.writelines(_lines(paid, "headers", _ahead(paid, planned)))
    script = k6.script(
        paid.post,
        planned,
        data=data.name,
        concurrency=settings.concurrency or DEFAULT_CONCURRENCY,
        max_in_flight=settings.max_in_flight,
        timeout_s=settings.timeout_s,
    )
    with _whole(output) as file:
        file.write(script)
    _tell(paid, planned, say)
    say(f"Send them:  {k6.command(str(output))}")


def _lines(paid: Paid, to: Format, receipts: Iterable[str]) -> Iterable[str]:
    return vegeta.targets(paid.post, receipts) if to == "vegeta" else (f"{receipt}\n" for receipt in receipts)


def _sending(settings: Settings, start_ns: int) -> Sending:
    return Sending(settings.num_receipts, settings.rate, start_ns, settings.timestamp_window_s)


def _ahead(paid: Paid, planned: Sending) -> Iterator[str]:
    """The receipts, each stamped with the moment it is due."""
    header, value_wei = paid.signer.header, paid.target.settings.value_wei
    for due_ns, nonce in zip(planned.due_ns(), _nonces(paid, planned.count), strict=True):
        yield header(due_ns, nonce, value_wei)


def _in_time(paid: Paid, planned: Sending, pipe: TextIO) -> Iterator[str]:
    """The receipts, each signed shortly before it is due and never stamped earlier than now. Without a rate, each is
    signed when the pipe has room: its reader sets the pace, and it holds a few dozen."""
    header, value_wei = paid.signer.header, paid.target.settings.value_wei
    ahead_ns = Freshness.within(planned.window_s).ahead_ns
    for due_ns, nonce in zip(planned.due_ns(), _nonces(paid, planned.count), strict=True):
        now_ns = time.time_ns()
        if due_ns - ahead_ns > now_ns:
            pipe.flush()
            time.sleep((due_ns - ahead_ns - now_ns) / NS_PER_S)
        yield header(max(due_ns, time.time_ns()), nonce, value_wei)


def _nonces(paid: Paid, count: int) -> Iterator[int]:
    """The nonces of a load of ours with the same seed, some at a time: a list of all would be large."""
    numbers = nonces(paid.target.settings.seed, 0, count)
    for first in range(0, count, CHUNK):
        yield from numbers[first : first + CHUNK].tolist()


def _file_start_ns(paid: Paid, start_in_s: float | None) -> int:
    """When the first of the requests in a file is due."""
    if start_in_s is None:
        header, value_wei = paid.signer.header, paid.target.settings.value_wei
        began = time.perf_counter()
        for nonce in range(_TRIAL):
            header(0, nonce, value_wei)
        each_s = (time.perf_counter() - began) / _TRIAL
        start_in_s = LEAD_S + _MARGIN * each_s * paid.target.settings.num_receipts
    return time.time_ns() + int(start_in_s * NS_PER_S)


def _tell(paid: Paid, planned: Sending, say: Say, *, say_until: bool = True) -> None:
    """Say until when the requests are good, and what would make them invalid."""
    count = planned.count
    if say_until:
        say(planned.sentence() + ".")
        if planned.start_ns < time.time_ns():
            late_s = (time.time_ns() - planned.start_ns) / NS_PER_S
            say(f"Warning: the first was due {late_s:.1f} s ago; give a longer --start-in.")
        if planned.warning():
            say(f"Warning: {planned.warning()}.")
    else:
        say(f"{count:,} requests, each signed shortly before it is due.")
    if paid.budget_receipts is not None and count > paid.budget_receipts:
        say(f"Warning: receipt {paid.budget_receipts:,} is predicted to trigger denial.")


def _is_pipe(output: Path | None) -> bool:
    """Whether the output is a pipe, read while we write. Standard output can be a file too: that is written at once."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode if output is None else output.stat().st_mode
    except OSError:  # no such file yet, or standard output has no file descriptor
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


@contextmanager
def _whole(output: Path | None) -> Iterator[TextIO]:
    """A file that is complete or missing, and for its owner only: a signed receipt is money. None: standard output."""
    if output is None:
        yield sys.stdout
        return
    with replacing(output, NAME_ANOTHER_OUTPUT) as unfinished:
        unfinished.touch(0o600)
        with unfinished.open("w", encoding="utf-8") as file:
            yield file
