"""Budgets: what a namespace has spent in a month, and what a run with a budget has, with its tree.

The months before this revision are added up from their usage records. Runs that were opened before
it have no budget: nothing bounded them then.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext

from alembic import op
from sqlalchemy import BigInteger, Column, Connection, String, column, select, table

revision = "0005"
down_revision = "0004"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = Context(prec=120, traps=[InvalidOperation, Inexact])

records = table(
    "usage_records",
    column("namespace", String),
    column("recorded_at", BigInteger),
    column("cost", String),
)


def upgrade() -> None:
    """Make the tables, and add up what there is."""
    op.add_column("runs", Column("budget_uid", String(64)))
    op.create_table(
        "budgets",
        Column("run_uid", String(64), primary_key=True),
        Column("root_uid", String(64), nullable=False),
        Column("above", String(64)),
        Column("name", String(253), nullable=False),
        Column("amount", String(160), nullable=False),
        Column("spent", String(160), nullable=False),
    )
    op.create_index("ix_budgets_root_uid", "budgets", ["root_uid"])
    spending = op.create_table(
        "spending",
        Column("namespace", String(63), primary_key=True),
        Column("month", String(7), primary_key=True),
        Column("cost", String(160), nullable=False),
    )
    rows = [
        {"namespace": namespace, "month": month, "cost": format(cost, "f")}
        for (namespace, month), cost in sorted(_spent(op.get_bind()).items())
    ]
    if rows:
        op.bulk_insert(spending, rows)


def _spent(connection: Connection) -> dict[tuple[str, str], Decimal]:
    """What each namespace has spent in each month."""
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for namespace, recorded_at, cost in connection.execute(select(*records.c)):
            moment = EPOCH + timedelta(microseconds=recorded_at)
            sums[namespace, f"{moment:%Y-%m}"] += Decimal(cost)
    return {key: cost for key, cost in sums.items() if cost}
