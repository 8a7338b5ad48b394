"""Stores a run's log and the items of an iterator's output in SQL, as they arrive.

Both arrive in pieces with their offset; repeated pieces are stored once. Each stored piece is one
row that says how much is stored before it, so nothing is ever summed. A run's log is limited; what
exceeds the limit is counted, and one line says how much it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once, metadata
from mayfly.gateway.lifecycle.text import storable, utf8_head, utf8_tail
from mayfly_runtime.spec import strict_json

logs = Table(
    "logs",
    metadata,
    Column("run_uid", String(64), primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("kept", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
)
"""Per run: bytes received, bytes stored in `log_chunks`, bytes dropped by the limit."""

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("run_uid", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("data", Text, nullable=False),
)
"""`position` counts stored bytes, so reading from a position needs no other index."""

output_chunks = Table(
    "output_chunks",
    metadata,
    Column("run_uid", String(64), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("data", Text, nullable=False),
)
"""`position` and `offset` count the items and bytes before this chunk, `count` and `size` those in
it. `data` has one line per item: its JSON text."""


@dataclass(frozen=True)
class LogSize:
    """The size of a log, in bytes.

    Attributes:
        received: by the agent's count, gaps included.
        kept: stored, lines about gaps included.
        dropped: beyond the limit.
    """

    received: int = 0
    kept: int = 0
    dropped: int = 0

    @property
    def dropped_line(self) -> str:
        """The line that says how much was dropped, or ""."""
        if not self.dropped:
            return ""
        return f"[mayfly] {self.dropped} bytes of log were not kept\n"


_LOG_SIZE = select(logs).where(logs.c.run_uid == bindparam("run_uid"))


async def log_size(tx: AsyncConnection, run_uid: str) -> LogSize:
    """The size of a run's log."""
    found = await tx.execute(_LOG_SIZE, {"run_uid": run_uid})
    row = found.one_or_none()
    return LogSize() if row is None else LogSize(row.received, row.kept, row.dropped)


async def append_log(tx: AsyncConnection, run_uid: str, offset: int, data: str, limit: int) -> int:
    """Store a piece of log.

    A known piece changes nothing; of an overlapping one, the new part is stored. After a gap (the
    agent's buffer is limited, and what it dropped never comes) the piece is stored with a line that
    says so: messages on a connection are ordered, so nothing will come to fill the gap.

    Args:
        tx: the transaction.
        run_uid: the run.
        offset: bytes of the agent's log before this piece.
        data: the piece.
        limit: bytes of log that a run may store.

    Returns:
        The offset up to which the agent may forget its log.
    """
    size = await log_size(tx, run_uid)
    raw = data.encode("utf-8", "replace")
    end = offset + len(raw)
    if end <= size.received:
        return size.received
    text = data
    if offset < size.received:
        text = raw[size.received - offset :].decode("utf-8", "ignore")
    elif offset > size.received:
        text = f"[mayfly] {offset - size.received} bytes of log were lost\n{data}"
    text = storable(text)
    whole = len(text.encode("utf-8", "replace"))
    text = utf8_head(text, max(0, limit - size.kept))
    width = len(text.encode())
    if width:
        await insert_once(
            tx,
            log_chunks,
            {"run_uid": run_uid, "position": size.kept, "size": width, "data": text},
        )
    now = LogSize(end, size.kept + width, size.dropped + whole - width)
    new = {"run_uid": run_uid, **vars(now)}
    if size != LogSize() or not await insert_once(tx, logs, new):
        await tx.execute(update(logs).where(logs.c.run_uid == run_uid).values(**vars(now)))
    return end


async def read_log(
    tx: AsyncConnection, run_uid: str, position: int, size: int = 256 * 1024
) -> tuple[str, int]:
    """About `size` bytes of log from a position on, and the next position."""
    found = await tx.execute(
        select(log_chunks.c.position, log_chunks.c.size, log_chunks.c.data)
        .where(log_chunks.c.run_uid == run_uid, log_chunks.c.position >= position)
        .order_by(log_chunks.c.position)
        .limit(max(1, size // 1024))
    )
    texts: list[str] = []
    taken = 0
    for row in found:
        if taken >= size:
            break
        texts.append(row.data)
        taken += row.size
        position = row.position + row.size
    return "".join(texts), position


_FIRST = (
    select(func.max(log_chunks.c.position))
    .where(log_chunks.c.run_uid == bindparam("run_uid"))
    .where(log_chunks.c.position <= bindparam("start"))
    .scalar_subquery()
)
_CHUNKS = (
    select(log_chunks.c.data)
    .where(log_chunks.c.run_uid == bindparam("run_uid"))
    .where(log_chunks.c.position >= func.coalesce(_FIRST, 0))
    .order_by(log_chunks.c.position)
)
"""The pieces from the one on that has the byte `start`. Built once, like those of the ledger."""


async def log_tail(tx: AsyncConnection, run_uid: str, size: int) -> str:
    """The end of a run's log in at most `size` bytes, including the line about dropped bytes."""
    known = await log_size(tx, run_uid)
    found = await tx.execute(_CHUNKS, {"run_uid": run_uid, "start": known.kept - size})
    return utf8_tail("".join(found.scalars()) + known.dropped_line, size)


@dataclass(frozen=True)
class OutputSize:
    """How much of an iterator's output is stored.

    Attributes:
        items: the number of items.
        size: the UTF-8 bytes of their JSON texts, plus one per item, as the agent counts them.
    """

    items: int = 0
    size: int = 0


async def output_size(tx: AsyncConnection, run_uid: str) -> OutputSize:
    """How much of a run's iterator output is stored."""
    columns = output_chunks.c
    found = await tx.execute(
        select(columns.position + columns.count, columns.offset + columns.size)
        .where(columns.run_uid == run_uid)
        .order_by(columns.position.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return OutputSize() if row is None else OutputSize(*row)


async def append_items(
    tx: AsyncConnection, run_uid: str, position: int, texts: Sequence[str], limit: int
) -> int:
    """Store consecutive items of an iterator's output as one row.

    Items that are already stored are skipped. After an item that exceeds the limit no further item
    is stored, because readers slice the list by what they have seen.

    Args:
        tx: the transaction.
        run_uid: the run.
        position: the index of the first of these items.
        texts: the items as JSON texts.
        limit: bytes of output that are stored per run.

    Returns:
        How many items of the run are stored now.
    """
    held = await output_size(tx, run_uid)
    lines: list[str] = []
    size = 0
    for text in texts[held.items - position :] if position <= held.items else ():
        width = strict_json.size(text) + 1
        if held.size + size + width > limit:
            break
        lines.append(text.replace("\n", " "))  # in JSON text a raw line break is white space
        size += width
    if lines:
        await tx.execute(
            insert(output_chunks).values(
                run_uid=run_uid,
                position=held.items,
                count=len(lines),
                offset=held.size,
                size=size,
                data="\n".join(lines),
            )
        )
    return held.items + len(lines)


async def items(tx: AsyncConnection, run_uid: str) -> str | None:
    """The output so far as the text of a JSON list; None if there are no items."""
    texts = await items_from(tx, run_uid, 0)
    return f"[{','.join(texts)}]" if texts else None


_FIRST_ITEMS = (
    select(func.max(output_chunks.c.position))
    .where(output_chunks.c.run_uid == bindparam("run_uid"))
    .where(output_chunks.c.position <= bindparam("start"))
    .scalar_subquery()
)
_ITEMS = (
    select(output_chunks.c.position, output_chunks.c.data)
    .where(output_chunks.c.run_uid == bindparam("run_uid"))
    .where(output_chunks.c.position >= _FIRST_ITEMS)
    .order_by(output_chunks.c.position)
)
"""The rows from the one on that has the item `start`."""


async def items_from(tx: AsyncConnection, run_uid: str, position: int) -> list[str]:
    """The items from a position on, as JSON texts."""
    found = await tx.execute(_ITEMS, {"run_uid": run_uid, "start": position})
    texts: list[str] = []
    for row in found:
        texts += row.data.split("\n")[max(0, position - row.position) :]
    return texts


_SOME_ITEMS = _ITEMS.add_columns(output_chunks.c.size).limit(bindparam("rows"))


async def some_items_from(
    tx: AsyncConnection, run_uid: str, position: int, size: int = 256 * 1024
) -> list[str]:
    """About `size` bytes of items from a position on, as JSON texts; [] if there are none yet."""
    wanted = {"run_uid": run_uid, "start": position, "rows": max(1, size // 1024)}
    texts: list[str] = []
    taken = 0
    for row in await tx.execute(_SOME_ITEMS, wanted):
        if taken >= size:
            break
        texts += row.data.split("\n")[max(0, position - row.position) :]
        taken += row.size
    return texts
