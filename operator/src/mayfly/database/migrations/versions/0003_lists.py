"""Indexes of lists by filters, and who has asked for a prediction."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String, text

revision = "0003"
down_revision = "0002"

RARE = text("outcome IN ('failed', 'canceled')")
ROOTS = text("parent_uid IS NULL")


def upgrade() -> None:
    """Add the column and the indexes."""
    op.add_column("runs", Column("created_by", String(253)))
    op.create_index(
        "ix_runs_model",
        "runs",
        ["pipeline_namespace", "pipeline", "namespace", "created_at", "id"],
    )
    for name, columns, rows in (
        ("ix_runs_rare", ["namespace", "outcome", "created_at", "id"], RARE),
        ("ix_runs_roots", ["namespace", "parent_uid", "created_at", "id"], ROOTS),
    ):
        op.create_index(name, "runs", columns, sqlite_where=rows)
