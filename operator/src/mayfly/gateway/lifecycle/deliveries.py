"""Webhooks that are owed, in SQL: a row a prediction, opened with it, done when its end was told.

A row is what a gateway that starts again goes on from, and what the prediction's owner is shown
when a receiver never answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Integer, String, Table, Text, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Instant, insert_once, metadata, note
from mayfly.metering.ledger import RunRow

EVENTS = ("start", "output", "logs", "completed")
"""What a receiver may be told of, in the order of a prediction's life."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("run_uid", String(64), primary_key=True),
    Column("id", String(26), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", String(64), nullable=False),
    Column("started", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, index=True),
    Column("error", Text, nullable=False),
)


@dataclass(frozen=True)
class Owed:
    """Noted in the transaction that opens a prediction with a receiver, told after its commit."""

    run_uid: str


@dataclass(frozen=True)
class Delivery:
    """What a prediction's receiver is owed; a field is named as its column.

    Attributes:
        events: which events it wants, in the order of a prediction's life.
        started: `start` was told.
        attempts: how often the end was told.
        due_at: when to tell it next; None when nothing is owed any more.
        error: why the end could not be told, in words; "" otherwise.
    """

    run_uid: str
    id: str
    namespace: str
    url: str
    events: str
    started: bool
    attempts: int
    due_at: datetime | None
    error: str

    def wants(self, event: str) -> bool:
        """Whether the receiver is told of an event."""
        return event in self.events.split(",")

    def fields(self) -> dict[str, Any]:
        """Members of the prediction object."""
        fields = {"webhook": self.url, "webhook_events_filter": self.events.split(",")}
        return fields | ({"webhook_error": self.error} if self.error else {})


async def expect(tx: AsyncConnection, row: RunRow, *, url: str, events: Sequence[str]) -> Delivery:
    """Owe a prediction's receiver its events, from its beginning on; again changes nothing.

    Args:
        tx: the transaction that opens the prediction.
        row: the prediction; its namespace's secret signs.
        url: the receiver.
        events: which events; all of them when empty.

    Returns:
        What is owed from the beginning on.
    """
    wanted = [each for each in EVENTS if not events or each in events]
    delivery = Delivery(
        run_uid=row.uid,
        id=row.id,
        namespace=row.namespace,
        url=url,
        events=",".join(wanted),
        started=False,
        attempts=0,
        due_at=row.opened_at,
        error="",
    )
    await insert_once(tx, deliveries, asdict(delivery))
    note(tx, Owed(row.uid))
    return delivery


async def find(tx: AsyncConnection, run_uid: str) -> Delivery | None:
    """What a prediction's receiver is owed."""
    found = await tx.execute(select(deliveries).where(deliveries.c.run_uid == run_uid))
    row = found.mappings().one_or_none()
    return None if row is None else Delivery(**row)


async def owed(tx: AsyncConnection) -> list[str]:
    """UIDs of the predictions whose receivers are owed something."""
    found = await tx.execute(select(deliveries.c.run_uid).where(deliveries.c.due_at.is_not(None)))
    return list(found.scalars())


async def note_start(tx: AsyncConnection, run_uid: str) -> bool:
    """Take `start` as told. Returns False when somebody else did."""
    done = await tx.execute(
        update(deliveries)
        .where(deliveries.c.run_uid == run_uid, deliveries.c.started.is_(False))
        .values(started=True)
    )
    return done.rowcount == 1


async def claim(tx: AsyncConnection, known: Delivery, again_at: datetime) -> bool:
    """Take the next attempt, so that no two gateways make it, and a killed one's is made again.

    Returns:
        False when somebody else took it.
    """
    done = await tx.execute(
        update(deliveries)
        .where(deliveries.c.run_uid == known.run_uid, deliveries.c.attempts == known.attempts)
        .values(attempts=known.attempts + 1, due_at=again_at)
    )
    return done.rowcount == 1


async def settle(tx: AsyncConnection, run_uid: str, error: str) -> None:
    """Owe nothing any more."""
    await tx.execute(
        update(deliveries).where(deliveries.c.run_uid == run_uid).values(due_at=None, error=error)
    )
