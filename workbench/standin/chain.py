"""The state of the network: active allocations, escrow balances and authorised signers."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.standin.accounts import ALLOCATION, payer

# escrow_min_balance_grt_wei: accounts with no more than this are left out of the escrow lookup.
MIN_BALANCE_WEI = 10**17


@dataclass
class EscrowAccount:
    """One payer's escrow for this indexer and collector, in wei, and its signer."""

    payer: bytes
    signer: bytes
    balance: int
    thawing: int = 0
    redeemed: int = 0

    @property
    def visible(self) -> bool:
        """Whether the services see this account at all."""
        return self.balance > MIN_BALANCE_WEI


@dataclass
class Chain:
    """Escrow accounts by payer and the indexer's active allocations."""

    accounts: dict[bytes, EscrowAccount]
    allocations: set[bytes] = field(default_factory=lambda: {ALLOCATION})

    def __post_init__(self) -> None:
        self._by_signer = {account.signer: account for account in self.accounts.values()}

    @classmethod
    def funded(cls, payers: int, balance: int) -> Chain:
        """A chain on which that many payers have deposited ``balance`` wei each."""
        people = [payer(index) for index in range(payers)]
        return cls({p.address: EscrowAccount(p.address, p.key.address, balance) for p in people})

    def sender_of(self, signer: bytes) -> bytes | None:
        """The payer that authorised ``signer``; None for an unknown signer or a payer with too little escrow."""
        account = self._by_signer.get(signer)
        return account.payer if account is not None and account.visible else None

    def owner_of(self, signer: bytes) -> bytes | None:
        """The payer that authorised ``signer``, regardless of its escrow."""
        account = self._by_signer.get(signer)
        return account.payer if account is not None else None

    def available(self, sender: bytes) -> int:
        """Balance minus the thawing amount, in wei; 0 for an account that the services do not see."""
        account = self.accounts.get(sender)
        return max(0, account.balance - account.thawing) if account is not None and account.visible else 0
