"""Costs that must not grow with history: lists, reports, counts and the sweep of a long ledger.

`make bench BENCH=history` fills databases of its own, without a cluster, and prints the times.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks import machine
from sqlalchemy import insert, text
from support.bills import PRICES, bill
from support.servers.postgresql import server

import mayfly.gateway.app  # noqa: F401 - every table hangs on the metadata
from mayfly.api.v1alpha1.identity import run_id
from mayfly.database.engine import Database
from mayfly.gateway.cleanup import removal
from mayfly.metering import ledger, listing, reports, sums
from mayfly.metering.ledger import RunRow
from mayfly.metering.records import UsageRecord
from mayfly.metering.reports import Key
from mayfly.metering.tables import call_counts, runs, usage_records

MONTH = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
NAMESPACES = [f"team-{number}" for number in range(10)]
PIPELINES = 20
TREE = 10
"""Predictions of a tree: one run and its children; every other tree is one prediction."""

BATCH = 5_000
TIMES = 5


@dataclass(frozen=True)
class Took:
    """What something took, in milliseconds.

    Attributes:
        typical: the median of some.
        longest: the slowest of them.
        blocked: the longest that a small write had to wait meanwhile.
    """

    what: str
    typical: float
    longest: float
    blocked: float


def records(number: int, seed: int = 1) -> Iterator[UsageRecord]:
    """A month's records, oldest first; each prediction has one."""
    dice = random.Random(seed)
    step = (END - MONTH) / (number + 1)
    root, like = "", bill(0)
    for position in range(number):
        own = str(UUID(int=dice.getrandbits(128)))
        within = position % (2 * TREE)
        is_root = within == 0 or within > TREE
        root = own if is_root else root
        at = MONTH + step * position
        active_ms = dice.randrange(1, 60_000)
        yield replace(
            like,
            record_id=own,
            run_uid=own,
            kind="run" if is_root else "model",
            id=run_id(own),
            namespace=NAMESPACES[position // (2 * TREE) % len(NAMESPACES)],
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
        data_removed=record.recorded_at < MONTH + (END - MONTH) / 2,
    )


async def fill(database: Database, number: int) -> None:
    """Write a ledger of so many predictions, with its sums."""
    days: dict[tuple[str, ...], dict[str, Any]] = {}
    calls: dict[tuple[str, str], int] = {}
    batch: list[UsageRecord] = []
    for record in records(number):
        batch.append(record)
        _count(days, record)
        key = (record.pipeline_namespace, record.pipeline)
        calls[key] = calls.get(key, 0) + 1
        if len(batch) == BATCH:
            await _write(database, batch)
            batch = []
    await _write(database, batch)
    async with database.write() as tx:
        await tx.execute(insert(sums.usage_days), list(days.values()))
        counted = [{"namespace": a, "name": b, "calls": n} for (a, b), n in calls.items()]
        await tx.execute(insert(call_counts), counted)
        await tx.execute(text("ANALYZE"))


def _count(days: dict[tuple[str, ...], dict[str, Any]], record: UsageRecord) -> None:
    place = {
        "day": sums.day_of(record.recorded_at),
        "namespace": record.namespace,
        "kind": record.kind,
        "model": record.model,
        "currency": record.currency,
    }
    names = ("active_ms", "output_items", "input_tokens", "output_tokens", "cost")
    empty = {**place, "predictions": 0, **dict.fromkeys(names, 0)}
    day = days.setdefault(tuple(place.values()), empty)
    day["predictions"] += 1
    for name in names:
        day[name] += getattr(record, name)


async def _write(database: Database, batch: list[UsageRecord]) -> None:
    if not batch:
        return
    async with database.write() as tx:
        await tx.execute(insert(runs), [_values(row_of(each)) for each in batch])
        await tx.execute(insert(usage_records), [_values(each) for each in batch])


def _values(row: RunRow | UsageRecord) -> dict[str, Any]:
    return {each.name: getattr(row, each.name) for each in fields(row)}


async def measure(database: Database) -> list[Took]:
    """What each of them takes."""
    async with database.read() as tx:
        (newest,) = await listing.page(tx, listing.Span(limit=1))
        old = await listing.page(tx, listing.Span(limit=1, created_before=MONTH + timedelta(9)))
    root = next(each.root_uid for each in _some(100) if each.parent_uid)
    place = (old[0].created_at, old[0].id)
    found = []
    for what, span in {
        "list, all namespaces": listing.Span(),
        "list, all namespaces, an old page": listing.Span(before=place),
        "list, one namespace": listing.Span(newest.namespace),
        "list, one namespace, an old page": listing.Span(newest.namespace, before=place),
        "list, a run's tree": listing.Span(NAMESPACES[0], root_uid=root),
        "list, a namespace without any": listing.Span("nobody"),
    }.items():
        found.append(await _timed(database, what, lambda span=span: _page(database, span)))
    for keys in ([Key.PIPELINE, Key.DAY], [Key.NAMESPACE], [Key.MODEL], [], [Key.TREE]):
        what = f"report of the month by {' and '.join(keys) or 'nothing'}"
        found.append(await _timed(database, what, lambda keys=keys: _report(database, keys)))
    names = [("team", f"pipeline-{number}") for number in range(PIPELINES)]
    found.append(await _timed(database, "counts for models", lambda: _counts(database, names)))
    found.append(await _timed(database, "sweep's look at trees", lambda: _due(database)))
    return found


def _some(number: int) -> list[UsageRecord]:
    return list(records(number))


async def _page(database: Database, span: listing.Span) -> None:
    async with database.read() as tx:
        await listing.page(tx, span)


async def _report(database: Database, keys: list[Key]) -> None:
    try:
        await reports.report(database, reports.Span(MONTH, END), keys)
    except reports.TooManyRows:
        return


async def _counts(database: Database, names: list[tuple[str, str]]) -> None:
    async with database.read() as tx:
        assert sum((await listing.count_calls(tx, names)).values())


async def _due(database: Database) -> None:
    """Of a retention of 40 days for most, and of a day for a namespace of old predictions only."""
    for theirs, before in (
        (runs.c.namespace.not_in(["nobody", *NAMESPACES[:5]]), MONTH + timedelta(days=15)),
        (runs.c.namespace.not_in(NAMESPACES), END),
        (runs.c.namespace == "nobody", END),
    ):
        async with database.read() as tx:
            query = removal.over(theirs, before, after=None)
            assert not (await tx.execute(query)).all()


async def _timed(database: Database, what: str, act: Callable[[], Awaitable[None]]) -> Took:
    took = []
    async with _writer(database) as waits:
        for _ in range(TIMES):
            began = time.perf_counter()
            await act()
            took.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
    return Took(what, sorted(took)[len(took) // 2], max(took), max(waits, default=0.0))


@asynccontextmanager
async def _writer(database: Database) -> AsyncIterator[list[float]]:
    """A writer of small transactions, and how long each one took, in milliseconds."""
    waits: list[float] = []

    async def write() -> None:
        while True:
            began = time.perf_counter()
            async with database.write() as tx:
                await ledger.note_heartbeat(tx, "nobody", 1, END)
            waits.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.005)

    task = asyncio.create_task(write())
    try:
        yield waits
    finally:
        task.cancel()
        await asyncio.wait([task])


async def scenario(url: str, number: int) -> None:
    """Fill one database, measure, and print."""
    database = Database(url)
    try:
        await database.create()
        began = time.monotonic()
        await fill(database, number)
        kind = url.partition(":")[0]
        _say(f"{kind}: {number} predictions, written in {time.monotonic() - began:.0f} s")
        _say(f"{'':40} {'ms':>9} {'longest':>9} {'a write':>9}")
        for each in await measure(database):
            times = f"{each.typical:9.1f} {each.longest:9.1f} {each.blocked:9.1f}"
            _say(f"{each.what:40} {times}")
    finally:
        await database.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: list[str]) -> None:
    """Measure the databases that were asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks history", description=__doc__)
    parser.add_argument("-n", type=int, default=200_000, help="predictions (200000)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="one; both without")
    options = parser.parse_args(words)
    _say(f"{machine.describe()}; commit {machine.commit()}")
    with ExitStack() as stack:
        if options.database != "postgresql":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            asyncio.run(scenario(f"sqlite:///{folder}/mayfly.db", options.n))
        if options.database != "sqlite":
            running = stack.enter_context(server())
            url = stack.enter_context(running.database(template="template1"))
            asyncio.run(scenario(url, options.n))
