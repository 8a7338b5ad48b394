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
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Column, Index, String, Table, Text, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Instant, metadata
from mayfly.metering import ledger, tables
from mayfly.metering.ledger import RunRow

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


@dataclass(frozen=True)
class Bounded:
    """A call that waits, and who pays.

    Attributes:
        uid: of its row.
        key: namespace and name of the Model.
        payer: the namespace that pays.
        budget_uid: the nearest run above with a budget.
    """

    uid: str
    key: tuple[str, str]
    payer: str
    budget_uid: str | None


async def find_with_row(tx: AsyncConnection, uid: str) -> tuple[Call, RunRow] | None:
    """A call and its row of the ledger."""
    call, row = await find(tx, uid), await ledger.find(tx, uid)
    return None if call is None or row is None else (call, row)


async def unfinished(tx: AsyncConnection) -> list[tuple[Call, str, str]]:
    """Calls that are not done, oldest first, each with who pays and the root of its tree."""
    found = await tx.execute(
        select(model_calls, tables.runs.c.namespace.label("payer"), tables.runs.c.root_uid)
        .join(tables.runs, tables.runs.c.uid == model_calls.c.uid)
        .where(model_calls.c.step != Step.DONE.value)
        .order_by(model_calls.c.queued_at, model_calls.c.uid)
    )
    return [_with_payer(dict(each)) for each in found.mappings()]


def _with_payer(row: Json) -> tuple[Call, str, str]:
    payer, root = row.pop("payer"), row.pop("root_uid")
    return (Call.of(row), payer, root)


async def bounded(tx: AsyncConnection, limited: Collection[str]) -> list[Bounded]:
    """Calls that wait, with a budget over them.

    Args:
        tx: the transaction.
        limited: namespaces with a monthly budget.
    """
    found = await tx.execute(
        select(
            model_calls.c.uid,
            model_calls.c.namespace,
            model_calls.c.model,
            tables.runs.c.namespace.label("payer"),
            tables.runs.c.budget_uid,
        )
        .join(tables.runs, tables.runs.c.uid == model_calls.c.uid)
        .where(
            model_calls.c.step == Step.QUEUED.value,
            tables.runs.c.budget_uid.is_not(None) | tables.runs.c.namespace.in_(limited),
        )
    )
    return [
        Bounded(row.uid, (row.namespace, row.model), row.payer, row.budget_uid) for row in found
    ]


async def count(tx: AsyncConnection, namespace: str, model: str, steps: Collection[str]) -> int:
    """How many calls of a Model have come to one of these steps."""
    found = await tx.execute(
        select(func.count()).where(
            model_calls.c.namespace == namespace,
            model_calls.c.model == model,
            model_calls.c.step.in_(steps),
        )
    )
    return int(found.scalar_one())


async def queued_by(tx: AsyncConnection, parent_uid: str) -> list[str]:
    """The UIDs of the calls that a run has made and that wait."""
    found = await tx.execute(
        select(model_calls.c.uid).where(
            model_calls.c.parent_uid == parent_uid, model_calls.c.step == Step.QUEUED.value
        )
    )
    return list(found.scalars())
