"""What an answer means: a pure function of status and body. Missing answers are classified by the connection.

HTTP 200 is no proof of success: the service answers 200 with an error inside when graph-node fails. And 400 has ten
meanings, which differ by the text of the failed check. The texts are those of indexer-service 2.2.1.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Outcome(Enum):
    """The class of one answer. ``value`` is the name in tables; the position in this enum is the code in sample
    buffers.

    Without a complete answer: TIMEOUT (none within the time limit), CONNECT_ERROR (no connection could be made), RESET
    (the connection ended before the answer did), CANCELLED (the step was stopped), TOO_LARGE (the answer, or all
    unfinished answers together, exceeded a limit of :mod:`workbench.load.outcome_cache`). HTTP_ERROR: not HTTP, or not
    an answer that an indexer-service gives.
    """

    OK = "ok"
    GRAPHQL_ERROR = "graphql_error"
    DENIED = "denied"
    UNKNOWN_SIGNER = "unknown_signer"
    LOW_BALANCE = "low_balance"
    BAD_TIMESTAMP = "bad_timestamp"
    BAD_VALUE = "bad_value"
    BAD_ALLOCATION = "bad_allocation"
    BAD_RECEIPT = "bad_receipt"
    NO_RECEIPT = "no_receipt"
    BACKEND_ERROR = "backend_error"
    HTTP_ERROR = "http_error"
    TIMEOUT = "timeout"
    CONNECT_ERROR = "connect_error"
    RESET = "reset"
    CANCELLED = "cancelled"
    TOO_LARGE = "too_large"


OUTCOMES: tuple[Outcome, ...] = tuple(Outcome)
OUTCOME_NAMES: tuple[str, ...] = tuple(outcome.value for outcome in OUTCOMES)
CODE_OF: dict[Outcome, int] = {outcome: code for code, outcome in enumerate(OUTCOMES)}

# The service stores a receipt before it asks graph-node: with status 200 these are charged like a good answer.
_PAID_CODES = frozenset(CODE_OF[outcome] for outcome in (Outcome.OK, Outcome.GRAPHQL_ERROR, Outcome.BACKEND_ERROR))
# No complete answer was read, so the receipt may or may not have been stored.
_UNSURE_CODES = frozenset(
    CODE_OF[outcome] for outcome in (Outcome.TIMEOUT, Outcome.RESET, Outcome.CANCELLED, Outcome.TOO_LARGE)
)


def is_paid(status: int, code: int) -> bool:
    """Whether the sender was charged: the service answered 200 after it had stored the receipt."""
    return status == 200 and code in _PAID_CODES


def is_unsure(code: int) -> bool:
    """Whether it is unknown if the sender was charged."""
    return code in _UNSURE_CODES


def are_paid(status: npt.NDArray[np.int64], code: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """:func:`is_paid` of each row of a column."""
    paid: npt.NDArray[np.bool_] = (status == 200) & _among(_PAID_CODES, code)
    return paid


def are_unsure(code: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """:func:`is_unsure` of each row of a column."""
    return _among(_UNSURE_CODES, code)


def _among(codes: frozenset[int], code: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    import numpy as np

    table = np.zeros(len(OUTCOMES) + 1, dtype=bool)  # one extra entry at the end, for code -1 (unknown)
    table[list(codes)] = True
    among: npt.NDArray[np.bool_] = table[code]
    return among


_REFUSALS: tuple[tuple[bytes, Outcome], ...] = (
    (b"denylisted sender", Outcome.DENIED),
    (b"does not have a sufficient balance", Outcome.LOW_BALANCE),
    (b"Receipt timestamp `", Outcome.BAD_TIMESTAMP),
    (b"is higher than the limit set by the user", Outcome.BAD_VALUE),
    (b"does not have the minimum value", Outcome.BAD_VALUE),
    (b"Invalid collection_id", Outcome.BAD_ALLOCATION),
    (b"is not eligible for this indexer", Outcome.BAD_ALLOCATION),
    (b"Closing RAV already redeemed", Outcome.BAD_ALLOCATION),
    (b"No sender found for signer", Outcome.UNKNOWN_SIGNER),
    (b"error while accessing escrow account", Outcome.UNKNOWN_SIGNER),
    (b"No Tap receipt was found", Outcome.NO_RECEIPT),
    (b"No valid receipt or free query auth token", Outcome.NO_RECEIPT),  # releases before 2.0
    (b"Failed to queue receipt for storage", Outcome.BACKEND_ERROR),
    (b"Failed to receive storage result", Outcome.BACKEND_ERROR),
    (b"Failed to process query", Outcome.BACKEND_ERROR),
    (b"Issues with provided receipt", Outcome.BAD_RECEIPT),
)


def classify(status: int, body: bytes) -> Outcome:
    """The outcome of a complete answer."""
    if 200 <= status < 300:
        return _classify_success(body)
    for text, outcome in _REFUSALS:
        if text in body:
            return outcome
    return Outcome.HTTP_ERROR


def _classify_success(body: bytes) -> Outcome:
    try:
        answer = json.loads(body)
        inner = json.loads(answer["graphQLResponse"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Outcome.HTTP_ERROR  # 200, but not an answer of an indexer-service
    if not isinstance(inner, dict):
        return Outcome.HTTP_ERROR
    if str(inner.get("message", "")).startswith("Failed to process query"):
        return Outcome.BACKEND_ERROR
    if inner.get("errors") or "data" not in inner:
        return Outcome.GRAPHQL_ERROR
    return Outcome.OK
