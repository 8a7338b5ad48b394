"""Retention: predictions without data, the sources that ran, files that are to go."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Boolean, Column, String, Text, false

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make them; every prediction that is there has its data."""
    op.add_column("runs", Column("data_removed", Boolean, nullable=False, server_default=false()))
    op.create_index("ix_runs_kept", "runs", ["data_removed", "closed_at"])
    op.create_index("ix_runs_version", "runs", ["version"])
    op.create_table(
        "sources",
        Column("version", String(64), primary_key=True),
        Column("entrypoint", String(253), nullable=False),
        Column("files", Text, nullable=False),
    )
    op.create_table("doomed_files", Column("id", String(26), primary_key=True))
