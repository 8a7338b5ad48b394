"""Usage records: the charge of each prediction, written once, and its corrections.

The bill of a prediction is a record with the prediction's UID; a correction is a further record
that names the one it corrects and holds signed differences. So records are never changed or
deleted, a second writing of the same is nothing, and what anything costs is the sum of its records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal, localcontext

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once, note
from mayfly.metering import periods, spending, sums
from mayfly.metering.pricing import (
    EXACT,
    Charge,
    Consumption,
    Meter,
    PricePin,
    charges,
    decimal_text,
    read_pins,
)
from mayfly.metering.tables import usage_records

BATCH = 500


@dataclass(frozen=True)
class UsageRecord:
    """One row of `usage_records`; the fields are named like the columns.

    Attributes:
        record_id: the prediction's UID; `<uid>+1`, `<uid>+2`, … of its corrections.
        run_uid: the prediction.
        called: the name that a Model was called by; "" for runs.
        flags: JSON list of the words of `flags.Flag` that hold.
        corrects: the record that this one corrects; None for the bill itself.
        why: of a correction, for people.
        author: who made a correction.
        request: what a repeat of the request that made it is known by.
        active_ms: a correction's time, items, tokens and cost are signed differences.
    """

    record_id: str
    run_uid: str
    kind: str
    id: str
    namespace: str
    name: str
    pipeline_namespace: str
    pipeline: str
    called: str
    version: str
    runtime_digest: str
    root_uid: str
    parent_uid: str | None
    depth: int
    outcome: str
    reason: str
    started: bool
    started_at: datetime | None
    completed_at: datetime | None
    active_ms: int
    output_items: int
    input_tokens: int
    output_tokens: int
    prices: str
    cost: Decimal
    currency: str
    flags: str
    recorded_at: datetime
    corrects: str | None = None
    why: str = ""
    author: str = ""
    request: str | None = None

    @property
    def model(self) -> str:
        """What was called, by `sums.called_model`."""
        return sums.called_model(self.called, self.pipeline_namespace, self.pipeline)

    @property
    def pins(self) -> tuple[PricePin, ...]:
        """The prices that were pinned at the dispatch."""
        return read_pins(json.loads(self.prices))

    @property
    def charges(self) -> list[Charge]:
        """The lines of a bill; they add up to its cost. A correction has none to show."""
        used = Consumption(
            active_ms=self.active_ms,
            started=self.started,
            succeeded=self.outcome == "succeeded",
            output_items=self.output_items,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )
        return charges(used, self.pins)


@dataclass(frozen=True)
class Correction:
    """A correction of a bill.

    Attributes:
        cost: signed difference of the cost; None where the time's difference is priced instead.
        active_ms: signed difference of the active time, in milliseconds.
        why: for people.
        author: who says so.
        request: what a repeat of the request is known by; None where it has nothing.
    """

    why: str
    author: str
    cost: Decimal | None = None
    active_ms: int = 0
    request: str | None = None

    def cost_with(self, pins: Sequence[PricePin]) -> Decimal:
        """The signed difference of the cost, at the prices of the bill."""
        if self.cost is not None:
            return self.cost
        with localcontext(EXACT):
            return sum(
                (
                    pin.unit_price * Decimal(self.active_ms) / Decimal(1000)
                    for pin in pins
                    if pin.meter is Meter.PREDICT_SECONDS
                ),
                Decimal(0),
            )


async def add(tx: AsyncConnection, record: UsageRecord) -> bool:
    """Write a record, unless it exists; a new one is added to the sums, and noted for metrics.

    It is recorded after the last closed month, whatever the clock says.

    Returns:
        Whether it is new.
    """
    record = replace(record, recorded_at=await periods.admitted(tx, record.recorded_at))
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    new = await insert_once(tx, usage_records, values)
    if new:
        note(tx, record)
        await sums.add(tx, record)
        await spending.add(
            tx,
            namespace=record.namespace,
            run_uid=record.run_uid,
            amount=record.cost,
            at=record.recorded_at,
        )
    return new


async def of(tx: AsyncConnection, uid: str) -> Sequence[UsageRecord]:
    """A prediction's records: its bill, then its corrections in order."""
    found = await tx.execute(select(usage_records).where(usage_records.c.run_uid == uid))
    records = [UsageRecord(**each) for each in found.mappings()]
    return sorted(records, key=lambda record: _number(record.record_id))


def _number(record_id: str) -> int:
    return int(record_id.rpartition("+")[2]) if "+" in record_id else 0


async def bill(tx: AsyncConnection, uid: str) -> UsageRecord | None:
    """A prediction's bill including its corrections; None before its end."""
    found = await of(tx, uid)
    return summed(found) if found else None


def summed(records: Sequence[UsageRecord]) -> UsageRecord:
    """The first of a prediction's records, with the sums of all of them."""
    return replace(
        records[0],
        active_ms=sum(each.active_ms for each in records),
        output_items=sum(each.output_items for each in records),
        input_tokens=sum(each.input_tokens for each in records),
        output_tokens=sum(each.output_tokens for each in records),
        cost=exact_sum(each.cost for each in records),
    )


def exact_sum(costs: Iterable[Decimal]) -> Decimal:
    """The exact sum of some costs.

    Raises:
        decimal.Inexact: it can't be written in `pricing.DIGITS` digits.
    """
    with localcontext(EXACT):
        return sum(costs, Decimal(0))


_COSTS = select(usage_records.c.run_uid, usage_records.c.cost).where(
    usage_records.c.run_uid.in_(bindparam("uids", expanding=True))
)


async def costs(tx: AsyncConnection, uids: Sequence[str]) -> dict[str, Decimal]:
    """The costs of predictions by their records; those without a record are left out."""
    parts: dict[str, list[Decimal]] = {}
    for start in range(0, len(uids), BATCH):
        found = await tx.execute(_COSTS, {"uids": uids[start : start + BATCH]})
        for uid, part in found:
            parts.setdefault(uid, []).append(part)
    return {uid: exact_sum(each) for uid, each in parts.items()}


class NotCorrectable(Exception):
    """The correction is not possible; the message says why."""


class NotBilled(NotCorrectable):
    """There is no bill yet."""


class BelowNothing(NotCorrectable):
    """The bill would become negative."""


class KeyUsed(NotCorrectable):
    """The request's key was used for another correction of the bill."""


async def correct(tx: AsyncConnection, uid: str, change: Correction, at: datetime) -> UsageRecord:
    """Correct a bill by a further record.

    Returns:
        The record: an earlier one where the same request made it.

    Raises:
        NotCorrectable: why it can't be.
    """
    found = await of(tx, uid)
    if not found:
        raise NotBilled("The prediction has no usage record yet: it has not ended.")
    before = summed(found)
    repeated = next(
        (each for each in found if change.request and each.request == change.request), None
    )
    if repeated is not None:
        return _same(repeated, change)
    cost = change.cost_with(before.pins)
    if exact_sum((before.cost, cost)) < 0:
        raise BelowNothing(
            f"The prediction is billed {decimal_text(before.cost)} {before.currency}; "
            f"a correction of {decimal_text(cost)} would leave less than nothing."
        )
    if before.active_ms + change.active_ms < 0:
        raise BelowNothing(
            f"The prediction is billed {before.active_ms} ms of active time; "
            f"a correction of {change.active_ms} ms would leave less than nothing."
        )
    record = replace(
        found[0],
        record_id=f"{uid}+{len(found)}",
        active_ms=change.active_ms,
        output_items=0,
        input_tokens=0,
        output_tokens=0,
        cost=cost,
        flags="[]",
        recorded_at=at,
        corrects=uid,
        why=change.why,
        author=change.author,
        request=change.request,
    )
    await add(tx, record)
    return record


def _same(record: UsageRecord, change: Correction) -> UsageRecord:
    wanted = change.cost_with(record.pins)
    said = (record.cost, record.active_ms, record.why)
    if said != (wanted, change.active_ms, change.why):
        raise KeyUsed(
            "This Idempotency-Key was used for another correction of the prediction; "
            "send this one with a key of its own."
        )
    return record
