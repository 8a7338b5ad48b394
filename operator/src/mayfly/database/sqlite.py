"""SQLite on the event loop: a short statement runs where it is, without a thread.

A statement that finds its rows by an index takes some ten microseconds; to hand it to a thread and
back takes many times that. Only a commit goes to a thread, because it waits for the disk
(docs/decisions/0012).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool
from sqlalchemy.util import await_only
from typing_extensions import override

from mayfly.database import exact

ON_LOOP = "sqlite+onloop"
"""The driver of short transactions."""

IN_THREADS = "sqlite+aiosqlite"
"""The driver of transactions that look at many rows: each connection has a thread."""


class _Cursor(sqlite3.Cursor):
    """Reads all rows of a statement at once, so that none stays open in a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._rows: deque[Any] = deque()

    @override
    def execute(self, statement: str, parameters: Any = (), /) -> Self:
        super().execute(statement, parameters)
        self._rows = deque(super().fetchall())
        await_only(self._async_soft_close())  # SQLAlchemy refuses a driver that awaits nothing
        return self

    @override
    def executemany(self, statement: str, parameters: Any, /) -> Self:
        super().executemany(statement, parameters)
        await_only(self._async_soft_close())
        return self

    @override
    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    @override
    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or 1, len(self._rows)))]

    @override
    def fetchall(self) -> list[Any]:
        rows, self._rows = list(self._rows), deque()
        return rows

    async def _async_soft_close(self) -> None:
        """Free what the statement holds, as SQLAlchemy asks of an asynchronous driver: nothing."""


class Connection(sqlite3.Connection):
    """A connection whose cursors SQLAlchemy can use on the event loop."""

    @override
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


OPTIONS: dict[str, Any] = {
    "connect_args": {"timeout": 0, "check_same_thread": False, "factory": Connection},
    "pool_size": 15,
    "max_overflow": 0,
    "pool_use_lifo": True,
}
"""For an engine with `ON_LOOP`. A lock that another process has is not waited for on the loop:
`Database` asks again. No connection is closed after use, because to open one takes longer than
most transactions."""

BULK_OPTIONS: dict[str, Any] = {"connect_args": {"timeout": 5}}
"""For an engine with `IN_THREADS`: a thread may wait for a lock."""


class OnLoop(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect for `sqlite3`, for an asynchronous engine."""

    driver = "onloop"
    is_async = True
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._committer = ThreadPoolExecutor(1, "commit")  # one transaction writes at a time

    @classmethod
    @override
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    @override
    def do_commit(self, dbapi_connection: Any) -> None:
        loop = asyncio.get_running_loop()
        await_only(_whole(loop.run_in_executor(self._committer, dbapi_connection.commit)))


registry.register("sqlite.onloop", __name__, OnLoop.__name__)


async def _whole(commit: asyncio.Future[None]) -> None:
    """Wait for a commit to its end, even if cancelled: its connection must not be used before."""
    try:
        await asyncio.shield(commit)
    except asyncio.CancelledError:
        while not commit.done():
            try:
                await asyncio.wait([commit])
            except asyncio.CancelledError:
                continue
        raise


def configure(engine: AsyncEngine) -> None:
    """Set up an engine's connections, and begin its transactions.

    A connection with the option `mayfly_write` takes SQLite's lock when its transaction begins.
    """
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)


def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    exact.configure(connection)


def _begin(connection: sqlalchemy.Connection) -> None:
    if connection.get_execution_options().get("mayfly_write"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    cursor = connection.connection.cursor()  # takes no lock, and can't fail
    cursor.execute("BEGIN")
    cursor.close()
