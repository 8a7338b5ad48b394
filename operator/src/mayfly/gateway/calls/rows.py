"""The row of a call of a Model: a row of the ledger, and a row of `model_calls` beside it.

`model_calls` stores how far the call is:

    queued    nothing was sent
    sent      it was sent, or is being sent; it is never sent again
    accepted  the server has it
    done      closed, with its usage record

A call goes back from `sent` to `queued` only if no connection was made, or if the server itself
said that it did not take the call.
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
    """A row of `model_calls`; the fields are named like the columns.

    Attributes:
        namespace: of the Model.
        model: its name.
        parent_uid: of the calling run.
        target: JSON of what it was sent to; "" before that.
        upstream: the server's own id of it, or the server's incarnation; "" if unknown.
        cancel: a cancel was requested.
        cancel_at: when to cancel it if it has not ended.
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
        """The call of a table row."""
        return cls(**{**row, "step": Step(row["step"])})

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the Model."""
        return (self.namespace, self.model)

    @property
    def sent_to(self) -> Json:
        """The target that it was sent to."""
        return dict(json.loads(self.target or "{}"))


async def find(tx: AsyncConnection, uid: str) -> Call | None:
    """The row of a call."""
    found = await tx.execute(select(model_calls).where(model_calls.c.uid == uid))
    row = found.mappings().one_or_none()
    return None if row is None else Call.of(row)


@dataclass(frozen=True)
class Bounded:
    """A waiting call, and who pays.

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
    """A call and its row in the ledger."""
    call, row = await find(tx, uid), await ledger.find(tx, uid)
    return None if call is None or row is None else (call, row)


async def unfinished(tx: AsyncConnection) -> list[tuple[Call, str, str]]:
    """Unfinished calls, oldest first, each with its payer and the root of its tree."""
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
    """Waiting calls that are subject to a budget.

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
    """The number of calls of a Model in any of these steps."""
    found = await tx.execute(
        select(func.count()).where(
            model_calls.c.namespace == namespace,
            model_calls.c.model == model,
            model_calls.c.step.in_(steps),
        )
    )
    return int(found.scalar_one())


async def queued_by(tx: AsyncConnection, parent_uid: str) -> list[str]:
    """The UIDs of a run's waiting calls."""
    found = await tx.execute(
        select(model_calls.c.uid).where(
            model_calls.c.parent_uid == parent_uid, model_calls.c.step == Step.QUEUED.value
        )
    )
    return list(found.scalars())
