"""When the tap-agent denies a payer, when it allows it again, and what RAVs and redemption do to that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from workbench.receipts import v2
from workbench.receipts.address import checksum, collection_of, parse_address
from workbench.receipts.keys import recover_address
from workbench.settings import Settings
from workbench.standin.accounts import ALLOCATION, aggregator_key, payer
from workbench.standin.server import Standin

from .conftest import MILLI_GRT, Answer, Caller, eventually, quick

PAYER = payer(0).address
PAYER_LABEL = checksum(PAYER)
COLLECTION_LABEL = f"0x{collection_of(ALLOCATION).hex()}"
BUFFER_S = 2.5

CallOf = Callable[[Standin], Caller]


def refused(answer: Answer) -> bool:
    return answer.status == 400 and "denylisted sender" in answer.text


def on_denylist(caller: Caller) -> bool:
    return caller.rows("SELECT sender_address FROM tap_horizon_denylist") == [(PAYER.hex(),)]


async def pay(caller: Caller, count: int, **fields: int) -> list[int]:
    return [answer.status for answer in await asyncio.gather(*(caller.pay(**fields) for _ in range(count)))]


def almost_old() -> int:
    """A timestamp that the service still takes and the agent will soon count as outside the buffer."""
    return time.time_ns() - int((BUFFER_S - 1) * 1e9)


def aggregating(**changes: object) -> Settings:
    return quick(timestamp_tolerance_s=BUFFER_S, max_receipt_value_grt="0.1", **changes)


async def test_the_thousandth_receipt_denies(caller: Caller, standin: Standin) -> None:
    """Defaults: 1 GRT at risk, receipts of 0.001 GRT."""
    assert await pay(caller, 999) == [200] * 999
    await standin.settled()
    assert not on_denylist(caller)
    assert (await caller.pay()).status == 200
    await standin.settled()
    assert on_denylist(caller)
    assert refused(await caller.pay())
    assert caller.stored() == 1000
    assert (await caller.pay(1)).status == 200


async def test_rule_b_counts_value_not_receipts(call_of: CallOf) -> None:
    async with Standin(quick(limit_grt="0.01")) as standin:
        caller = call_of(standin)
        left = 10 * MILLI_GRT - 1  # one wei under the limit, in receipts of several sizes
        while left:
            value = min(left, 2 * MILLI_GRT - 1, 3 * left // 7 + 1)
            assert (await caller.pay(value=value)).status == 200
            left -= value
        await standin.settled()
        assert not on_denylist(caller)
        assert (await caller.pay(value=1)).status == 200
        await standin.settled()
        assert refused(await caller.pay(value=1))


async def test_rule_a_denies_when_fees_reach_the_escrow_and_a_top_up_allows(call_of: CallOf) -> None:
    async with Standin(quick(escrow_grt="0.105")) as standin:
        caller = call_of(standin)
        assert await pay(caller, 104) == [200] * 104
        await standin.settled()
        assert not on_denylist(caller)
        assert (await caller.pay()).status == 200
        await standin.settled()
        assert refused(await caller.pay())
        await standin.set_escrow(PAYER, Decimal("0.106"))
        assert not on_denylist(caller)
        assert (await caller.pay()).status == 200
        await standin.settled()
        assert refused(await caller.pay())


async def test_thawing_escrow_does_not_count(caller: Caller, standin: Standin) -> None:
    assert await pay(caller, 3) == [200] * 3
    await standin.settled()
    await standin.thaw(PAYER, Decimal("9.997"))
    assert refused(await caller.pay())
    await standin.thaw(PAYER, Decimal("9.996"))
    assert (await caller.pay()).status == 200


async def test_receipts_are_accepted_until_the_agent_has_counted(call_of: CallOf) -> None:
    async with Standin(quick(limit_grt="0.01", agent_delay_ms=2000)) as standin:
        caller = call_of(standin)
        assert await pay(caller, 30) == [200] * 30
        assert not on_denylist(caller)
        await standin.settled()
        assert on_denylist(caller)
        assert refused(await caller.pay())
        assert caller.stored() == 30


async def test_a_rav_lifts_the_denial_of_rule_b(call_of: CallOf) -> None:
    async with Standin(aggregating(limit_grt="0.02")) as standin:
        standin.switches.retry_s = 0.05
        caller = call_of(standin)
        assert await pay(caller, 20, timestamp_ns=almost_old()) == [200] * 20
        await standin.settled()
        assert refused(await caller.pay())
        await eventually(lambda: not on_denylist(caller))
        assert caller.stored() == 0
        [(value, timestamp_ns, signature, redeemed)] = caller.rows(
            "SELECT value_aggregate, timestamp_ns, signature, redeemed_at FROM tap_horizon_ravs"
        )
        assert (int(value), redeemed) == (20 * MILLI_GRT, None)
        service, provider = (parse_address(caller.settings.data_service), parse_address(caller.settings.indexer))
        rav = v2.Rav(collection_of(ALLOCATION), PAYER, provider, service, timestamp_ns, int(value))
        domain = v2.domain(caller.settings.chain_id, parse_address(caller.settings.collector))
        assert recover_address(domain.digest(rav.struct_hash()), signature) == aggregator_key().address
        labels = {"sender": PAYER_LABEL}
        assert await caller.agent_metric("tap_pending_rav_grt_total", **labels) == 20 * MILLI_GRT
        assert await caller.agent_metric("tap_sender_fee_tracker_grt_total", **labels) == 0
        assert await caller.agent_metric("tap_ravs_created_total_by_version", version="v2", **labels) == 1
        assert (await caller.pay()).status == 200


async def test_fees_inside_the_buffer_are_not_aggregated(call_of: CallOf) -> None:
    async with Standin(aggregating(limit_grt="0.02")) as standin:
        caller = call_of(standin)
        assert await pay(caller, 8) == [200] * 8
        await standin.settled()
        assert caller.rows("SELECT count(*) FROM tap_horizon_ravs") == [(0,)]
        assert caller.stored() == 8


async def test_pending_ravs_count_against_the_escrow_until_redeemed(call_of: CallOf) -> None:
    """Redemption takes as much from the escrow as from the pending RAVs; only a top-up helps then."""
    cent = 10 * MILLI_GRT
    async with Standin(aggregating(limit_grt="0.4", escrow_grt="0.5")) as standin:
        standin.switches.retry_s = 0.05
        caller = call_of(standin)
        assert await pay(caller, 7, value=5 * cent, timestamp_ns=almost_old()) == [200] * 7
        await standin.settled()

        async def aggregated() -> bool:
            assert (await caller.pay(value=1)).status == 200
            await standin.settled()
            return bool(caller.rows("SELECT 1 FROM tap_horizon_ravs"))

        await eventually(aggregated)
        assert await pay(caller, 2, value=5 * cent) == [200] * 2
        await standin.settled()
        assert not on_denylist(caller)
        assert (await caller.pay(value=5 * cent)).status == 200
        await standin.settled()
        assert on_denylist(caller)  # 0.35 pending and 0.15 not, of 0.5
        await standin.redeem(PAYER)
        assert await caller.agent_metric("tap_pending_rav_grt_total", sender=PAYER_LABEL) == 0
        assert await caller.agent_metric("tap_sender_escrow_balance_grt_total", sender=PAYER_LABEL) == 15 * cent
        [(redeemed,)] = caller.rows("SELECT redeemed_at FROM tap_horizon_ravs")
        assert redeemed is not None
        assert on_denylist(caller)
        await standin.set_escrow(PAYER, Decimal("0.5"))
        assert not on_denylist(caller)


async def test_redemption_after_a_while(call_of: CallOf) -> None:
    async with Standin(aggregating(limit_grt="0.02", redeem_after_s=0.01)) as standin:
        standin.switches.retry_s = 0.05
        caller = call_of(standin)
        await pay(caller, 20, timestamp_ns=almost_old())
        await eventually(lambda: bool(caller.rows("SELECT 1 FROM tap_horizon_ravs WHERE redeemed_at IS NOT NULL")))
        escrow = await caller.agent_metric("tap_sender_escrow_balance_grt_total", sender=PAYER_LABEL)
        assert escrow == (10_000 - 20) * MILLI_GRT


async def test_copies_of_a_receipt_become_invalid_fees_for_good(call_of: CallOf, tmp_path: Path) -> None:
    settings = aggregating(limit_grt="0.01", database=tmp_path / "db.sqlite")
    async with Standin(settings) as standin:
        standin.switches.retry_s = 0.05
        caller = call_of(standin)
        header = caller.signed(timestamp_ns=almost_old()).header()
        assert {(await caller.query(receipt=header)).status for _ in range(10)} == {200}
        await standin.settled()
        assert on_denylist(caller)  # until a RAV is asked for, copies count like any receipt
        await eventually(lambda: not on_denylist(caller))
        assert caller.rows("SELECT value_aggregate FROM tap_horizon_ravs") == [(str(MILLI_GRT),)]
        errors = caller.rows("SELECT error_log, count(*) FROM tap_horizon_receipts_invalid GROUP BY 1")
        assert errors == [("Receipt is not unique", 9)]
        invalid = await caller.agent_metric(
            "tap_invalid_receipt_fees_grt_total", sender=PAYER_LABEL, allocation=COLLECTION_LABEL
        )
        assert invalid == 9 * MILLI_GRT
        assert (await caller.pay()).status == 200
        await standin.settled()
        assert refused(await caller.pay())
    async with Standin(settings) as standin:
        assert refused(await call_of(standin).pay())


async def test_restart_recomputes_from_the_database(call_of: CallOf, tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite"
    async with Standin(quick(database=database)) as standin:
        caller = call_of(standin)
        assert await pay(caller, 5) == [200] * 5
        await standin.settled()
        await standin.set_escrow(PAYER, Decimal(3))
        await standin.deny(payer(1).address)
    async with Standin(quick(database=database)) as standin:
        caller = call_of(standin)
        fees = await caller.agent_metric("tap_sender_fee_tracker_grt_total", sender=PAYER_LABEL)
        escrow = await caller.agent_metric("tap_sender_escrow_balance_grt_total", sender=PAYER_LABEL)
        assert (fees, escrow) == (5 * MILLI_GRT, 3 * 10**18)
        assert (await caller.pay(1)).status == 200  # no reason to deny it was found
    async with Standin(quick(database=database, limit_grt="0.005")) as standin:
        assert refused(await call_of(standin).pay())


async def test_receipts_stored_and_not_counted_are_counted_after_a_restart(call_of: CallOf, tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite"
    async with Standin(quick(database=database, limit_grt="0.005", agent_delay_ms=60_000)) as standin:
        assert await pay(call_of(standin), 7) == [200] * 7
    async with Standin(quick(database=database, limit_grt="0.005")) as standin:
        assert refused(await call_of(standin).pay())


async def test_v1_receipts_count_too(call_of: CallOf) -> None:
    from .test_contract import v1_header

    async with Standin(quick(limit_grt="0.002", accept_v1=True)) as standin:
        caller = call_of(standin)
        assert (await caller.query(receipt=v1_header(caller))).status == 200
        assert (await caller.query(receipt=v1_header(caller))).status == 200
        await standin.settled()
        assert refused(await caller.query(receipt=v1_header(caller)))
