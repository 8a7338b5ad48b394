"""Which codes of sign-in links were used, until they would have expired anyway."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, String

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create `used_sign_in_codes`."""
    op.create_table(
        "used_sign_in_codes",
        Column("id", String(26), primary_key=True),
        Column("expires_at", BigInteger, nullable=False),
    )
    op.create_index("ix_used_sign_in_codes_expires_at", "used_sign_in_codes", ["expires_at"])
