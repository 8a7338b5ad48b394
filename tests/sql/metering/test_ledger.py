import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import ledger_row
from support.servers.postgresql import BOTH, Databases

from mayfly.database.engine import Database
from mayfly.metering import ledger, records
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy

pytestmark = BOTH
T0 = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
ROW = ledger_row(
    created_at=T0,
    opened_at=T0,
    prices='[{"meter": "predictSeconds", "unitPrice": "0.000000000000000001"}]',
)
GOOD = Ending(
    Outcome.SUCCEEDED,
    "Succeeded",
    output="[1]",
    started_at=T0,
    completed_at=T0 + timedelta(seconds=1),
    active_ms=1000,
)
BAD = replace(GOOD, outcome=Outcome.FAILED, reason="UserError", error="no", output=None)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.create()
    yield database
    await database.close()


async def test_a_row_comes_back_as_it_went_in(database: Database) -> None:
    async with database.write() as tx:
        assert await ledger.open_run(tx, ROW)
        assert not await ledger.open_run(tx, replace(ROW, name="another"))
    async with database.read() as tx:
        assert await ledger.find(tx, "uid") == ROW
        assert await ledger.find_by_id(tx, ROW.id) == ROW
        assert await ledger.find(tx, "nobody") is None


async def test_the_first_end_stands_until_the_object_says_otherwise(database: Database) -> None:
    async with database.write() as tx:
        await ledger.open_run(tx, ROW)
        assert await ledger.journal(tx, "uid", GOOD, T0)
        assert not await ledger.journal(tx, "uid", BAD, T0)
        row = await ledger.find(tx, "uid")
        assert row is not None
        assert row.ending == GOOD
        await ledger.rejournal(tx, "uid", BAD, T0)
        assert await ledger.unclosed(tx) == ["uid"]
        await ledger.close(tx, row, BAD, by=ClosedBy.CONTROLLER, at=T0)
        await ledger.rejournal(tx, "uid", GOOD, T0)
        assert await ledger.unclosed(tx) == []
        row = await ledger.find(tx, "uid")
        assert row is not None
        assert row.ending == BAD
        usage = await records.bill(tx, "uid")
        assert usage is not None
        assert usage.cost == Decimal("0.000000000000000001")


async def test_what_comes_after_the_end_changes_nothing(database: Database) -> None:
    async with database.write() as tx:
        await ledger.open_run(tx, ROW)
        await ledger.journal(tx, "uid", BAD, T0)
        before = await ledger.find(tx, "uid")
        await ledger.note_start(tx, "uid", T0 + timedelta(hours=1))
        await ledger.note_heartbeat(tx, "uid", 10**6, T0)
        await ledger.note_dispatch(tx, "uid", pod_uid="pod", attempt=2, sent_at=T0)
        assert await ledger.find(tx, "uid") == before


async def test_a_new_attempt_forgets_when_the_old_ones_work_was_sent(database: Database) -> None:
    async with database.write() as tx:
        await ledger.open_run(tx, ROW)
        await ledger.note_dispatch(tx, "uid", pod_uid="one", attempt=1, sent_at=T0)
        await ledger.note_dispatch(tx, "uid", pod_uid="one", attempt=1, sent_at=None)
        row = await ledger.find(tx, "uid")
        assert row is not None
        assert (row.pod_uid, row.sent_at) == ("one", T0)
        await ledger.note_dispatch(tx, "uid", pod_uid="two", attempt=2, sent_at=None)
        row = await ledger.find(tx, "uid")
        assert row is not None
        assert (row.pod_uid, row.attempt, row.sent_at) == ("two", 2, None)


STEPS = st.lists(
    st.sampled_from(["open", "start", "beat", "good", "bad", "close good", "close bad"]),
    max_size=20,
)


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_any_order_gives_one_record(databases: Databases, steps: list[str]) -> None:
    async def play(url: str) -> None:
        database = Database(url)
        await database.create()
        first: Ending | None = None
        opened = False
        for step in steps:
            async with database.write() as tx:
                match step.split():
                    case ["open"]:
                        await ledger.open_run(tx, ROW)
                        opened = True
                    case ["start"]:
                        await ledger.note_start(tx, "uid", T0)
                    case ["beat"]:
                        await ledger.note_heartbeat(tx, "uid", 7, T0)
                    case ["close", word]:
                        ending = GOOD if word == "good" else BAD
                        if opened:
                            first = first or ending
                            await ledger.close(tx, ROW, ending, by=ClosedBy.GATEWAY, at=T0)
                    case [word]:
                        await ledger.journal(tx, "uid", GOOD if word == "good" else BAD, T0)
        async with database.read() as tx:
            usage = await records.bill(tx, "uid")
            row = await ledger.find(tx, "uid")
        await database.close()
        assert (usage is None) == (first is None)
        if usage is not None and first is not None and row is not None:
            assert usage.outcome == row.outcome == first.outcome.value

    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as url:
        asyncio.run(play(url))


async def test_writers_wait_for_each_other(database: Database) -> None:
    async with database.write() as tx:
        await ledger.open_run(tx, ROW)

    async def beat(active_ms: int) -> None:
        async with database.write() as tx:
            row = await ledger.find(tx, "uid")
            assert row is not None
            await ledger.note_heartbeat(tx, "uid", row.active_ms + 1, T0)

    await asyncio.gather(*(beat(each) for each in range(40)))
    async with database.read() as tx:
        row = await ledger.find(tx, "uid")
    assert row is not None
    assert row.active_ms == 40


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    async def stop() -> None:
        async with database.write() as tx:
            await ledger.open_run(tx, ROW)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await stop()
    async with database.read() as tx:
        assert await ledger.find(tx, "uid") is None
