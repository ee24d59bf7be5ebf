"""How many receipts a payer can still send before the tap-agent denies it.

The agent counts no receipts. It denies when ``pending + unaggregated >= balance`` (rule A: escrow) or
``unaggregated + invalid >= limit`` (rule B: max_amount_willing_to_lose). All amounts are integers of wei.
"""

from __future__ import annotations

from dataclasses import dataclass

RULE_A = "A: pending + unaggregated >= escrow"
RULE_B = "B: unaggregated + invalid >= limit"


@dataclass(frozen=True)
class Fees:
    """What the agent holds of one payer, in wei. ``limit`` and ``balance`` are None if they are not known.

    ``received``: the agent's count of receipts; ``source``: where the figures come from.
    """

    limit: int | None
    balance: int | None
    unaggregated: int = 0
    invalid: int = 0
    pending: int = 0
    received: int = 0
    denied: bool = False
    source: str = ""

    @property
    def spent(self) -> int:
        """Fees that count towards any rule, in wei."""
        return self.unaggregated + self.invalid + self.pending


@dataclass(frozen=True)
class Budget:
    """The prediction: receipt number ``receipts`` is the one that triggers denial, by ``rule``."""

    receipts: int
    rule: str


def budget(fees: Fees, value: int) -> Budget | None:
    """The number of the receipt of ``value`` wei at which a rule first holds; 0 if one holds already.

    None if neither limit nor balance is known, or if receipts are free.
    """
    if value <= 0:
        return None
    candidates = []
    if fees.balance is not None:
        candidates.append((_first(fees.balance - fees.pending - fees.unaggregated, value), RULE_A))
    if fees.limit is not None:
        candidates.append((_first(fees.limit - fees.unaggregated - fees.invalid, value), RULE_B))
    if not candidates:
        return None
    receipts, rule = min(candidates)
    return Budget(receipts, rule)


def _first(left: int, value: int) -> int:
    """The smallest n >= 0 with n * value >= left."""
    return max(0, -(-left // value))
