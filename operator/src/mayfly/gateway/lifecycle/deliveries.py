"""Webhook deliveries in SQL: one row per prediction, from its creation to its end.

After a restart a gateway continues from the rows. A row also stores the error that is shown if a
receiver never answered.
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
from mayfly_runtime.spec import urls

EVENTS = ("start", "output", "logs", "completed")
"""The webhook events, in the order of a prediction's life."""

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
    """Noted in the transaction that opens a prediction with a webhook, announced after it."""

    run_uid: str


@dataclass(frozen=True)
class Delivery:
    """The delivery state of a prediction's webhook; the fields are named like the columns.

    Attributes:
        events: the selected events, in the order of a prediction's life.
        started: `start` was sent.
        attempts: how often `completed` was sent.
        due_at: when to send it next; None if nothing is left to send.
        error: why `completed` could not be delivered; "" otherwise.
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
        """Whether the receiver wants an event."""
        return event in self.events.split(",")

    def fields(self) -> dict[str, Any]:
        """The fields for the prediction object."""
        fields = webhook_fields(self.url, self.events.split(","))
        return fields | ({"webhook_error": self.error} if self.error else {})


def webhook_fields(url: str, events: Sequence[str]) -> dict[str, Any]:
    """The fields of a prediction object that say what webhook was requested, without password."""
    return {"webhook": urls.without_credentials(url), "webhook_events_filter": list(events)}


async def expect(tx: AsyncConnection, row: RunRow, *, url: str, events: Sequence[str]) -> Delivery:
    """Create the delivery of a new prediction; repeating it changes nothing.

    Args:
        tx: the transaction that opens the prediction.
        row: the prediction; events are signed with its namespace's secret.
        url: the receiver.
        events: the selected events; all of them if empty.

    Returns:
        The new delivery.
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
    """The delivery of a prediction."""
    found = await tx.execute(select(deliveries).where(deliveries.c.run_uid == run_uid))
    row = found.mappings().one_or_none()
    return None if row is None else Delivery(**row)


async def owed(tx: AsyncConnection) -> list[str]:
    """UIDs of predictions with deliveries that are not finished."""
    found = await tx.execute(select(deliveries.c.run_uid).where(deliveries.c.due_at.is_not(None)))
    return list(found.scalars())


async def note_start(tx: AsyncConnection, run_uid: str) -> bool:
    """Mark `start` as sent. Returns False if it was marked already."""
    done = await tx.execute(
        update(deliveries)
        .where(deliveries.c.run_uid == run_uid, deliveries.c.started.is_(False))
        .values(started=True)
    )
    return done.rowcount == 1


async def claim(tx: AsyncConnection, known: Delivery, again_at: datetime) -> bool:
    """Claim the next attempt, so that only one gateway makes it, and retries it after a crash.

    Returns:
        False if another gateway claimed it.
    """
    done = await tx.execute(
        update(deliveries)
        .where(deliveries.c.run_uid == known.run_uid, deliveries.c.attempts == known.attempts)
        .values(attempts=known.attempts + 1, due_at=again_at)
    )
    return done.rowcount == 1


async def settle(tx: AsyncConnection, run_uid: str, error: str) -> None:
    """Finish the delivery."""
    await tx.execute(
        update(deliveries).where(deliveries.c.run_uid == run_uid).values(due_at=None, error=error)
    )
