"""Codes of sign-in links that were not used yet."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, String

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create `sign_in_codes`."""
    op.create_table(
        "sign_in_codes",
        Column("digest", String(64), primary_key=True),
        Column("sealed", LargeBinary, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
    )
    op.create_index("ix_sign_in_codes_expires_at", "sign_in_codes", ["expires_at"])
