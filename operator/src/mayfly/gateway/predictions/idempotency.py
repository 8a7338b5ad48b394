"""Creates that may come again: a client that lost the answer asks once more, and gets the first.

Clients of the 2.x line post again after a time-out of theirs and say so only by counting their
retries; others send an `Idempotency-Key`. What was created is kept in SQL for a while by the
digest of who asked for what.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, String, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Instant, insert_once, metadata
from mayfly.gateway.http.errors import Invalid

WINDOW = timedelta(seconds=90)
"""A create that comes again within this time is the first one."""

MAX_KEY = 255

creates = Table(
    "creates",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("created_at", Instant, nullable=False, index=True),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
)


@dataclass(frozen=True)
class Created:
    """What a create made, or is about to make."""

    namespace: str
    name: str


def is_repeat(headers: Mapping[str, str]) -> bool:
    """Whether a request says that it may have been sent before."""
    count = headers.get("x-stainless-retry-count", "0").strip()
    return bool(headers.get("idempotency-key")) or (count.isdecimal() and int(count) > 0)


def digest(headers: Mapping[str, str], target: str, body: bytes) -> str:
    """What a create is known by: the token, what is called, and the key or else the body.

    Raises:
        Invalid: the Idempotency-Key is too long.
    """
    key = headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise Invalid(f"Idempotency-Key has more than {MAX_KEY} characters.")
    whole = hashlib.sha256()
    said = (headers.get("authorization", ""), target, key, "" if key else body)
    for part in said:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "replace")
        whole.update(b"%d:" % len(data) + data)
    return whole.hexdigest()


class InFlight:
    """Creates that this process has not answered yet: what they make, nobody can find so far."""

    def __init__(self) -> None:
        self._open: dict[str, set[asyncio.Event]] = {}

    @asynccontextmanager
    async def turn(
        self, headers: Mapping[str, str], target: str, body: bytes
    ) -> AsyncIterator[None]:
        """Answer a create; one that may have been sent before waits for those that it may repeat.

        Args:
            headers: the request's.
            target: what it is sent to.
            body: its bytes.

        Raises:
            Invalid: the Idempotency-Key is too long.
        """
        known = digest(headers, target, body)
        alike = self._open.setdefault(known, set())
        earlier, done = tuple(alike), asyncio.Event()
        alike.add(done)
        try:
            if is_repeat(headers):
                for each in earlier:
                    await each.wait()
            yield
        finally:
            done.set()
            alike.discard(done)
            if not alike:
                self._open.pop(known, None)


async def recall(tx: AsyncConnection, known: str, now: datetime) -> Created | None:
    """What the create of a digest made within the window."""
    found = await tx.execute(
        select(creates.c.namespace, creates.c.name).where(
            creates.c.digest == known, creates.c.created_at > now - WINDOW
        )
    )
    row = found.one_or_none()
    return None if row is None else Created(row.namespace, row.name)


async def remember(tx: AsyncConnection, known: str, made: Created, now: datetime) -> None:
    """Keep what a create makes; an older create of the same digest is forgotten."""
    await forget_old(tx, now)
    await tx.execute(delete(creates).where(creates.c.digest == known))
    values = {
        "digest": known,
        "created_at": now,
        "namespace": made.namespace,
        "name": made.name,
    }
    await insert_once(tx, creates, values)


async def forget_old(tx: AsyncConnection, now: datetime) -> None:
    """Forget the creates that can't come again any more."""
    await tx.execute(delete(creates).where(creates.c.created_at <= now - WINDOW))
