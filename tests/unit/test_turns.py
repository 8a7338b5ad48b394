"""Long work on the event loop lets other tasks work in between."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from support.bills import bill

from mayfly import turns
from mayfly.database.engine import Database
from mayfly.gateway.billing import presenter, routes
from mayfly.metering import records
from mayfly.metering.explain import explain
from mayfly.metering.reports import Key, Row, Span

ROWS = 1000
BELOW = 50


async def other_turns(stop: asyncio.Event) -> int:
    """How many turns another task has until it is stopped."""
    found = 0
    while not stop.is_set():
        await asyncio.sleep(0)
        found += 1
    return found


async def test_others_work_after_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SECONDS", 0.0)
    stop = asyncio.Event()
    other = asyncio.create_task(other_turns(stop))
    assert [each async for each in turns.in_turns(range(ROWS))] == list(range(ROWS))
    stop.set()
    assert await other >= ROWS


async def test_nothing_is_passed_on_before_a_turn_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SECONDS", 60.0)
    stop = asyncio.Event()
    other = asyncio.create_task(other_turns(stop))
    assert len([each async for each in turns.in_turns(range(ROWS))]) == ROWS
    stop.set()
    assert await other == 0


async def test_the_text_of_a_long_report_is_made_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SECONDS", 0.0)
    rows = [Row((str(number),), "USD", 1, cost=Decimal("0.01")) for number in range(ROWS)]
    for pieces in (
        presenter.report(Span(), [Key.TREE], rows),
        presenter.report_lines([Key.TREE], rows),
    ):
        stop = asyncio.Event()
        other = asyncio.create_task(other_turns(stop))
        text = await routes.joined(pieces)
        stop.set()
        assert await other >= ROWS
        assert '"999"' in text or "\n999," in text


async def test_a_bill_of_a_large_tree_is_explained_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    await database.create()
    top = bill(0)
    async with database.write() as tx:
        await records.add(tx, top)
        for number in range(1, BELOW + 1):
            await records.add(tx, bill(number, root_uid=top.run_uid, parent_uid=top.run_uid))
    asked = 0

    async def pass_on(_: turns.Turn) -> None:
        nonlocal asked
        asked += 1

    monkeypatch.setattr(turns.Turn, "pass_on", pass_on)
    found = await explain(database, top.run_uid)
    await database.close()
    assert found is not None
    assert len(found.parts) == BELOW
    assert asked > 2 * BELOW  # for each record that is read, and for each bill that is made of them
