"""Costs that must not grow with history: lists, reports, counts and the sweep of a long ledger.

`make bench BENCH=history` fills databases of its own, without a cluster, and prints the times.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from benchmarks import machine
from benchmarks.long_ledger import BASE, END, MONTH, NAMESPACES, PIPELINES, fill, records
from support.servers.postgresql import server

import mayfly.gateway.app  # noqa: F401 - every table hangs on the metadata
from mayfly.database.engine import Database
from mayfly.gateway.billing import presenter, routes
from mayfly.gateway.cleanup import removal
from mayfly.metering import focus, ledger, listing, reports
from mayfly.metering.periods import Month
from mayfly.metering.records import UsageRecord
from mayfly.metering.reports import Key
from mayfly.metering.tables import runs

TIMES = 5
CLOSING = 10
TOO_MANY = [Key.TREE, Key.MODEL]


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


async def measure(database: Database) -> AsyncIterator[Took]:
    """What each of them takes."""
    async with database.read(bulk=True) as tx:
        (newest,) = await listing.page(tx, listing.Span(limit=1))
        old = await listing.page(tx, listing.Span(limit=1, created_before=MONTH + timedelta(9)))
    root = next(each.root_uid for each in _some(100) if each.parent_uid)
    place = (old[0].created_at, old[0].id)
    yield await _timed(database, "nothing", _nothing)
    for what, span in {
        "list, all namespaces": listing.Span(),
        "list, all namespaces, an old page": listing.Span(before=place),
        "list, one namespace": listing.Span(newest.namespace),
        "list, one namespace, an old page": listing.Span(newest.namespace, before=place),
        "list, a run's tree": listing.Span(NAMESPACES[0], root_uid=root),
        "list, a namespace without any": listing.Span("nobody"),
    }.items():
        yield await _timed(database, what, lambda span=span: _page(database, span))
    month = reports.Span(MONTH, END)
    for keys in ([Key.PIPELINE, Key.DAY], [Key.NAMESPACE], [Key.MODEL], [], [Key.TREE], TOO_MANY):
        what = f"report of the month by {' and '.join(keys) or 'nothing'}"
        what += ": too many rows" if keys is TOO_MANY else ""
        yield await _timed(database, what, lambda keys=keys: _report(database, month, keys))
    moved = reports.Span(MONTH + timedelta(hours=8), END - timedelta(hours=16))
    what = "report of the month by tree, not by UTC"
    yield await _timed(database, what, lambda: _report(database, moved, [Key.TREE]))
    day = reports.Span(MONTH, MONTH + timedelta(days=1))
    for what, header, lines in (
        ("FOCUS of a day", focus.HEADER, focus.lines),
        ("records of a day, CSV", reports.HEADER, lambda each, _: [reports.line_of(each)]),
    ):
        act = partial(_export, database, day, header, lines)
        yield await _timed(database, what, act, times=1)
    what = f"close of the month, {CLOSING} s of it"
    yield await _timed(database, what, partial(_close, database), times=1)
    names = [("team", f"pipeline-{number}") for number in range(PIPELINES)]
    yield await _timed(database, "counts for models", lambda: _counts(database, names))
    yield await _timed(database, "sweep's look at trees", lambda: _due(database))


def _some(number: int) -> list[UsageRecord]:
    return list(records(number))


async def _page(database: Database, span: listing.Span) -> None:
    async with database.read(bulk=True) as tx:
        await listing.page(tx, span)


async def _nothing() -> None:
    await asyncio.sleep(0.1)


async def _report(database: Database, span: reports.Span, keys: Sequence[Key]) -> None:
    try:
        rows = await reports.report(database, span, keys)
    except reports.TooManyRows:
        assert keys is TOO_MANY
        return
    await routes.joined(presenter.report(span, keys, rows))


async def _export(database: Database, span: reports.Span, header: str, lines: routes.Lines) -> None:
    async for _ in routes.exported(database, span, header, lines):
        pass


async def _close(database: Database) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSING):
            await reports.close(database, Month.of(MONTH), END, "benchmark")


async def _counts(database: Database, names: list[tuple[str, str]]) -> None:
    async with database.read(bulk=True) as tx:
        assert sum((await listing.count_calls(tx, names)).values())


async def _due(database: Database) -> None:
    """Of a retention of 40 days for most, and of a day for a namespace of old predictions only."""
    for theirs, before in (
        (runs.c.namespace.not_in(["nobody", *NAMESPACES[:5]]), MONTH + timedelta(days=15)),
        (runs.c.namespace.not_in(NAMESPACES), END),
        (runs.c.namespace == "nobody", END),
    ):
        async with database.read(bulk=True) as tx:
            query = removal.over(theirs, before, after=None)
            assert not (await tx.execute(query)).all()


async def _timed(
    database: Database, what: str, act: Callable[[], Awaitable[None]], times: int = TIMES
) -> Took:
    took = []
    async with _writer(database) as waits:
        for _ in range(times):
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
        async for each in measure(database):
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
    if options.n > BASE and options.n % BASE:
        parser.error(f"-n above {BASE} is a multiple of it")
    _say(f"{machine.describe()}; commit {machine.commit()}")
    with ExitStack() as stack:
        if options.database != "postgresql":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            asyncio.run(scenario(f"sqlite:///{folder}/mayfly.db", options.n))
        if options.database != "sqlite":
            running = stack.enter_context(server())
            url = stack.enter_context(running.database(template="template1"))
            asyncio.run(scenario(url, options.n))
