"""Closed months, and an index to read records in the order of their months."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, String, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "usage_periods",
        Column("period", String(7), primary_key=True),
        Column("ends_at", BigInteger, nullable=False),
        Column("closed_at", BigInteger, nullable=False),
        Column("closed_by", String(320), nullable=False),
        Column("records", BigInteger),
        Column("sums", Text),
        Column("sha256", String(64)),
    )
    op.create_index("ix_usage_records_recorded_at", "usage_records", ["recorded_at", "record_id"])
