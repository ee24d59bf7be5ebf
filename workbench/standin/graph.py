"""The network subgraph: active allocations and escrow accounts, as far as the workbench and its tools need them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from workbench.standin.answers import json_answer
from workbench.standin.backend import BLOCK_NUMBER
from workbench.standin.chain import Chain, EscrowAccount
from workbench.standin.graphql.roots import QueryError, root_fields
from workbench.standin.http.body import BrokenBody
from workbench.standin.http.messages import Answer, BodyTooLarge, Request
from workbench.standin.serde.structs import query_body
from workbench.standin.serde.tokens import BodyError

PATH = "/subgraphs/name/graph-network"
MAX_BODY_BYTES = 2 * 1024 * 1024

_FIRST = re.compile(r"\bfirst\s*:\s*(\d+)")
_SKIP = re.compile(r"\bskip\s*:\s*(\d+)")
# graph-node gives this many entities unless asked for more, and never more than a thousand.
_DEFAULT_PAGE, _LARGEST_PAGE = 100, 1000


class NetworkSubgraph:
    """Answers by the names of root fields; of the arguments only ``first`` and ``skip`` matter."""

    def __init__(self, chain: Chain, indexer: bytes, collector: bytes, deployment: bytes) -> None:
        self._chain = chain
        self._indexer = indexer
        self._collector = collector
        self._deployment = deployment
        self._fields: dict[str, Callable[[], Any]] = {
            "_meta": self._meta,
            "allocations": self._allocations,
            "paymentsEscrowAccounts": self._escrow_accounts,
        }

    async def handle(self, request: Request) -> Answer:
        """One GraphQL query."""
        if request.head.path != PATH or request.method != "POST":
            return Answer(404 if request.head.path != PATH else 405)
        try:
            query = query_body(await request.read(MAX_BODY_BYTES))
            names = root_fields(query)
        except (BodyError, QueryError, BodyTooLarge, BrokenBody) as problem:
            return json_answer({"errors": [{"message": str(problem)}]})
        unknown = [name for name in names if name not in self._fields]
        if unknown:
            errors = [{"message": f"Type `Query` has no field `{name}`"} for name in unknown]
            return json_answer({"errors": errors})
        page = _page(query)
        data = {}
        for name in names:
            value = self._fields[name]()
            data[name] = value[page] if isinstance(value, list) else value
        return json_answer({"data": data})

    def _meta(self) -> dict[str, Any]:
        return {"block": {"number": BLOCK_NUMBER, "hash": f"0x{BLOCK_NUMBER:064x}"}}

    def _allocations(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"0x{allocation.hex()}",
                "status": "Active",
                "indexer": {"id": f"0x{self._indexer.hex()}"},
                "subgraphDeployment": {"id": f"0x{self._deployment.hex()}"},
            }
            for allocation in sorted(self._chain.allocations)
        ]

    def _escrow_accounts(self) -> list[dict[str, Any]]:
        return [self._escrow_account(account) for account in self._chain.accounts.values()]

    def _escrow_account(self, account: EscrowAccount) -> dict[str, Any]:
        payer, collector, receiver = account.payer.hex(), self._collector.hex(), self._indexer.hex()
        return {
            "id": f"0x{payer}{collector}{receiver}",
            "balance": str(account.balance),
            "totalAmountThawing": str(account.thawing),
            "collector": {"id": f"0x{collector}"},
            "receiver": {"id": f"0x{receiver}"},
            "payer": {"id": f"0x{payer}", "signers": [{"id": f"0x{account.signer.hex()}"}]},
        }


def _page(query: str) -> slice:
    first, skip = _FIRST.search(query), _SKIP.search(query)
    start = int(skip[1]) if skip else 0
    return slice(start, start + min(int(first[1]) if first else _DEFAULT_PAGE, _LARGEST_PAGE))
