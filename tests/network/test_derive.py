"""The allocation's key, against the worked example of the real service and against eth-account."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.hdaccount import ETHEREUM_DEFAULT_PATH
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ReceiptError
from workbench.network.world import OPERATOR_MNEMONIC, Place
from workbench.receipts.address import checksum, parse_deployment
from workbench.receipts.derive import allocation_key, derive_key
from workbench.settings import Settings

Account.enable_unaudited_hdwallet_features()

STEPS = st.lists(st.integers(0, (1 << 31) - 1), min_size=1, max_size=6)


def test_worked_example() -> None:
    deployment = parse_deployment("QmcwoND4XiHEGG5DQYz3YxdgENyRP3TtKYWN1hMTj94jfS")
    key = allocation_key(OPERATOR_MNEMONIC, epoch=1, deployment=deployment)
    assert checksum(key.address) == "0x2EA9464272c8101770F946a01285e64feB6f4Cdb"


def test_every_part_of_the_path_counts() -> None:
    one, other = bytes(32), bytes(31) + b"\1"
    found = {
        allocation_key(OPERATOR_MNEMONIC, epoch=epoch, deployment=deployment, index=index).address
        for epoch in (1, 2)
        for deployment in (one, other)
        for index in (0, 1)
    }
    assert len(found) == 8


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_same_keys_as_eth_account(path: list[int]) -> None:
    text = "m/" + "/".join(map(str, path))
    theirs = Account.from_mnemonic(OPERATOR_MNEMONIC, account_path=text)
    assert checksum(derive_key(OPERATOR_MNEMONIC, tuple(path)).address) == theirs.address


def test_the_mnemonic_is_the_indexers_of_the_local_network() -> None:
    owner = Account.from_mnemonic(OPERATOR_MNEMONIC, account_path=ETHEREUM_DEFAULT_PATH)
    assert owner.address.lower() == Settings().indexer.lower()


@pytest.mark.parametrize("step", [-1, 1 << 31])
def test_a_step_that_is_no_step(step: int) -> None:
    with pytest.raises(ReceiptError, match=f"from 0 to 2\\^31 - 1, found {step}"):
        derive_key(OPERATOR_MNEMONIC, (1, step))


def test_another_allocation_is_refused() -> None:
    from workbench.errors import SettingsError

    own = Place.of(Settings()).allocation
    assert Place.of(Settings(allocation=f"0x{own.hex()}")).allocation == own
    with pytest.raises(SettingsError, match=f"allocation: the network's only allocation is 0x{own.hex()}"):
        Place.of(Settings(allocation="0x" + "11" * 20))
