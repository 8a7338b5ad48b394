"""Items of outputs are stored several a row, with how much came before them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make `output_chunks` of `output_items`, each item a chunk of its own."""
    op.create_table(
        "output_chunks",
        Column("run_uid", String(64), primary_key=True),
        Column("position", Integer, primary_key=True),
        Column("count", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("size", Integer, nullable=False),
        Column("data", Text, nullable=False),
    )
    op.execute(
        """
        INSERT INTO output_chunks (run_uid, position, count, "offset", size, data)
        SELECT run_uid, position, 1,
               SUM(size + 1) OVER (PARTITION BY run_uid ORDER BY position) - size - 1,
               size + 1, value
        FROM (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY run_uid ORDER BY position) - 1 AS number
            FROM output_items
        ) AS numbered
        WHERE position = number
        """
    )
    op.drop_table("output_items")
