from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from support.builders import ledger_row
from support.servers.postgresql import BOTH

from mayfly.database.engine import Database
from mayfly.metering import ledger, records, tree
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy, RunRow
from mayfly.metering.records import Correction, NotCorrectable
from mayfly.metering.tables import MODEL

pytestmark = BOTH
T0 = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
PRICES = '[{"meter": "predictSeconds", "unitPrice": "0.002"}]'
SECOND = Ending(Outcome.SUCCEEDED, "Succeeded", started_at=T0, completed_at=T0, active_ms=1000)


def row(uid: str, parent: RunRow | None = None, **rest: object) -> RunRow:
    above = {"root_uid": parent.root_uid, "parent_uid": parent.uid} if parent else {"root_uid": uid}
    return replace(
        ledger_row(created_at=T0, opened_at=T0, prices=PRICES),
        uid=uid,
        id=uid.ljust(26, "0"),
        **above,
        **rest,
    )


ROOT = row("root")
CHILD = row("child", ROOT)
CALL = row("call", CHILD, kind=MODEL, called="acme/llm")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.create()
    yield database
    await database.close()


@pytest.fixture
async def tx(database: Database) -> AsyncIterator[AsyncConnection]:
    """A tree of three that has ended, settled from below."""
    async with database.write() as tx:
        for each in (ROOT, CHILD, CALL):
            await ledger.open_run(tx, each)
            await ledger.close(tx, each, SECOND, by=ClosedBy.GATEWAY, at=T0)
        cost = Decimal("0.002")
        assert await tree.settle(tx, "child", own=cost, downstream=cost)
        assert await tree.settle(tx, "root", own=cost, downstream=2 * cost)
        yield tx


def less(cost: str) -> Correction:
    return Correction(why="The upstream charged twice.", author="ann", cost=Decimal(cost))


async def test_the_record_says_what_was_billed_for_whom(tx: AsyncConnection) -> None:
    (record,) = await records.of(tx, "call")
    assert (record.record_id, record.run_uid, record.kind) == ("call", "call", "model")
    assert (record.called, record.root_uid, record.parent_uid) == ("acme/llm", "root", "child")
    assert (record.started_at, record.active_ms, record.cost) == (T0, 1000, Decimal("0.002"))
    assert (record.corrects, record.why, record.author, record.flags) == (None, "", "", "[]")


async def test_a_record_stands_and_is_there_once(tx: AsyncConnection) -> None:
    await ledger.close(tx, CALL, replace(SECOND, active_ms=1), by=ClosedBy.GATEWAY, at=T0)
    (record,) = await records.of(tx, "call")
    assert record.active_ms == 1000


async def test_a_correction_is_a_record_and_the_bill_is_the_sum(tx: AsyncConnection) -> None:
    later = T0 + timedelta(days=3)
    await tree.correct(tx, "call", less("-0.0005"), later)
    priced = Correction(why="It hung for 200 ms.", author="ben", active_ms=-200)
    await tree.correct(tx, "call", priced, later)
    bill, first, second = await records.of(tx, "call")
    assert (bill.cost, bill.recorded_at) == (Decimal("0.002"), T0)
    assert (first.record_id, first.corrects, first.cost) == ("call+1", "call", Decimal("-0.0005"))
    assert (first.why, first.author) == ("The upstream charged twice.", "ann")
    assert (second.record_id, second.active_ms, second.cost) == (
        "call+2",
        -200,
        Decimal("-0.0004"),
    )
    usage = await records.bill(tx, "call")
    assert usage is not None
    assert (usage.active_ms, usage.cost) == (800, Decimal("0.0011"))
    assert await records.costs(tx, ["call", "child", "nobody"]) == {
        "call": Decimal("0.0011"),
        "child": Decimal("0.002"),
    }


async def test_a_correction_is_in_every_sum_above_it(tx: AsyncConnection) -> None:
    await tree.correct(tx, "call", less("-0.0005"), T0)
    assert (await tree.below(tx, "child")).cost == Decimal("0.0015")
    assert (await tree.below(tx, "root")).cost == Decimal("0.0035")
    # The object of each run above is told anew: they wait for their last word again.
    assert set(await tree.unsettled(tx)) == {"child", "root"}
    assert len((await tree.below(tx, "child")).children) == 1


async def test_what_was_told_before_a_correction_is_not_the_last_word(tx: AsyncConnection) -> None:
    await tree.correct(tx, "child", less("-0.001"), T0)
    cost = Decimal("0.002")
    assert not await tree.settle(tx, "child", own=cost, downstream=cost)
    assert await tree.settle(tx, "child", own=Decimal("0.001"), downstream=cost)
    assert await tree.settle(tx, "root", own=cost, downstream=Decimal("0.003"))
    assert await tree.unsettled(tx) == []


@pytest.mark.parametrize(
    "change",
    [
        less("-0.0021"),
        Correction(why="no", author="ann", active_ms=-1001),
        Correction(why="no", author="ann", active_ms=-1001, cost=Decimal(0)),
    ],
)
async def test_a_bill_is_never_below_zero(tx: AsyncConnection, change: Correction) -> None:
    with pytest.raises(NotCorrectable, match="would leave less than nothing"):
        await tree.correct(tx, "call", change, T0)
    await tree.correct(tx, "call", less("-0.002"), T0)
    with pytest.raises(NotCorrectable, match="is billed 0 "):
        await tree.correct(tx, "call", less("-0.0000000001"), T0)
    assert len(await records.of(tx, "call")) == 2


async def test_what_has_not_ended_has_no_bill(tx: AsyncConnection) -> None:
    await ledger.open_run(tx, row("late", ROOT))
    with pytest.raises(NotCorrectable, match="has not ended"):
        await tree.correct(tx, "late", less("1"), T0)


async def test_many_corrections_come_back_in_their_order(tx: AsyncConnection) -> None:
    for number in range(12):
        await tree.correct(tx, "call", less(str(number)), T0)
    found = await records.of(tx, "call")
    assert [each.cost for each in found[1:]] == [Decimal(number) for number in range(12)]
