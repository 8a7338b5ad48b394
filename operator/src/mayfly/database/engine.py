"""The SQL database: SQLite (one gateway) or PostgreSQL (several), and its transactions.

Every table of the gateway belongs to `metadata`. Transactions are short and explicit: `read()` and
`write()` yield a connection, and a `write()` is committed when its block ends.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import BigInteger, MetaData, Table, literal, text
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from mayfly.database.schema import bring_up_to_date
from mayfly.listeners import Listeners

logger = logging.getLogger(__name__)

metadata = MetaData(
    naming_convention={"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)

_DRIVERS = {"postgresql": "postgresql+psycopg"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTED = "mayfly_noted"
PATIENCE_SECONDS = 5.0
"""How long a request waits for a database that is unavailable."""

RETRY_SECONDS = 0.5
_POSTGRESQL = {
    "connect_args": {
        "connect_timeout": 5,
        # A server that went without a word is noticed; a gateway that froze lets others write.
        "tcp_user_timeout": 15_000,
        "options": "-c lock_timeout=5s -c idle_in_transaction_session_timeout=60s",
    },
    "pool_size": 15,
    "max_overflow": 0,
    "pool_timeout": 5,
    "pool_pre_ping": True,
}
_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_POSTGRESQL_FULL = "53100"
_LOCK_NOT_HAD = "55P03"
_WRITERS_LOCK = 0x6D6179666C79  # "mayfly"
_POSTGRESQL_READ = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_stands_by: ContextVar[bool] = ContextVar("stands_by", default=False)
T = TypeVar("T")
Begin = Callable[[AsyncExitStack, AsyncEngine], Awaitable[AsyncConnection]]
_alembic: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Alembic keeps its context in a module, so only one task may be in it at a time."""


FAILURES = ("full", "busy", "connection", "other")
"""The kinds of failures of a transaction."""


class StorageError(Exception):
    """Not possible now. The message names the problem; retry once it is solved."""


class StorageFull(StorageError):
    """Nothing can be stored, because the disk is full."""


class StorageAway(StorageError):
    """Nothing can be read or stored: the database does not answer, or is locked."""


class Instant(TypeDecorator[datetime]):
    """A time as whole microseconds since 1970: exact and sortable in every database."""

    impl = BigInteger
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    @override
    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Database:
    """The engine and its transactions.

    Attributes:
        full: the last write failed because the disk is full.
        errors: number of failures, by kind (`FAILURES`).

    One transaction writes at a time, in all gateways of a database: what it reads stays true until
    its commit. Writers of this process queue on a lock; then a write takes the database's own lock
    at its start: SQLite's (`BEGIN IMMEDIATE`), or an advisory lock of PostgreSQL
    (docs/decisions/0009).
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._sqlite = parsed.drivername.startswith("sqlite")
        if self._sqlite:
            from mayfly.database import sqlite  # noqa: PLC0415 - as few dialects as are used

            on_loop = parsed.set(drivername=sqlite.ON_LOOP)
            in_threads = parsed.set(drivername=sqlite.IN_THREADS)
            self._engine = create_async_engine(on_loop, **sqlite.OPTIONS)
            self._bulk = create_async_engine(in_threads, **sqlite.BULK_OPTIONS)
            for engine in self.engines:
                sqlite.configure(engine)
        else:
            driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
            named = parsed.set(drivername=driver)
            self._engine = self._bulk = create_async_engine(named, **_POSTGRESQL)
        self._writers = asyncio.Lock()
        self.full = False
        self.errors: Counter[str] = Counter()
        self.commits: Listeners[object] = Listeners()
        self._away = False

    @property
    def engines(self) -> set[AsyncEngine]:
        """The engines of all transactions."""
        return {self._engine, self._bulk}

    async def create(self) -> None:
        """Create or migrate the tables.

        Raises:
            SchemaMismatch: not possible; nothing was changed.
        """
        loop = asyncio.get_running_loop()
        alembic = _alembic.setdefault(loop, asyncio.Lock())
        async with self.write(bulk=True) as tx, alembic:
            await tx.run_sync(bring_up_to_date, metadata.tables)

    async def ping(self) -> None:
        """Check that the database answers.

        Raises:
            StorageAway: it does not.
        """
        async with self._translated(), AsyncExitStack() as stack:
            await (await self._begin_read(stack, self._engine)).execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        for engine in self.engines:
            await engine.dispose()

    @asynccontextmanager
    async def read(self, *, bulk: bool = False) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction that sees one snapshot of the database.

        Args:
            bulk: it may look at many rows; SQLite does that in a thread, not on the event loop.

        Raises:
            StorageAway: the database does not answer, or stopped answering.
        """
        async with self._translated(), AsyncExitStack() as stack:
            yield await self._begun(stack, self._begin_read, bulk=bulk)

    @asynccontextmanager
    async def write(self, *, bulk: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; committed at the end, rolled back on an exception.

        Args:
            bulk: as in `read`.

        Raises:
            StorageFull: the disk is full.
            StorageAway: the database does not answer. If it stopped at the commit, it is unknown
                whether the commit was done.
        """
        async with self._translated():
            async with AsyncExitStack() as stack:
                yield await self._begun(stack, self._begin_write, bulk=bulk)
            if self.full:
                self.full = False
                logger.info("the database's disk has space again")

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            self.errors[_what_failed(error)] += 1
            if _is_full(error):
                if not self.full:
                    self.full = True
                    logger.warning("the database's disk is full: %s", error)
                raise StorageFull("the database's disk is full") from error
            if _is_away(error):
                self._note_away(error)
                raise StorageAway("the database does not answer") from error
            raise

    def _note_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            logger.warning("the database does not answer: %s", error)

    async def _begun(self, stack: AsyncExitStack, begin: Begin, *, bulk: bool) -> AsyncConnection:
        """Begin a transaction; if the database is unavailable, retry: nothing happened yet."""
        clock = asyncio.get_running_loop().time
        until = math.inf if _stands_by.get() else clock() + PATIENCE_SECONDS
        while True:
            try:
                async with AsyncExitStack() as attempt:
                    tx = await begin(attempt, self._bulk if bulk else self._engine)
                    stack.push_async_exit(attempt.pop_all())
            except SQLAlchemyError as error:
                if not _is_away(error) or clock() >= until:
                    raise
                self._note_away(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self._away:
                self._away = False
                logger.info("the database answers again")
            return tx

    async def _begin_read(self, attempt: AsyncExitStack, engine: AsyncEngine) -> AsyncConnection:
        # It begins with the first statement, and is rolled back: there is nothing to commit.
        tx = await attempt.enter_async_context(engine.connect())
        return tx if self._sqlite else await tx.execution_options(**_POSTGRESQL_READ)

    async def _begin_write(self, attempt: AsyncExitStack, engine: AsyncEngine) -> AsyncConnection:
        try:
            patience = None if _stands_by.get() else PATIENCE_SECONDS
            async with asyncio.timeout(patience):
                await self._writers.acquire()
        except TimeoutError as error:
            raise PoolTimeout("another transaction of this process writes") from error
        attempt.callback(self._writers.release)
        connection = await attempt.enter_async_context(engine.connect())
        noted: list[object] = []
        tx = await connection.execution_options(mayfly_write=True, **{_NOTED: noted})
        # Between commit and giving the connection back, where nothing is awaited.
        attempt.push(lambda problem, *_: None if problem else self._tell(noted))
        _ = await attempt.enter_async_context(tx.begin())
        if not self._sqlite:
            await tx.execute(text(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})"))
        return tx

    def _tell(self, noted: Iterable[object]) -> None:
        for each in noted:
            self.commits.tell(each)


def note(tx: AsyncConnection, what: object) -> None:
    """Notify the listeners of a `Database`, once the transaction is committed.

    Nothing is notified if the transaction is rolled back.
    """
    connection = tx.sync_connection
    noted = connection.get_execution_options().get(_NOTED) if connection is not None else None
    if noted is not None:  # None if it is not a transaction of a `Database`
        noted.append(what)


def stand_by() -> None:
    """Let this task, and those that it starts, wait for an unavailable database without limit.

    For background work, for which no client is waiting.
    """
    _stands_by.set(True)


async def insist(act: Callable[[], Awaitable[T]]) -> T:
    """Retry an idempotent action until the database has executed it."""
    while True:
        try:
            return await act()
        except StorageError as error:
            logger.warning("retrying: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


def _is_full(error: SQLAlchemyError) -> bool:
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return cause.sqlite_errorcode in _SQLITE_FULL
    return getattr(cause, "sqlstate", None) == _POSTGRESQL_FULL


def _is_away(error: SQLAlchemyError) -> bool:
    if isinstance(error, PoolTimeout):
        return True
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        return cause.sqlite_errorcode & 0xFF in _SQLITE_BUSY
    # Of PostgreSQL: no connection, a lost one, a server that ends or starts, a lock not had.
    return isinstance(error, OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _what_failed(error: SQLAlchemyError) -> str:
    if _is_full(error):
        return "full"
    if not _is_away(error):
        return "other"
    cause = getattr(error, "orig", None)
    waited = isinstance(error, PoolTimeout) or isinstance(cause, sqlite3.Error)
    return "busy" if waited or getattr(cause, "sqlstate", None) == _LOCK_NOT_HAD else "connection"


def insert_of(dialect: str, table: Table) -> Any:
    """The INSERT of a database, which knows ON CONFLICT."""
    # The one that the engine has loaded: to import both would slow each start.
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)


async def insert_once(tx: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there.

    Returns:
        Whether the row is new.
    """
    # RETURNING, because the drivers don't agree on how many rows an INSERT has touched.
    return (await tx.execute(_insert_once(tx.dialect.name, table), values)).first() is not None


@cache
def _insert_once(dialect: str, table: Table) -> ReturningInsert[Any]:
    made: ReturningInsert[Any] = (
        insert_of(dialect, table).on_conflict_do_nothing().returning(literal(1))
    )
    return made
