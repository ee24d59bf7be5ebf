"""The processes that sign: the same headers, and what happens when one of them or their generator is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from array import array
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.load.test_presign import TEMPLATE, decoded, wait_until
from workbench.load import presign
from workbench.load.ahead import CHUNK
from workbench.load.plan import OpenPlan
from workbench.load.presign import Presigned
from workbench.load.samples import nonces
from workbench.load.signing import MOST_SIGNERS, NICE, Answer, SigningPool
from workbench.receipts.keys import SigningKey
from workbench.receipts.template import ReceiptTemplate

KEY = SigningKey(b"\x01" * 32)
ROOT = Path(__file__).parents[2]
STAMPS = [1_700_000_000_000_000_000 + i for i in range(CHUNK)]
NONCES = [(1 << 64) - 1 - i for i in range(CHUNK)]


def signers() -> list[psutil.Process]:
    """The signing processes below this one."""
    return [p for p in psutil.Process().children(recursive=True) if "workbench.load.signing" in p.cmdline()]


def pool(size: int, template: ReceiptTemplate = TEMPLATE) -> SigningPool:
    """A pool of which all are ready."""
    made = SigningPool(template, KEY, size)
    wait_until(lambda: not made.answers(0.1) and made.ready == size)
    return made


def ask(made: SigningPool, ticket: int) -> None:
    made.ask(ticket, STAMPS, array("Q", NONCES).tobytes())


def answers(made: SigningPool, count: int) -> list[Answer]:
    found: list[Answer] = []
    wait_until(lambda: found.extend(made.answers(0.1)) or len(found) >= count)
    return found


def step_of(count: int, **options) -> Presigned:
    settings = {"offsets_ns": None, "window_s": 15.0, "pool": partial(SigningPool, TEMPLATE, KEY)} | options
    return Presigned(TEMPLATE.signer(KEY), nonces(1, 0, count), TEMPLATE.value_wei, **settings)


@pytest.mark.parametrize("version", [2, 1])
def test_it_signs_as_the_signer_here_does_and_hides_the_key(version):
    """An answer of version 1 is longer than a pipe holds."""
    template = replace(TEMPLATE, version=version)
    made = pool(2, template)
    signer = template.signer(KEY)
    for ticket in range(4):
        assert made.free
        ask(made, ticket)
    expected = [signer.header(*numbers, TEMPLATE.value_wei).encode() for numbers in zip(STAMPS, NONCES, strict=True)]
    found = answers(made, 4)
    assert sorted(ticket for ticket, _ in found) == [0, 1, 2, 3]
    assert all(headers == expected for _, headers in found)
    for process in signers():
        assert KEY.reveal() not in " ".join([*process.cmdline(), *process.environ().values()])
    made.close()
    assert not signers()
    assert not made.free


def test_what_a_killed_signer_was_asked_comes_back_unsigned():
    made = pool(1)
    (process,) = signers()
    process.suspend()
    ask(made, 5)
    ask(made, 6)
    assert not made.free
    process.kill()
    assert sorted(answers(made, 2)) == [(5, None), (6, None)]
    assert made.ready == 0
    made.close()


def test_a_signer_that_hangs_does_not_keep_a_pool_from_closing():
    made = pool(2)
    for process in signers():
        process.send_signal(signal.SIGSTOP)
    ask(made, 1)
    made.close()
    assert not signers()


def test_a_pool_is_bounded_and_steps_back_when_asked():
    made = SigningPool(TEMPLATE, KEY, 100)
    try:
        assert len(signers()) == MOST_SIGNERS
        made.step_back()
        assert {process.nice() for process in signers()} == {NICE}
    finally:
        made.close()


@pytest.mark.parametrize("killed", [1, 2])
@pytest.mark.parametrize("per_s", [None, 100_000])
def test_when_signers_are_killed_the_step_goes_on(killed, per_s, monkeypatch):
    """With one signer, and with none."""
    monkeypatch.setattr(presign, "ALONE_S", 0.0)
    monkeypatch.setattr(presign, "PREPARE_S", 0.5)
    count = 60_000
    step = step_of(count, signers=2, offsets_ns=None if per_s is None else OpenPlan(count, per_s).offsets_ns())
    step.prepare()
    processes = signers()
    assert len(processes) == 2
    headers = []
    for index in range(9000):
        if index == 1000:
            for process in processes[:killed]:
                process.kill()
        wait_until(lambda: step.ready >= 5 * CHUNK)  # what is signed is not always the next
        headers.append(step.header(index))
    step.close()
    assert not signers()
    assert step.signed_late <= CHUNK  # one that was asked for just before they were killed
    assert [decoded(header).nonce for header in headers] == nonces(1, 0, count)[:9000].tolist()


def test_signers_are_started_for_what_is_not_done_at_once(monkeypatch):
    started: list[int] = []

    def start(size: int) -> SigningPool:
        started.append(size)
        return SigningPool(TEMPLATE, KEY, size)

    short = step_of(10, pool=start)
    slow = step_of(3000, pool=start, offsets_ns=OpenPlan(3000, 20).offsets_ns())
    large = step_of(50_000, pool=start, signers=3)
    monkeypatch.setattr(presign, "ALONE_S", 5.0)  # on a busy machine too
    for step, sizes in ((short, []), (slow, [1])):
        step.prepare()
        assert started == sizes
        step.close()
    monkeypatch.setattr(presign, "ALONE_S", 0.0)
    large.prepare()
    assert started == [1, 3]
    assert {process.nice() for process in signers()} == {NICE}
    large.close()
    assert not signers()


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_where_no_signer_starts_the_generator_signs(python, monkeypatch):
    monkeypatch.setattr(presign, "ALONE_S", 0.0)
    monkeypatch.setattr(sys, "executable", python)
    step = step_of(1000)
    step.prepare()
    headers = [step.header(index) for index in range(1000)]
    step.close()
    assert step.signed_late == 0
    assert [decoded(header).nonce for header in headers] == nonces(1, 0, 1000).tolist()


@pytest.mark.slow
def test_a_closed_step_in_mid_way_leaves_no_process(monkeypatch):
    monkeypatch.setattr(presign, "ALONE_S", 0.0)
    monkeypatch.setattr(presign, "PREPARE_S", 0.2)
    step = step_of(10_000_000, offsets_ns=np.arange(10_000_000, dtype=np.int64) * 10_000)
    step.prepare()
    assert signers()
    for index in range(100):
        step.header(index)
    step.close()
    assert not signers()


def test_they_end_with_a_generator_that_is_killed():
    code = (
        "import time; from tests.load.test_signing import *; made = pool(2); [ask(made, i) for i in range(4)]; "
        "print(*(p.pid for p in signers()), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as generator:
        assert generator.stdout is not None
        found = [psutil.Process(int(pid)) for pid in generator.stdout.readline().split()]
        generator.kill()
    assert len(found) == 2
    wait_until(lambda: all(_ended(process) for process in found))


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
