"""The network subgraph's answers: to the two programs' queries by the name of the operation, to others by root fields.

The operations are those of indexer-rs (``crates/query/graphql``). Supported variables: ``$first`` and ``$last`` for
pages, ``$minBalance``, ``$indexer``, ``$receiver``, ``$collector``, ``$payer``. Only the newest state exists: a block
requested by its hash is that one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from workbench.network.world import DISPUTE_MANAGER, World
from workbench.receipts.address import parse_hex
from workbench.standin.backend import BLOCK_NUMBER
from workbench.standin.chain import EscrowAccount
from workbench.standin.graphql.roots import QueryError, root_fields

PATH = "/subgraphs/name/graph-network"

_COMMENT = re.compile(r"#[^\n\r]*")
_OPERATION = re.compile(r"\s*query\s+([A-Za-z_]\w*)")
_PAYER = re.compile(r'\bpayer\s*:\s*"(0[xX][0-9a-fA-F]{40})"')
_FIRST = re.compile(r"\bfirst\s*:\s*(\d+)")
_SKIP = re.compile(r"\bskip\s*:\s*(\d+)")
# graph-node gives this many entities unless asked for more, and never more than a thousand
_DEFAULT_PAGE, _LARGEST_PAGE = 100, 1000

Variables = Mapping[str, Any]


class Subgraph:
    """The network subgraph over a world that may change between queries."""

    def __init__(self, world: World, now: Callable[[], float] = time.time) -> None:
        self._world = world
        self._now = now
        self._born = now()
        self._operations: dict[str, Callable[[Variables], dict[str, Any]]] = {
            "AllocationsQuery": self._allocations_query,
            "ClosedAllocations": self._closed_allocations,
            "NetworkEscrowAccountQueryV2": self._escrow_query,
            "SignersByPayerQuery": self._signers_query,
            "HorizonDetectionQuery": lambda variables: {"paymentsEscrowAccounts": self._escrow_accounts()[:1]},
            "DisputeManager": lambda variables: {"graphNetwork": self._network()},
            "CurrentEpoch": lambda variables: {"graphNetwork": self._network()},
            "PaymentsEscrowTransactionsRedeemQuery": lambda variables: {"paymentsEscrowTransactions": []},
        }

    def answer(self, body: bytes) -> bytes:
        """The answer to a request's body, as JSON: data, or errors in graph-node's form."""
        try:
            query, variables, name = request(body)
            operation = self._operations.get(name)
            if operation is not None:
                return compact({"data": operation(variables)})
            return compact(self._by_fields(query))
        except QueryError as problem:
            return errors([str(problem)])
        except (KeyError, TypeError, ValueError) as problem:
            return errors([f"Invalid value provided for a variable: {problem}"])

    # --- operations -------------------------------------------------------------------------------------------

    def _allocations_query(self, variables: Variables) -> dict[str, Any]:
        mine = str(variables["indexer"]).lower() == f"0x{self._world.place.indexer.hex()}"
        return {"meta": self._meta(), "allocations": _page(self._allocations() if mine else [], variables)}

    def _closed_allocations(self, variables: Variables) -> dict[str, Any]:
        """The closed ones among the requested allocations: all except the existing, open ones."""
        open_ones = {f"0x{allocation.hex()}" for allocation in self._world.chain.allocations}
        own = f"0x{self._world.place.allocation.hex()}"
        closed = [{"id": own}] if own not in open_ones else []
        asked = {_prefixed(text) for text in variables["allocation_ids"]}
        return {"meta": self._meta(), "allocations": [entry for entry in closed if entry["id"] in asked]}

    def _escrow_query(self, variables: Variables) -> dict[str, Any]:
        place = self._world.place
        fits = (
            _prefixed(variables["receiver"]) == f"0x{place.indexer.hex()}"
            and _prefixed(variables["collector"]) == f"0x{place.collector.hex()}"
        )
        least = int(variables["minBalance"])
        accounts = [found for found in self._escrow_accounts() if int(found["balance"]) > least] if fits else []
        return {"meta": self._meta(), "paymentsEscrowAccounts": _page(accounts, variables)}

    def _signers_query(self, variables: Variables) -> dict[str, Any]:
        account = self._world.chain.accounts.get(parse_hex(variables["payer"], 20, "payer"))
        return {"signers": _page(_signers([account] if account else []), variables)}

    # --- by root fields ---------------------------------------------------------------------------------------

    def _by_fields(self, query: str) -> dict[str, Any]:
        known: dict[str, Callable[[], Any]] = {
            "_meta": self._meta,
            "allocations": self._allocations,
            "paymentsEscrowAccounts": lambda: self._accounts_asked(query),
            "signers": lambda: _signers(self._world.chain.accounts.values()),
            "graphNetwork": self._network,
            "paymentsEscrowTransactions": list,
            "__typename": lambda: "Query",
        }
        names = root_fields(query)
        if unknown := [name for name in names if name not in known]:
            return {"errors": [{"message": f"Type `Query` has no field `{name}`"} for name in unknown]}
        first, skip = _FIRST.search(query), _SKIP.search(query)
        start = int(skip[1]) if skip else 0
        page = slice(start, start + min(int(first[1]) if first else _DEFAULT_PAGE, _LARGEST_PAGE))
        values = {name: known[name]() for name in names}
        return {"data": {name: value[page] if isinstance(value, list) else value for name, value in values.items()}}

    def _accounts_asked(self, query: str) -> list[dict[str, Any]]:
        payer = _PAYER.search(query)
        found = self._escrow_accounts()
        return [one for one in found if one["payer"]["id"] == payer[1].lower()] if payer else found

    # --- entities ---------------------------------------------------------------------------------------------

    def _meta(self) -> dict[str, Any]:
        now = self._now()
        number = BLOCK_NUMBER + int(now - self._born)
        return {"block": {"number": number, "hash": f"0x{number:064x}", "timestamp": int(now)}}

    def _network(self) -> dict[str, Any]:
        return {"disputeManager": f"0x{DISPUTE_MANAGER.hex()}", "currentEpoch": self._world.place.epoch}

    def _allocations(self) -> list[dict[str, Any]]:
        place = self._world.place
        return [
            {
                "id": f"0x{allocation.hex()}",
                "status": "Active",
                "isLegacy": False,
                "indexer": {"id": f"0x{place.indexer.hex()}"},
                "allocatedTokens": str(10**18),
                "createdAtBlockHash": f"0x{BLOCK_NUMBER:064x}",
                "createdAtEpoch": place.epoch,
                "closedAtEpoch": None,
                "subgraphDeployment": {"id": f"0x{place.deployment.hex()}", "deniedAt": 0},
            }
            for allocation in sorted(self._world.chain.allocations)
        ]

    def _escrow_accounts(self) -> list[dict[str, Any]]:
        place = self._world.place
        parties = f"{place.collector.hex()}{place.indexer.hex()}"
        return [
            {
                "id": f"0x{account.payer.hex()}{parties}",
                "balance": str(account.balance),
                "totalAmountThawing": str(account.thawing),
                "collector": {"id": f"0x{place.collector.hex()}"},
                "receiver": {"id": f"0x{place.indexer.hex()}"},
                "payer": {"id": f"0x{account.payer.hex()}", "signers": _signers([account])},
            }
            for account in sorted(self._world.chain.accounts.values(), key=lambda account: account.payer)
        ]


def request(body: bytes) -> tuple[str, dict[str, Any], str]:
    """Query, variables and name of the operation ("" for none) of a request's body. Raises QueryError if it is not a
    request.

    The name is ``operationName``, otherwise the name at the head of the query, after its comments.
    """
    try:
        asked = json.loads(body)
        query, variables, name = asked["query"], asked.get("variables") or {}, asked.get("operationName") or ""
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise QueryError("expected a GraphQL request: a JSON object with a query") from None
    if not isinstance(query, str) or not isinstance(variables, dict) or not isinstance(name, str):
        raise QueryError("query and operationName of a GraphQL request must be text, and variables an object")
    if not name and (head := _OPERATION.match(_COMMENT.sub("", query))):
        name = head[1]
    return query, variables, name


def compact(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def errors(messages: Iterable[str]) -> bytes:
    """An answer with only errors."""
    return compact({"errors": [{"message": message} for message in messages]})


def _signers(accounts: Iterable[EscrowAccount]) -> list[dict[str, Any]]:
    return [{"id": f"0x{signer.hex()}"} for signer in sorted(account.signer for account in accounts)]


def _page(entities: list[dict[str, Any]], variables: Variables) -> list[dict[str, Any]]:
    """The entities after ``$last``, sorted by id, at most ``$first``."""
    last = str(variables.get("last") or "")
    return [entity for entity in entities if entity["id"] > last][: int(variables["first"])]


def _prefixed(text: Any) -> str:
    """An id as in the subgraph: lower case with 0x, which the agent sometimes leaves out."""
    digits = str(text).lower()
    return digits if digits.startswith("0x") else f"0x{digits}"
