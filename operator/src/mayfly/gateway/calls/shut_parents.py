"""Runs whose cancel was accepted: no call of theirs is queued any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Column, String, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once, metadata
from mayfly.metering import tables

shut_parents = Table("shut_parents", metadata, Column("uid", String(64), primary_key=True))


async def is_shut(tx: AsyncConnection, uid: str) -> bool:
    """Whether a run can queue no calls any more."""
    found = await tx.execute(select(shut_parents.c.uid).where(shut_parents.c.uid == uid))
    return found.first() is not None


async def shut(tx: AsyncConnection, uid: str) -> None:
    """From now on a run can queue no calls."""
    await insert_once(tx, shut_parents, {"uid": uid})


async def forget(tx: AsyncConnection, before: datetime, is_there: Callable[[str], bool]) -> None:
    """Forget the cancelled runs whose token is worth nothing any more.

    Args:
        tx: the transaction.
        before: those that were over before this moment.
        is_there: whether a run that the ledger does not know is not finished.
    """
    over = select(tables.runs.c.uid).where(tables.runs.c.closed_at < before)
    known = select(tables.runs.c.uid)
    await tx.execute(delete(shut_parents).where(shut_parents.c.uid.in_(over)))
    unknown = await tx.execute(select(shut_parents.c.uid).where(shut_parents.c.uid.not_in(known)))
    gone = [uid for uid in unknown.scalars() if not is_there(uid)]
    for uid in gone:
        await tx.execute(delete(shut_parents).where(shut_parents.c.uid == uid))
