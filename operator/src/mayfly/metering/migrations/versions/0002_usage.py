"""Usage records get an id of their own, so that one can correct another; tokens; flags."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add to `runs`, and make `usage_records` anew with what it has."""
    for name in ("input_tokens", "output_tokens"):
        op.add_column("runs", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("flags", sa.Text, nullable=False, server_default="[]"))
    op.execute("CREATE TABLE usage_records_before AS SELECT * FROM usage_records")
    op.drop_table("usage_records")
    op.create_table(
        "usage_records",
        sa.Column("record_id", sa.String(80), primary_key=True),
        sa.Column("run_uid", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("pipeline_namespace", sa.String(63), nullable=False),
        sa.Column("pipeline", sa.String(253), nullable=False),
        sa.Column("called", sa.String(320), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("runtime_digest", sa.String(512), nullable=False),
        sa.Column("root_uid", sa.String(64), nullable=False),
        sa.Column("parent_uid", sa.String(64)),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("started", sa.Boolean, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("completed_at", sa.BigInteger),
        sa.Column("active_ms", sa.BigInteger, nullable=False),
        sa.Column("output_items", sa.Integer, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("prices", sa.Text, nullable=False),
        sa.Column("cost", sa.String(160), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("flags", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("corrects", sa.String(80)),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("author", sa.String(320), nullable=False),
    )
    op.create_index("ix_usage_records_run_uid", "usage_records", ["run_uid"])
    op.create_index("ix_usage_records_root_uid", "usage_records", ["root_uid"])
    op.create_index("ix_usage_records_namespace", "usage_records", ["namespace", "recorded_at"])
    # What a record did not say then, the row of its prediction says.
    op.execute(
        "INSERT INTO usage_records (record_id, run_uid, kind, id, namespace, name,"
        " pipeline_namespace, pipeline, called, version, runtime_digest, root_uid, parent_uid,"
        " depth, outcome, reason, started, started_at, completed_at, active_ms, output_items,"
        " input_tokens, output_tokens, prices, cost, currency, flags, recorded_at, corrects, why,"
        " author) "
        "SELECT u.run_uid, u.run_uid, COALESCE(r.kind, 'run'), u.id, u.namespace, u.name,"
        " u.pipeline_namespace, u.pipeline, COALESCE(r.called, ''), u.version,"
        " COALESCE(r.runtime_digest, ''), u.root_uid, u.parent_uid,"
        " u.depth, u.outcome, u.reason, u.started, u.started_at, u.completed_at, u.active_ms,"
        " u.output_items, 0, 0, u.prices, u.cost, u.currency, '[]', u.recorded_at, NULL, '', '' "
        "FROM usage_records_before u LEFT JOIN runs r ON r.uid = u.run_uid"
    )
    op.drop_table("usage_records_before")
