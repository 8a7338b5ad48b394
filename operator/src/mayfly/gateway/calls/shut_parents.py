"""Runs whose cancel was accepted: they can queue no more calls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Column, String, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once, metadata
from mayfly.metering import tables

shut_parents = Table("shut_parents", metadata, Column("uid", String(64), primary_key=True))


async def is_shut(tx: AsyncConnection, uid: str) -> bool:
    """Whether a run can queue no more calls."""
    found = await tx.execute(select(shut_parents.c.uid).where(shut_parents.c.uid == uid))
    return found.first() is not None


async def shut(tx: AsyncConnection, uid: str) -> None:
    """Stop a run from queueing calls."""
    await insert_once(tx, shut_parents, {"uid": uid})


async def forget(tx: AsyncConnection, before: datetime, is_there: Callable[[str], bool]) -> None:
    """Delete the records of cancelled runs whose token has expired.

    Args:
        tx: the transaction.
        before: only runs that ended before this moment.
        is_there: whether a run that the ledger does not know is unfinished.
    """
    over = select(tables.runs.c.uid).where(tables.runs.c.closed_at < before)
    known = select(tables.runs.c.uid)
    await tx.execute(delete(shut_parents).where(shut_parents.c.uid.in_(over)))
    unknown = await tx.execute(select(shut_parents.c.uid).where(shut_parents.c.uid.not_in(known)))
    gone = [uid for uid in unknown.scalars() if not is_there(uid)]
    for uid in gone:
        await tx.execute(delete(shut_parents).where(shut_parents.c.uid == uid))
