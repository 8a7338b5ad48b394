"""The SQL database: SQLite (one gateway) or PostgreSQL (several), and how a transaction begins.

Every table of the gateway hangs on `metadata`. Transactions are short and explicit: `read()` and
`write()` give a connection, and what a `write()` did is committed when its block ends.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import BigInteger, Connection, MetaData, String, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from mayfly.metering.schema import bring_up_to_date

logger = logging.getLogger(__name__)

metadata = MetaData(
    naming_convention={"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY_SECONDS = 20
_NOTED = "mayfly_noted"
_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_POSTGRESQL_FULL = "53100"
_WRITERS_LOCK = 0x6D6179666C79  # "mayfly"
_alembic: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Alembic keeps its context in a module, and must not be entered twice while it waits for SQL."""

FAILURES = ("full", "busy", "connection", "other")
"""What can be wrong with a transaction."""


class StorageFull(Exception):
    """Nothing can be stored: the disk is full. Trying again helps once there is room."""


class Instant(TypeDecorator[datetime]):
    """A moment as whole microseconds since 1970: exact and sortable in every database."""

    impl = BigInteger
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    @override
    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Exact(TypeDecorator[Decimal]):
    """A decimal as text: SQLite would make a float of it."""

    impl = String(160)
    cache_ok = True

    @override
    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Database:
    """The engine and its transactions.

    Attributes:
        full: the last write found no room on the disk.
        errors: how often the database failed, by what was wrong: full, busy, connection, other.
        on_commit: called with each thing that a transaction noted, once that is committed.

    One transaction writes at a time, in all gateways of a database: what it reads stays true until
    its commit. Writers of this process queue on a lock, and a write takes the database's own at its
    start: SQLite's (`BEGIN IMMEDIATE`), or an advisory one of PostgreSQL's (decision 9).
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
        self._sqlite = driver.startswith("sqlite")
        options: dict[str, Any] = (
            {"connect_args": {"timeout": _BUSY_SECONDS}} if self._sqlite else {}
        )
        self._engine = create_async_engine(parsed.set(drivername=driver), **options)
        self._writers = asyncio.Lock()
        self.full = False
        self.errors: Counter[str] = Counter()
        self.on_commit: Callable[[object], None] = _ignore
        if self._sqlite:
            event.listen(self._engine.sync_engine, "connect", _configure_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

    async def create(self) -> None:
        """Bring the tables to what this code needs.

        Raises:
            SchemaMismatch: they can't be; nothing was changed.
        """
        loop = asyncio.get_running_loop()
        alembic = _alembic.setdefault(loop, asyncio.Lock())
        async with self.write() as tx, alembic:
            await tx.run_sync(bring_up_to_date)

    async def ping(self) -> None:
        """Ask the database for an answer; raises its error when there is none."""
        async with self.read() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads."""
        try:
            async with self._engine.connect() as tx, tx.begin():
                yield tx
        except DBAPIError as error:
            self.errors[_what_failed(error)] += 1
            raise

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; committed at the end, rolled back on an exception.

        Raises:
            StorageFull: there is no room for it.
        """
        noted: list[object] = []
        try:
            async with self._write(noted) as tx:
                yield tx
        except DBAPIError as error:
            self.errors[_what_failed(error)] += 1
            if not _is_full(error):
                raise
            if not self.full:
                self.full = True
                logger.warning("the database's disk is full: %s", error.orig)
            raise StorageFull("the database's disk is full") from error
        if self.full:
            self.full = False
            logger.info("the database's disk has room again")

    @asynccontextmanager
    async def _write(self, noted: list[object]) -> AsyncIterator[AsyncConnection]:
        async with self._writers, self._engine.connect() as connection:
            tx = await connection.execution_options(mayfly_write=True, **{_NOTED: noted})
            async with tx.begin():
                if not self._sqlite:
                    await tx.execute(text(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})"))
                yield tx
            # Before the connection is given back: nothing is awaited between commit and telling.
            for each in noted:
                self.on_commit(each)


def note(tx: AsyncConnection, what: object) -> None:
    """Have `Database.on_commit` called with something once the transaction is committed.

    It is not called when the transaction is rolled back.
    """
    connection = tx.sync_connection
    noted = connection.get_execution_options().get(_NOTED) if connection is not None else None
    if noted is not None:  # else nobody can listen: it is no transaction of a `Database`
        noted.append(what)


def _ignore(_: object) -> None:
    """Nobody listens."""


def _what_failed(error: DBAPIError) -> str:
    if _is_full(error):
        return "full"
    if error.connection_invalidated:
        return "connection"
    if isinstance(error.orig, sqlite3.Error):
        # The extended code's low byte is the code.
        return "busy" if error.orig.sqlite_errorcode & 0xFF in _SQLITE_BUSY else "other"
    state = getattr(error.orig, "sqlstate", None)
    return "connection" if state is None or state.startswith("08") else "other"


def _is_full(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode in _SQLITE_FULL
    return getattr(error.orig, "sqlstate", None) == _POSTGRESQL_FULL


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("mayfly_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


async def insert_once(tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there.

    Returns:
        Whether the row is new.
    """
    dialect = sqlite if tx.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
    return (await tx.execute(statement)).rowcount == 1
