"""A long ledger, made fast: a month of predictions in trees, with their records and sums."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Table,
    func,
    insert,
    literal,
    select,
    text,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from support.bills import PRICES, bill

import mayfly.gateway.app  # noqa: F401 - every table hangs on the metadata
from mayfly.api.v1alpha1.identity import run_id
from mayfly.database.engine import Database, Instant
from mayfly.metering import sums
from mayfly.metering.ledger import RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.tables import call_counts, runs, usage_records

MONTH = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
MIDDLE = MONTH + (END - MONTH) / 2
NAMESPACES = [f"team-{number}" for number in range(10)]
PIPELINES = 20
TREE = 199
"""Predictions of a tree: one run and its children; every other tree is one prediction.

A million of them are as many trees as a report may have rows."""

BASE = 20_000
FILLING_KIB = 500_000
SQLITE_KIB = 2_000
BATCH = 5_000


def records(number: int, seed: int = 1) -> Iterator[UsageRecord]:
    """A month's records, oldest first; each prediction has one."""
    dice = random.Random(seed)
    step = _step(number)
    root, like = "", bill(0)
    for position in range(number):
        own = str(UUID(int=dice.getrandbits(128)))
        within = position % (TREE + 1)
        is_root = within in {0, TREE}
        root = own if is_root else root
        at = MONTH + step * position
        active_ms = dice.randrange(1, 60_000)
        yield replace(
            like,
            record_id=own,
            run_uid=own,
            kind="run" if is_root else "model",
            id=run_id(own),
            namespace=NAMESPACES[position // (TREE + 1) % len(NAMESPACES)],
            name=f"run-{position}",
            pipeline=f"pipeline-{dice.randrange(PIPELINES)}",
            root_uid=root,
            parent_uid=None if is_root else root,
            depth=1 if is_root else 2,
            active_ms=active_ms,
            cost=Decimal("0.01") + Decimal("0.000025") * active_ms / 1000,
            started_at=at,
            completed_at=at,
            recorded_at=at,
        )


def _step(number: int) -> timedelta:
    return (END - MONTH) / (number + 1)


def row_of(record: UsageRecord) -> RunRow:
    """The closed row of `runs` of a record; of the first half of the month, its data is removed."""
    return RunRow(
        uid=record.run_uid,
        id=record.id,
        namespace=record.namespace,
        name=record.name,
        pipeline_namespace=record.pipeline_namespace,
        pipeline=record.pipeline,
        version=record.version,
        root_uid=record.root_uid,
        parent_uid=record.parent_uid,
        depth=record.depth,
        runtime_digest=record.runtime_digest,
        prices=PRICES,
        currency=record.currency,
        input_json='{"prompt": "an astronaut riding a rainbow unicorn"}',
        output='"a text of some length that a pipeline returned"',
        created_at=record.recorded_at,
        opened_at=record.recorded_at,
        outcome=record.outcome,
        reason=record.reason,
        completed_at=record.completed_at,
        closed_at=record.recorded_at,
        closed_by="gateway",
        kind=record.kind,
        downstream=Decimal(0),
        data_removed=record.recorded_at < MIDDLE,
    )


async def fill(database: Database, number: int) -> None:
    """Write a ledger of so many predictions, with its sums; its indexes are made afterwards.

    The first `BASE` are made here, and the database makes the others of them.
    """
    indexes = [*runs.indexes, *usage_records.indexes]
    made = islice(records(number), BASE)
    async with database.write(bulk=True) as tx:
        await _cache(tx, FILLING_KIB)
        for index in indexes:
            await tx.run_sync(index.drop)
        while batch := list(islice(made, BATCH)):
            await _write(tx, runs, [row_of(each) for each in batch])
            await _write(tx, usage_records, batch)
    for copy in range(1, number // BASE):
        async with database.write(bulk=True) as tx:
            await tx.execute(_again(runs, copy, number))
            await tx.execute(_again(usage_records, copy, number))
    async with database.write(bulk=True) as tx:
        for index in indexes:
            await tx.run_sync(index.create)
        await _sum_up(tx)
        await tx.execute(text("ANALYZE"))
        await _cache(tx, SQLITE_KIB)


async def _cache(tx: AsyncConnection, kib: int) -> None:
    """Let SQLite keep so much in memory; with its usual size it writes a page many times."""
    if tx.dialect.name == "sqlite":
        await tx.exec_driver_sql(f"PRAGMA cache_size = -{kib}")


def _again(table: Table, copy: int, number: int) -> Insert:
    """The statement that writes the first predictions again, as later ones."""
    later = _step(number) * BASE
    at = table.c.recorded_at if table is usage_records else table.c.created_at
    values: dict[str, ColumnElement[Any]] = {}
    for column in table.columns:
        own: ColumnElement[Any] = column
        if isinstance(column.type, Instant):
            own = type_coerce(column, BigInteger) + later * copy // timedelta(microseconds=1)
        elif column.name in {"uid", "record_id", "run_uid", "root_uid", "parent_uid"}:
            own = func.substr(column, 1, 28) + f"{copy:08x}"
        elif column.name == "id":
            own = func.substr(column, 1, 18) + f"{copy:08x}"
        elif column.name == "data_removed":
            own = literal(MONTH + later * copy < MIDDLE)
        values[column.name] = own
    found = select(*values.values()).where(at < MONTH + later)
    return insert(table).from_select(list(values), found)


async def _sum_up(tx: AsyncConnection) -> None:
    for day in range((END - MONTH).days):
        since = MONTH + timedelta(days=day)
        for table in (sums.usage_days, sums.usage_trees):
            apart = {column.name for column in table.primary_key}
            query = sums.query_rest(since, since + timedelta(days=1), None, apart)
            rows = [
                {name: value for name, value in row.items() if name in table.c}
                for row in (await tx.execute(query)).mappings()
            ]
            if rows:
                await tx.execute(insert(table), rows)
    called = (usage_records.c.pipeline_namespace, usage_records.c.pipeline)
    counted = select(*called, func.count()).group_by(*called)
    await tx.execute(insert(call_counts).from_select(["namespace", "name", "calls"], counted))


async def _write(tx: AsyncConnection, table: Table, rows: Sequence[RunRow | UsageRecord]) -> None:
    """Write rows by what the drivers are fastest with."""
    dialect = tx.dialect
    ways = [
        (column.name, column.type.dialect_impl(dialect).bind_processor(dialect))
        for column in table.columns
    ]
    values = [
        tuple(way(getattr(row, name)) if way else getattr(row, name) for name, way in ways)
        for row in rows
    ]
    names = ", ".join(name for name, _ in ways)
    if dialect.name == "sqlite":
        marks = ", ".join("?" for _ in ways)
        await tx.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", values)
        return
    driver = (await tx.get_raw_connection()).driver_connection
    async with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy,
    ):
        for row in values:
            await copy.write_row(row)
