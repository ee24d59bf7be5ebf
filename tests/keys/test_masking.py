"""The shape of a key: what is hidden, and what stays readable."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.masking import HIDDEN, MaskedStream, has_key, masked, shown
from workbench.receipts.address import checksum, collection_of, deployment_to_qm
from workbench.receipts.keys import SigningKey
from workbench.standin.accounts import payer

KEYS = st.binary(min_size=32, max_size=32).filter(lambda key: any(key[:12]))
CASES = st.sampled_from([str.lower, str.upper])
WORDS = st.text(alphabet="ghijklmnopqrstuvwxyz :/@'\"\\\n=,_-.", max_size=30)


@given(KEYS, CASES, st.sampled_from(["", "0x", "0X"]), WORDS, WORDS)
def test_a_key_is_hidden_wherever_it_stands(key, case, prefix, before, after):
    digits = case(key.hex())
    text = masked(f"{before}{prefix}{digits}{after}")
    assert text == f"{before}{HIDDEN}{after}"
    assert masked(text) == text
    assert digits not in str(WorkbenchError(text, where=prefix + digits, hint=before + digits))


@given(KEYS, st.integers(0, 16))
def test_a_key_that_lost_or_won_some_digits_is_hidden_too(key, digits):
    assert masked(key.hex()[digits:]) == HIDDEN
    assert masked(key.hex() + "0123456789abcdef"[:digits]) == HIDDEN


@given(KEYS, st.text(alphabet="xyz", max_size=100), st.integers(1, 200))
def test_of_a_value_that_is_cut_no_digits_are_left(key, before, most):
    assert key.hex()[:8] not in shown(before + key.hex(), most)


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32), st.binary(min_size=65, max_size=65))
def test_what_is_known_stays_readable(address, digest, signature):
    for text in (
        checksum(address),
        "0x" + collection_of(address).hex(),
        f"0x{123456789:064x}",
        deployment_to_qm(digest),
        "sha256:" + digest.hex(),
        json.dumps({"sha256": digest.hex()}),
        "0x" + signature.hex(),
        address.hex(),  # a commit has as many digits
    ):
        assert masked(text) == text
        assert not has_key(text)


@given(st.text())
def test_other_texts_are_left_as_they_are(text):
    assert masked(text) == text


def test_every_form_that_is_taken_for_a_key_has_its_shape():
    secret = payer(0).key.reveal()
    for form in (secret, f"0x{secret}", f"0X{secret}", secret.upper(), f" {secret}\n"):
        assert SigningKey(form).address == payer(0).key.address
        assert has_key(form)


def test_a_stream_writes_no_key():
    below = io.StringIO()
    stream = MaskedStream(below)
    stream.writelines(iter([f"key {payer(1).key.reveal()}\n", "and more"]))
    assert below.getvalue() == "key ***\nand more"
    assert not stream.isatty()
