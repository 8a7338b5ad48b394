"""Closed months: their totals, and the guarantee that no record is added to them.

A record belongs to the month of its `recorded_at` in UTC. A close first sets a line in a short
transaction of its own, and counts afterwards. Whatever is written later is recorded at the first
instant after the line, even if its clock says earlier. A database has one writer at a time
(`Database.write`), so no transaction can check the line before it is set and write its record
afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from mayfly.database.engine import insert_once
from mayfly.metering.pricing import decimal_text
from mayfly.metering.tables import usage_periods


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC; as text, "2026-10"."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """The month of a moment."""
        moment = moment.astimezone(UTC)
        return cls(moment.year, moment.month)

    @classmethod
    def read(cls, text: str) -> Month:
        """Parse a month like "2026-10".

        Raises:
            ValueError: it is not a month.
        """
        found = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
        month = cls.of(found)
        if str(month) != text or month.year == MAXYEAR:  # the month behind it must be one too
            raise ValueError(f"{text!r} is no month")
        return month

    @property
    def start(self) -> datetime:
        """Its first instant."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant after it."""
        return (self.start + timedelta(days=32)).replace(day=1)

    @override
    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


@dataclass(frozen=True)
class Totals:
    """The totals of a month's records.

    Attributes:
        records: their number.
        sums: their cost by currency, exact.
        sha256: over their CSV lines in order (`reports.line_of`), in hexadecimal.
    """

    records: int
    sums: Mapping[str, Decimal] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True)
class Period:
    """A closed month.

    Attributes:
        totals: None if the close was interrupted before the count: close it again.
    """

    month: Month
    closed_at: datetime
    closed_by: str
    totals: Totals | None


_LINE = select(func.max(usage_periods.c.ends_at))


async def admitted(tx: AsyncConnection, at: datetime) -> datetime:
    """The `recorded_at` of a record that is written in this transaction.

    Args:
        tx: the transaction of `Database.write` that writes it.
        at: the clock.
    """
    line = await tx.scalar(_LINE)
    return at if line is None else max(at, line)


async def draw_line(tx: AsyncConnection, month: Month, at: datetime, by: str) -> None:
    """Stop records from being added to a month or an earlier one. Repeating it changes nothing.

    Args:
        tx: a transaction of `Database.write`.
        month: a month that is over.
        at: the clock.
        by: the name of whoever closes it.
    """
    values = {"period": str(month), "ends_at": month.end, "closed_at": at, "closed_by": by}
    await insert_once(tx, usage_periods, values)


async def keep(tx: AsyncConnection, month: Month, totals: Totals) -> None:
    """Store the totals of a closed month; the first ones count."""
    sums = {currency: decimal_text(total) for currency, total in sorted(totals.sums.items())}
    await tx.execute(
        update(usage_periods)
        .where(usage_periods.c.period == str(month), usage_periods.c.sha256.is_(None))
        .values(records=totals.records, sums=json.dumps(sums), sha256=totals.sha256)
    )


async def find(tx: AsyncConnection, month: Month) -> Period | None:
    """A month, if it is closed."""
    found = await tx.execute(select(usage_periods).where(usage_periods.c.period == str(month)))
    row = found.mappings().one_or_none()
    return None if row is None else _period(row)


async def every(tx: AsyncConnection) -> Sequence[Period]:
    """Every closed month, newest first."""
    found = await tx.execute(select(usage_periods).order_by(usage_periods.c.period.desc()))
    return [_period(row) for row in found.mappings()]


def _period(row: Mapping[Any, Any]) -> Period:
    totals = None
    if row["sha256"] is not None:
        sums = {currency: Decimal(total) for currency, total in json.loads(row["sums"]).items()}
        totals = Totals(row["records"], sums, row["sha256"])
    return Period(Month.read(row["period"]), row["closed_at"], row["closed_by"], totals)
