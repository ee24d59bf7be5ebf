"""Sample buffers: on disk at once, readable after a kill, refused when the disk is full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import RunFolderError
from workbench.load import samples
from workbench.load.client import Exchange
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.samples import SampleBuffer, nonces, to_frame
from workbench.load.spec import Share


def test_rows_become_a_frame_of_measured_ones_only(tmp_path):
    buffer = SampleBuffer.create(tmp_path / "s.live", 4)
    buffer.record(2, 100, Exchange(110, 150, 190, 200, CODE_OF[Outcome.OK], 77))
    buffer.record(0, 50, Exchange(51, 0, 99, 0, CODE_OF[Outcome.RESET], 0))
    assert buffer.measured() == 2
    assert buffer.paid() == 1  # "ok" has code 0: rows not measured must not count
    nonce = nonces(1, 3, 4)
    frame = to_frame(buffer.rows, step=3, nonce=nonce, payer="0xabc", value_grt=0.001)
    assert list(frame["index"]) == [0, 2]
    assert list(frame["outcome"]) == ["reset", "ok"]
    assert list(frame["nonce"]) == [nonce[0], nonce[2]]
    assert frame.loc[1, ["intended_ns", "sent_ns", "first_byte_ns", "done_ns"]].tolist() == [100, 110, 150, 190]
    assert (frame["step"] == 3).all()


def test_rows_survive_kill_9(tmp_path):
    path = tmp_path / "s.live"
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from workbench.load.samples import SampleBuffer\n"
        "from workbench.load.client import Exchange\n"
        f"b = SampleBuffer.create(Path({str(path)!r}), 1000)\n"
        "for i in range(700): b.record(i, i, Exchange(i + 1, i + 2, i + 3, 200, 0, 9))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert SampleBuffer.open(path).measured() == 700


def test_a_full_disk_is_said_before_the_step(tmp_path):
    path = tmp_path / "s.live"
    resource = pytest.importorskip("resource", reason="needs Windows-free limits")
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RunFolderError, match=r"s\.live: cannot reserve 5,600,000 bytes"):
            SampleBuffer.create(path, 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signal_before)
    assert not path.exists()


def test_a_buffer_on_a_read_only_file_system_says_what_helps(tmp_path, monkeypatch):
    path = SampleBuffer.create(tmp_path / "s.live", 2).path
    mapped = np.memmap

    def of_a_read_only_disk(*of, mode, **options):
        if mode != "r":
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return mapped(*of, mode=mode, **options)

    monkeypatch.setattr(samples.np, "memmap", of_a_read_only_disk)
    with pytest.raises(RunFolderError, match=r"Read-only file system.*make its file system writable again and go on"):
        SampleBuffer.open(path)
    assert SampleBuffer.open(path, to_write=False).measured() == 0


def test_something_else_is_not_a_buffer(tmp_path):
    path = tmp_path / "x.live"
    path.write_bytes(b"123")
    with pytest.raises(RunFolderError, match=r"x\.live: not a sample buffer"):
        SampleBuffer.open(path)
    with pytest.raises(RunFolderError):
        SampleBuffer.open(tmp_path / "absent")
    SampleBuffer.create(tmp_path / "twice", 1)
    with pytest.raises(RunFolderError):
        SampleBuffer.create(tmp_path / "twice", 1)
    assert os.path.getsize(path) == 3


def test_nonces_are_the_steps_own():
    assert (nonces(1, 0, 50) == nonces(1, 0, 50)).all()
    assert (nonces(1, 0, 50) != nonces(1, 1, 50)).any()
    assert len(set(nonces(1, 0, 10_000).tolist())) == 10_000
    assert nonces(1, 0, 10_000).max() > 2**63


@given(st.integers(1, 3000), st.integers(1, 9), st.integers(1, 500))
def test_the_nonces_of_a_share_are_those_of_the_whole_step(count, workers, chunk):
    whole = np.random.default_rng([1, 2]).integers(0, 1 << 64, count, dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "CHUNK", chunk)
        for worker in range(workers):
            assert (nonces(1, 2, count, Share(worker, workers)) == whole[worker::workers]).all()
        assert (nonces(1, 2, count) == whole).all()
