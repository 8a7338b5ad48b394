"""Usage records: more than one a prediction, with what was called, tokens, flags, corrections."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

revision = "0002"
down_revision = "0001"

tables = MetaData()

Table(
    "usage_records",
    tables,
    Column("record_id", String(80), primary_key=True),
    Column("run_uid", String(64), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("id", String(26), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pipeline_namespace", String(63), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("called", String(320), nullable=False),
    Column("version", String(64), nullable=False),
    Column("runtime_digest", String(512), nullable=False),
    Column("root_uid", String(64), nullable=False),
    Column("parent_uid", String(64)),
    Column("depth", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("started", Boolean, nullable=False),
    Column("started_at", BigInteger),
    Column("completed_at", BigInteger),
    Column("active_ms", BigInteger, nullable=False),
    Column("output_items", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("prices", Text, nullable=False),
    Column("cost", String(160), nullable=False),
    Column("currency", String(8), nullable=False),
    Column("flags", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("corrects", String(80)),
    Column("why", Text, nullable=False),
    Column("author", String(320), nullable=False),
    Column("request", String(64)),
    Index("ix_usage_records_run_uid", "run_uid"),
    Index("ix_usage_records_root_uid", "root_uid"),
    Index("ix_usage_records_namespace", "namespace", "recorded_at"),
)

KEPT = (
    "run_uid, id, namespace, name, pipeline_namespace, pipeline, version, root_uid, parent_uid, "
    "depth, outcome, reason, started, started_at, completed_at, active_ms, output_items, prices, "
    "cost, currency, recorded_at"
)


def upgrade() -> None:
    """Add what is new; each record that is there becomes its prediction's bill."""
    for name in ("input_tokens", "output_tokens"):
        op.add_column("runs", Column(name, BigInteger, nullable=False, server_default="0"))
    op.add_column("runs", Column("flags", Text, nullable=False, server_default="[]"))
    op.execute(f"CREATE TABLE usage_records_before AS SELECT {KEPT} FROM usage_records")  # noqa: S608
    op.drop_table("usage_records")
    tables.create_all(op.get_bind(), checkfirst=False)
    old = ", ".join(f"old.{name}" for name in KEPT.split(", "))
    op.execute(
        text(
            f"INSERT INTO usage_records ({KEPT}, record_id, kind, called, runtime_digest, "  # noqa: S608 - no input
            "input_tokens, output_tokens, flags, why, author) "
            f"SELECT {old}, old.run_uid, coalesce(runs.kind, 'run'), coalesce(runs.called, ''), "
            "coalesce(runs.runtime_digest, ''), 0, 0, '[]', '', '' "
            "FROM usage_records_before AS old LEFT JOIN runs ON runs.uid = old.run_uid"
        )
    )
    op.drop_table("usage_records_before")
