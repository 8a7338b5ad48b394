"""Queries over a long history are served by an index, in order: their plans, in both databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from benchmarks import long_ledger
from sqlalchemy import Select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.servers.postgresql import BOTH

from mayfly.database.engine import Database
from mayfly.gateway.cleanup import removal
from mayfly.metering import explain, filters, listing, sums
from mayfly.metering.filters import Filter
from mayfly.metering.listing import Span
from mayfly.metering.tables import runs

pytestmark = BOTH

PREDICTIONS = 3000
MOMENT = datetime(2026, 10, 20, tzinfo=UTC)
PLACE = (MOMENT, "0" * 26)
TREE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def tx(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncConnection]:
    monkeypatch.setattr(long_ledger, "TREE", 10)  # many trees in few predictions
    database = Database(database_url)
    await long_ledger.fill(database, PREDICTIONS)
    async with database.read() as tx:
        yield tx
    await database.close()


async def plan(tx: AsyncConnection, query: Select[Any]) -> str:
    """The plan as text."""
    compiled = query.compile(dialect=tx.dialect, compile_kwargs={"literal_binds": True})
    if tx.dialect.name == "postgresql":  # a small table is scanned and sorted where it may be
        for way in ("seqscan", "sort", "incremental_sort", "bitmapscan", "hashjoin", "mergejoin"):
            await tx.execute(text(f"SET LOCAL enable_{way} = off"))
    explain = "EXPLAIN QUERY PLAN " if tx.dialect.name == "sqlite" else "EXPLAIN (FORMAT JSON) "
    found = (await tx.exec_driver_sql(explain + str(compiled).replace("%%", "%"))).all()
    if tx.dialect.name == "sqlite":
        return "\n".join(row[3] for row in found)
    return "\n".join(_steps(found[0][0][0]["Plan"]))


def _steps(node: dict[str, Any]) -> list[str]:
    own = " ".join(str(node.get(key, "")) for key in ("Node Type", "Relation Name", "Index Name"))
    return [own.strip(), *(line for each in node.get("Plans", ()) for line in _steps(each))]


def assert_served(shown: str, index: str) -> None:
    assert index in shown, shown
    for word in ("TEMP B-TREE", "Sort", "SCAN runs", "Seq Scan", "MULTI-INDEX OR"):
        assert word not in shown, shown


@pytest.mark.parametrize(
    ("span", "index"),
    [
        (Span(), "ix_runs_created_at"),
        (Span(before=PLACE), "ix_runs_created_at"),
        (Span(created_after=MOMENT, created_before=long_ledger.END), "ix_runs_created_at"),
        (Span("team-1"), "ix_runs_namespace"),
        (Span("team-1", before=PLACE), "ix_runs_namespace"),
        (Span("team-1", root_uid=TREE), "ix_runs_tree"),
        (Span("team-1", root_uid=TREE, before=PLACE), "ix_runs_tree"),
    ],
    ids=str,
)
async def test_a_page_is_read_in_the_order_of_an_index(
    tx: AsyncConnection, span: Span, index: str
) -> None:
    shown = await plan(tx, listing.query(span))
    if tx.dialect.name == "sqlite" and span == Span():
        shown = shown.replace("SCAN runs USING INDEX", "")  # from its end, up to the limit
    if span.root_uid is None or tx.dialect.name == "sqlite":
        assert_served(shown, index)
    else:  # PostgreSQL expects one row, and sorting one costs nothing
        assert index in shown


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(model=("team", "pipeline-1")), "ix_runs_model"),
        (Filter(statuses=frozenset({"failed"})), "ix_runs_rare"),
        (Filter(statuses=frozenset({"canceled"})), "ix_runs_rare"),
        (Filter(statuses=frozenset({"succeeded"})), "ix_runs_namespace"),
        (Filter(roots=True), "ix_runs_roots"),
    ],
    ids=str,
)
async def test_a_filtered_page_is_read_in_the_order_of_an_index(
    tx: AsyncConnection, wanted: Filter, index: str
) -> None:
    span = Span("team-1", before=PLACE)
    shown = await plan(tx, filters.query(listing.SLIM, span, wanted))
    assert_served(shown, index if tx.dialect.name == "sqlite" else "ix_runs_")


async def test_a_report_of_days_reads_no_record(tx: AsyncConnection) -> None:
    for namespace in (None, "team-1"):
        shown = await plan(tx, sums.query_days("2026-10-05", "2026-10-07", namespace, {"model"}))
        assert "usage_records" not in shown
        assert "usage_days" in shown


@pytest.mark.parametrize("apart", [{"root_uid"}, {"root_uid", "kind", "model"}], ids=len)
async def test_a_report_of_trees_reads_their_sums_in_order(
    tx: AsyncConnection, apart: set[str]
) -> None:
    """So too many rows are seen before all of them are read."""
    for namespace in (None, "team-1"):
        query = sums.query_days("2026-10-05", "2026-10-07", namespace, apart)
        shown = await plan(tx, query)
        assert "usage_records" not in shown
        assert "usage_trees" in shown
        for word in ("TEMP B-TREE", "Sort", "SCAN usage_trees", "Seq Scan"):
            assert word not in shown, shown


async def test_the_rest_of_a_day_is_found_by_an_index(tx: AsyncConnection) -> None:
    rest = sums.query_rest(MOMENT, MOMENT.replace(minute=10), None, {"model"})
    assert "ix_usage_records_recorded_at" in await plan(tx, rest)


async def test_the_bills_of_a_name_are_found_by_an_index(tx: AsyncConnection) -> None:
    """SQLite sorts them, since it expects one."""
    shown = await plan(tx, explain.query_named("team-1", "nightly").limit(11))
    assert_served(shown.replace("USE TEMP B-TREE FOR ORDER BY", ""), "ix_usage_records_name")


async def test_the_sweep_finds_what_is_due_by_its_end(tx: AsyncConnection) -> None:
    for theirs in (runs.c.namespace.not_in(["team-1"]), runs.c.namespace == "team-1"):
        due = removal.over(theirs, datetime(2026, 10, 17, tzinfo=UTC), after=None)
        assert "ix_runs_kept" in (shown := await plan(tx, due)), shown
        assert "SCAN runs" not in shown


async def test_calls_are_counted_without_a_look_at_predictions(tx: AsyncConnection) -> None:
    counted = await listing.count_calls(tx, [("team", f"pipeline-{n}") for n in range(20)])
    in_all = await tx.scalar(text("SELECT count(*) FROM runs"))
    assert sum(counted.values()) == in_all == PREDICTIONS


async def test_what_changed_and_what_was_made_is_found_by_an_index(tx: AsyncConnection) -> None:
    for moment, index in (
        (runs.c.created_at, "ix_runs_created_at"),
        (runs.c.closed_at, "ix_runs_open"),
    ):
        assert_served(await plan(tx, listing.query_touched(moment, MOMENT, 500)), index)
    parents = [f"{number:08}-0000-4000-8000-000000000000" for number in range(100)]
    made = await plan(tx, listing.query_children(parents, ("", ""), 500))
    assert "ix_runs_parent_uid" in made, made
    assert "SCAN runs" not in made


async def test_children_come_whole_page_by_page(tx: AsyncConnection) -> None:
    found = await tx.execute(runs.select().where(runs.c.parent_uid.is_not(None)))
    every = {row.uid: row.parent_uid for row in found}
    parents = sorted(set(every.values()))[:40]
    read: list[str] = []
    last = ("", "")
    while page := await listing.children(tx, parents, last, 7):
        read += [row.uid for row in page]
        last = (page[-1].parent_uid or "", page[-1].uid)
        assert {row.output for row in page} == {None}
    wanted = [uid for uid, parent in every.items() if parent in parents]
    assert sorted(read) == sorted(wanted)
    assert len(read) > 7
