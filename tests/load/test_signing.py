"""The process that signs: the same headers, and what happens when it or its generator is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.load.test_presign import TEMPLATE, wait_until
from workbench.errors import ToolError
from workbench.load import presign
from workbench.load.presign import Presigned
from workbench.load.samples import nonces
from workbench.load.signing import SigningProcess
from workbench.receipts import v2
from workbench.receipts.keys import SigningKey

KEY = SigningKey(b"\x01" * 32)
ROOT = Path(__file__).parents[2]
NUMBERS = [(1_700_000_000_000_000_000 + i, (1 << 64) - 1 - i) for i in range(300)]


def signers() -> list[psutil.Process]:
    """The signing processes below this one."""
    return [p for p in psutil.Process().children(recursive=True) if "workbench.load.signing" in p.cmdline()]


def test_it_signs_as_the_signer_here_does_and_hides_the_key():
    process = SigningProcess(TEMPLATE, KEY)
    signer = TEMPLATE.signer(KEY)
    assert process.headers(NUMBERS) == [signer.header(*numbers, TEMPLATE.value_wei) for numbers in NUMBERS]
    (found,) = signers()
    assert KEY.reveal() not in " ".join([*found.cmdline(), *found.environ().values()])
    process.close()
    assert not signers()
    with pytest.raises((ToolError, ValueError)):
        process.headers(NUMBERS)


def test_when_it_is_killed_the_step_goes_on(monkeypatch):
    monkeypatch.setattr(presign, "PREPARE_S", 0.0)
    count = 3000
    step = Presigned(
        TEMPLATE.signer(KEY),
        nonces(1, 0, count),
        TEMPLATE.value_wei,
        offsets_ns=None,
        window_s=15.0,
        elsewhere=lambda: SigningProcess(TEMPLATE, KEY),
    )
    step.prepare()
    (process,) = signers()
    headers = []
    for index in range(count):
        if index == 1000:
            process.kill()
        wait_until(lambda left=count - index: step.ready >= min(100, left))
        headers.append(step.header(index))
    step.close()
    assert not signers()
    assert step.signed_late == 0
    assert [v2.decode_header(header.decode()).receipt.nonce for header in headers] == nonces(1, 0, count).tolist()


def test_a_short_step_needs_none():
    step = Presigned(
        TEMPLATE.signer(KEY),
        nonces(1, 0, 10),
        1,
        offsets_ns=None,
        window_s=15.0,
        elsewhere=lambda: pytest.fail("nothing is left to sign"),
    )
    step.prepare()
    step.close()


def test_it_ends_with_a_generator_that_is_killed():
    code = (
        "import time; from tests.load.test_signing import *; p = SigningProcess(TEMPLATE, KEY); "
        "print(signers()[0].pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as generator:
        assert generator.stdout is not None
        signer = psutil.Process(int(generator.stdout.readline()))
        generator.kill()
    wait_until(lambda: _ended(signer))


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
