"""Closed months: counted once, never entered again, and countable by anybody."""

import asyncio
import hashlib
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from support.bills import OCTOBER, bill, correction
from support.servers.postgresql import BOTH

from mayfly.database.engine import Database
from mayfly.metering import focus, periods, records, reports, spending
from mayfly.metering.periods import Month, Totals
from mayfly.metering.reports import Span

pytestmark = BOTH

MONTH = Month(2026, 10)
ADD = """
import decimal, sys
decimal.getcontext().prec = 120
print(sum(map(decimal.Decimal, sys.stdin)))
"""
LATER = datetime(2026, 11, 3, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.create()
    yield database
    await database.close()


async def write(database: Database, *found: records.UsageRecord) -> None:
    async with database.write() as tx:
        for each in found:
            assert await records.add(tx, each)


async def test_a_month_is_closed_once(database: Database) -> None:
    first = bill(1)
    await write(database, first, bill(2), correction(first, 1, "-0.005"))
    closed = await reports.close(database, MONTH, LATER, "admin")
    assert closed.totals is not None
    assert closed.totals.records == 3
    assert closed.totals.sums == {"USD": Decimal("0.01515005")}
    again = await reports.close(database, MONTH, LATER + timedelta(days=9), "another")
    assert again == closed
    assert await reports.count(database, MONTH) == closed.totals


async def test_a_month_that_goes_on_is_not_closed(database: Database) -> None:
    with pytest.raises(reports.NotOver, match=r"2026-10 is not over: .* from 2026-11-01 UTC on"):
        await reports.close(database, MONTH, MONTH.end - timedelta(microseconds=1), "admin")
    assert await reports.closed(database) == []
    with pytest.raises(reports.NotClosed):
        await reports.verify(database, MONTH)
    closed = await reports.close(database, MONTH, MONTH.end, "admin")
    assert await reports.verify(database, MONTH) == (closed, closed.totals)
    assert await reports.closed(database) == [closed]


async def test_what_comes_late_goes_into_the_next_month(database: Database) -> None:
    """A clock that is behind, a controller's end that comes late: the record says October."""
    await write(database, bill(1))
    closed = await reports.close(database, MONTH, LATER, "admin")
    await write(database, bill(2), bill(3, recorded_at=OCTOBER - timedelta(days=90)))
    assert await reports.count(database, MONTH) == closed.totals
    next_month = [each async for each in reports.records(database, Span(MONTH.end))]
    assert [each.recorded_at for each in next_month] == [MONTH.end, MONTH.end]
    assert [each.completed_at for each in next_month] == [bill(2).completed_at] * 2


async def test_one_rule_of_months_for_rows_focus_closes_and_budgets(database: Database) -> None:
    """It worked in October and was recorded in November: it is billed in November everywhere."""
    late = bill(
        1,
        started_at=MONTH.end - timedelta(seconds=4),
        completed_at=MONTH.end - timedelta(seconds=1),
        recorded_at=MONTH.end + timedelta(seconds=1),
    )
    await write(database, late)
    november = Month.of(late.recorded_at)
    assert (await reports.close(database, MONTH, LATER, "admin")).totals == Totals(
        0, {}, hashlib.sha256().hexdigest()
    )
    assert (await reports.count(database, november)).sums == {"USD": late.cost}
    (row,) = await reports.report(database, Span(november.start, november.end), [reports.Key.DAY])
    assert (row.keys, row.cost) == (("2026-11-01",), late.cost)
    async with database.read() as tx:
        assert await spending.of_namespace(tx, "team", LATER) == late.cost
        assert await spending.of_namespace(tx, "team", OCTOBER) == 0
    for each in focus.rows(late):
        assert each["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
        assert each["InvoiceId"] == "mayfly-2026-11"
        assert each["ChargePeriodEnd"] == "2026-10-31T23:59:59Z"
        assert each["ChargeClass"] is None


async def test_a_record_on_its_way_is_in_the_month_or_behind_it(database: Database) -> None:
    """Whoever is first: the count at the close is the count for ever."""
    for number in range(12):
        month = Month.of(OCTOBER + timedelta(days=31 * number))

        async def late(number: int = number, month: Month = month) -> None:
            async with database.write() as tx:
                await asyncio.sleep(0.002 * (number % 3))
                await records.add(tx, bill(number, recorded_at=month.end - timedelta(seconds=1)))
                await asyncio.sleep(0.002)

        _, closed = await asyncio.gather(late(), reports.close(database, month, month.end, "admin"))
        assert await reports.count(database, month) == closed.totals
    async with database.read() as tx:
        assert len(await periods.every(tx)) == 12


async def test_a_close_that_was_interrupted_is_done_again(database: Database) -> None:
    await write(database, bill(1))
    async with database.write() as tx:
        await periods.draw_line(tx, MONTH, LATER, "first")  # and then its process ended
    await write(database, bill(2))
    closed = await reports.close(database, MONTH, LATER, "second")
    assert closed.totals is not None
    assert (closed.totals.records, closed.closed_by) == (1, "first")


async def test_whatever_is_changed_afterwards_is_found(database: Database) -> None:
    await write(database, bill(1), bill(2))
    closed = await reports.close(database, MONTH, LATER, "admin")
    async with database.write() as tx:
        await tx.execute(text("UPDATE usage_records SET outcome = 'failed' WHERE name = 'run-2'"))
    changed = await reports.count(database, MONTH)
    assert closed.totals is not None
    assert changed.sums == closed.totals.sums
    assert changed != closed.totals


async def test_anybody_can_count_it_with_the_tools_of_a_shell(
    database: Database, tmp_path: Path
) -> None:
    first = bill(1, name="comma, and 'quotes'")
    await write(database, first, bill(2), correction(first, 1, "-0.005", why="=1\nnew line, ..."))
    closed = await reports.close(database, MONTH, LATER, "admin")
    assert closed.totals is not None
    lines = [
        reports.line_of(each)
        async for each in reports.records(database, Span(MONTH.start, MONTH.end))
    ]
    (tmp_path / "records.csv").write_text(reports.HEADER + "".join(lines))

    def shell(command: str) -> str:
        return subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert shell("tail -n +2 records.csv | wc -l") == str(closed.totals.records)
    assert shell("tail -n +2 records.csv | sha256sum | cut -d' ' -f1") == closed.totals.sha256
    total = shell(f"tail -n +2 records.csv | cut -d, -f3 | python3 -c '{ADD}'")
    assert Decimal(total) == closed.totals.sums["USD"]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == closed.totals.sha256
