"""What was spent: the same as the sum of the usage records, whatever came when and how often."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from support.builders import ledger_row

from mayfly.database.engine import Database
from mayfly.metering import ledger, spending, tables
from mayfly.metering.ending import Ending, Outcome
from mayfly.metering.ledger import ClosedBy, RunRow
from mayfly.metering.pricing import EXACT
from mayfly.metering.tables import MODEL

T0 = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
PRICES = json.dumps(
    [
        {"meter": "predictSeconds", "unitPrice": "0.000000000000000001"},
        {"meter": "prediction", "unitPrice": "123456789.123456789"},
    ]
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    await database.create()
    yield database
    await database.close()


def row(uid: str, parent: RunRow | None = None, **changes: object) -> RunRow:
    """A run of a tree."""
    made = ledger_row(
        uid=uid,
        id=uid.rjust(26, "0"),
        prices=PRICES,
        root_uid=parent.root_uid if parent else uid,
        parent_uid=parent.uid if parent else None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


ROOT = row("root")
MIDDLE = row("middle", ROOT)
LEAF = row("leaf", MIDDLE)
BESIDE = row("beside", ROOT, kind=MODEL)
OTHER = row("other", namespace="elsewhere")
EVERY = (ROOT, MIDDLE, LEAF, BESIDE, OTHER)


def ending(milliseconds: int, *, good: bool = True) -> Ending:
    return Ending(
        Outcome.SUCCEEDED if good else Outcome.FAILED,
        "Succeeded" if good else "UserError",
        started_at=T0,
        completed_at=T0,
        active_ms=milliseconds,
    )


async def opened(database: Database) -> None:
    """Every run, and a budget on the root and on the middle."""
    for each in EVERY:
        async with database.write() as tx:
            await ledger.open_run(tx, each)
            if each in (ROOT, MIDDLE):
                await spending.open_budget(tx, each.uid, Decimal("0.5"))


async def close(database: Database, uid: str, end: Ending, at: datetime) -> None:
    async with database.write() as tx:
        found = await ledger.find(tx, uid)
        assert found is not None
        await ledger.close(tx, found, end, by=ClosedBy.GATEWAY, at=at)


async def recorded(database: Database, *uids: str, month: str = "") -> Decimal:
    async with database.read() as tx:
        rows = (await tx.execute(select(tables.usage_records))).all()
    with localcontext(EXACT):
        return sum(
            (
                each.cost
                for each in rows
                if each.run_uid in uids and spending.month_of(each.recorded_at).startswith(month)
            ),
            Decimal(0),
        )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([each.uid for each in EVERY]),
            st.integers(0, 10**12),
            st.booleans(),
            st.sampled_from([T0, T0 + timedelta(microseconds=1)]),
        ),
        max_size=12,
    )
)
def test_the_sums_are_those_of_the_records(
    closes: list[tuple[str, int, bool, datetime]],
) -> None:
    """Closed in any order, some twice, at the very end of a month and after it."""

    async def play(folder: str) -> None:
        database = Database(f"sqlite:///{folder}/ledger.db")
        await database.create()
        try:
            await opened(database)
            for uid, milliseconds, good, at in closes:
                await close(database, uid, ending(milliseconds, good=good), at)
            await compare(database)
        finally:
            await database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(folder))


async def compare(database: Database) -> None:
    tree = ("root", "middle", "leaf", "beside")
    async with database.read() as tx:
        middle, root = await spending.of_budgets(tx, "middle")
        assert (middle.run_uid, root.run_uid) == ("middle", "root")
        assert middle.spent == await recorded(database, "middle", "leaf")
        assert root.spent == await recorded(database, *tree)
        for moment in (T0, T0 + timedelta(days=1)):
            month = spending.month_of(moment)
            spent = await spending.of_namespace(tx, "team", moment)
            assert spent == await recorded(database, *tree, month=month)


async def test_each_run_names_the_nearest_budget(database: Database) -> None:
    await opened(database)
    async with database.read() as tx:
        found = {each.uid: await spending.budget_of(tx, each.uid) for each in EVERY}
    assert found == {
        "root": "root",
        "middle": "middle",
        "leaf": "middle",
        "beside": "root",
        "other": None,
    }


async def test_what_runs_counts_as_far_as_it_was_heard_of(database: Database) -> None:
    await opened(database)
    async with database.write() as tx:
        for uid in ("leaf", "beside", "other"):
            await ledger.note_start(tx, uid, T0)
        await ledger.note_heartbeat(tx, "leaf", 3_000, T0 + timedelta(seconds=9))
        # A Model's server says that it lives, not for how long it has worked.
        await tx.execute(
            tables.runs.update()
            .where(tables.runs.c.uid == "beside")
            .values(heard_at=T0 + timedelta(seconds=2))
        )
    unit = Decimal("0.000000000000000001")
    async with database.read() as tx:
        middle, root = await spending.of_budgets(tx, "middle")
        assert (middle.spent, root.spent) == (3 * unit, 5 * unit)
        assert await spending.of_namespace(tx, "team", T0) == 5 * unit
    await close(database, "leaf", ending(4_000, good=False), T0)
    async with database.read() as tx:
        _, root = await spending.of_budgets(tx, "middle")
        assert root.spent == 6 * unit


async def test_a_correction_takes_back(database: Database) -> None:
    await opened(database)
    await close(database, "leaf", ending(0), T0)
    async with database.write() as tx:
        await spending.add(tx, namespace="team", run_uid="leaf", amount=Decimal(-123456789), at=T0)
    async with database.read() as tx:
        assert await spending.of_namespace(tx, "team", T0) == Decimal("0.123456789")
        budgets = await spending.of_budgets(tx, "middle")
        assert {each.spent for each in budgets} == {Decimal("0.123456789")}
