"""Idempotent creates: a retry of a create returns the first prediction.

2.x clients repeat a POST after a timeout of their own, and signal it only by a retry count; other
clients send an `Idempotency-Key`. A digest of each request and what it created are kept in SQL for
`WINDOW`.
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
"""A repeated create within this time returns the first prediction."""

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
    """The prediction that a create makes."""

    namespace: str
    name: str


class MadeBefore(Exception):
    """A create repeats one that is remembered.

    Attributes:
        made: what the first one made.
    """

    def __init__(self, made: Created) -> None:
        super().__init__(made)
        self.made = made


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a create.

    Attributes:
        digest: of the token, of what is called, and of the key or else the body.
        repeat: whether the request says that it may have been sent before.
    """

    digest: str
    repeat: bool


def fingerprint(headers: Mapping[str, str], called: str, body: bytes) -> Fingerprint:
    """The fingerprint that identifies a create.

    Args:
        headers: the request's.
        called: what is called, and where the prediction is to be.
        body: the request's bytes.

    Raises:
        Invalid: the Idempotency-Key is too long.
    """
    key = headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise Invalid(f"Idempotency-Key has more than {MAX_KEY} characters.")
    whole = hashlib.sha256()
    said = (headers.get("authorization", ""), called, key, "" if key else body)
    for part in said:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "replace")
        whole.update(b"%d:" % len(data) + data)
    count = headers.get("x-stainless-retry-count", "0").strip()
    again = bool(key) or (count.isdecimal() and int(count) > 0)
    return Fingerprint(whole.hexdigest(), again)


class InFlight:
    """Creates in progress in this process, whose predictions can't be found in SQL yet."""

    def __init__(self) -> None:
        self._open: dict[str, set[asyncio.Event]] = {}

    @asynccontextmanager
    async def turn(self, known: Fingerprint) -> AsyncIterator[None]:
        """Take the turn of a create: a retry waits until earlier ones like it are answered."""
        alike = self._open.setdefault(known.digest, set())
        earlier, done = tuple(alike), asyncio.Event()
        alike.add(done)
        try:
            if known.repeat:
                for each in earlier:
                    await each.wait()
            yield
        finally:
            done.set()
            alike.discard(done)
            if not alike:
                self._open.pop(known.digest, None)


async def recall(tx: AsyncConnection, known: Fingerprint, now: datetime) -> Created | None:
    """The prediction that a create with this fingerprint made within the window."""
    found = await tx.execute(
        select(creates.c.namespace, creates.c.name).where(
            creates.c.digest == known.digest, creates.c.created_at > now - WINDOW
        )
    )
    row = found.one_or_none()
    return None if row is None else Created(row.namespace, row.name)


async def remember(tx: AsyncConnection, known: Fingerprint, making: Created, now: datetime) -> None:
    """Store what a create makes; one that is no repeat replaces an older one with its digest.

    The digest is the table's key, so of repeats in several gateways one is the first.

    Raises:
        MadeBefore: it repeats one that is kept.
    """
    await forget_old(tx, now)
    if not known.repeat:
        await tx.execute(delete(creates).where(creates.c.digest == known.digest))
    values = {
        "digest": known.digest,
        "created_at": now,
        "namespace": making.namespace,
        "name": making.name,
    }
    if not await insert_once(tx, creates, values):
        made = await recall(tx, known, now)
        if made is not None:
            raise MadeBefore(made)


async def forget_old(tx: AsyncConnection, now: datetime) -> None:
    """Delete creates that are older than the window."""
    await tx.execute(delete(creates).where(creates.c.created_at <= now - WINDOW))
