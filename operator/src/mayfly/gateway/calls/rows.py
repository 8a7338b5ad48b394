"""A call of a Model: a row of the ledger, with a row of `model_calls` beside it.

The second says how far the call is:

    queued    nothing was sent
    sent      it was, or is just being, sent: it is never sent again
    accepted  the server has it
    done      closed, with its usage record

A queued call goes back to queued from `sent` only where the server itself said that it did not
take it, or no connection was made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Column, Index, String, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Instant, metadata

Json = dict[str, Any]


class Step(StrEnum):
    """How far a call is."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"


UNDER_WAY = (Step.SENT.value, Step.ACCEPTED.value)

model_calls = Table(
    "model_calls",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("model", String(253), nullable=False),
    Column("step", String(16), nullable=False),
    Column("parent_uid", String(64)),
    Column("queued_at", Instant, nullable=False),
    Column("target", Text, nullable=False),
    Column("upstream", String(512), nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("cancel_at", Instant),
    Index("ix_model_calls_model", "namespace", "model", "step"),
    Index("ix_model_calls_parent", "parent_uid", "step"),
    Index("ix_model_calls_step", "step", "queued_at"),
)

shut_parents = Table("shut_parents", metadata, Column("uid", String(64), primary_key=True))
"""Runs whose cancel was accepted: no call of theirs is queued any more."""


@dataclass(frozen=True)
class Call:
    """A row of `model_calls`; a field is named as its column.

    Attributes:
        namespace: of the Model.
        model: its name.
        parent_uid: of the run that called.
        target: JSON of what it was sent to, "" before that.
        upstream: the server's own id of it, or its server's incarnation; "" where unknown.
        cancel: somebody asked for a cancel.
        cancel_at: when to cancel what has not ended.
    """

    uid: str
    namespace: str
    model: str
    step: Step
    queued_at: datetime
    parent_uid: str | None = None
    target: str = ""
    upstream: str = ""
    cancel: bool = False
    cancel_at: datetime | None = None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Call:
        """The call of a row of the table."""
        return cls(**{**row, "step": Step(row["step"])})

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the Model."""
        return (self.namespace, self.model)

    @property
    def sent_to(self) -> Json:
        """What it was sent to."""
        return dict(json.loads(self.target or "{}"))


async def find(tx: AsyncConnection, uid: str) -> Call | None:
    """The row of a call."""
    found = await tx.execute(select(model_calls).where(model_calls.c.uid == uid))
    row = found.mappings().one_or_none()
    return None if row is None else Call.of(row)
