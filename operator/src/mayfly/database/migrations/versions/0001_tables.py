"""Every table, as of the first release. Later changes are revisions of their own."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None

tables = MetaData()

Table(
    "runs",
    tables,
    Column("uid", String(64), primary_key=True),
    Column("id", String(26), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pipeline_namespace", String(63), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("version", String(64), nullable=False),
    Column("root_uid", String(64), nullable=False),
    Column("parent_uid", String(64)),
    Column("depth", Integer, nullable=False),
    Column("runtime_digest", String(512), nullable=False),
    Column("prices", Text, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("input_json", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("pod_uid", String(64)),
    Column("attempt", Integer, nullable=False),
    Column("sent_at", BigInteger),
    Column("started_at", BigInteger),
    Column("active_ms", BigInteger, nullable=False),
    Column("heard_at", BigInteger),
    Column("outcome", String(16)),
    Column("reason", String(64)),
    Column("error", Text, nullable=False),
    Column("output", Text),
    Column("completed_at", BigInteger),
    Column("journalled_at", BigInteger),
    Column("closed_at", BigInteger),
    Column("closed_by", String(16)),
    Column("kind", String(8), nullable=False),
    Column("called", String(320), nullable=False),
    Column("downstream", String(160)),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("flags", Text, nullable=False),
    Column("budget_uid", String(64)),
    Column("data_removed", Boolean, nullable=False),
    UniqueConstraint("id", name="uq_runs_id"),
    Index("ix_runs_parent_uid", "parent_uid"),
    Index("ix_runs_open", "closed_at"),
    Index("ix_runs_kept", "data_removed", "closed_at", "uid", "namespace", "root_uid"),
    Index("ix_runs_version", "version"),
    Index("ix_runs_pod_uid", "pod_uid"),
    Index("ix_runs_created_at", "created_at", "id"),
    Index("ix_runs_namespace", "namespace", "created_at", "id"),
    Index("ix_runs_tree", "root_uid", "namespace", "created_at", "id"),
)

Table(
    "call_counts",
    tables,
    Column("namespace", String(63), primary_key=True),
    Column("name", String(253), primary_key=True),
    Column("calls", BigInteger, nullable=False),
)

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
    Index("ix_usage_records_namespace", "namespace", "recorded_at", "record_id"),
    Index("ix_usage_records_recorded_at", "recorded_at", "record_id"),
    Index("ix_usage_records_name", "namespace", "name", "recorded_at"),
)

Table(
    "usage_days",
    tables,
    Column("day", String(10), primary_key=True),
    Column("namespace", String(63), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("model", String(320), primary_key=True),
    Column("currency", String(8), primary_key=True),
    Column("predictions", BigInteger, nullable=False),
    Column("active_ms", BigInteger, nullable=False),
    Column("output_items", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", String(160), nullable=False),
)

Table(
    "usage_trees",
    tables,
    Column("day", String(10), primary_key=True),
    Column("root_uid", String(64), primary_key=True),
    Column("namespace", String(63), primary_key=True),
    Column("currency", String(8), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("model", String(320), primary_key=True),
    Column("predictions", BigInteger, nullable=False),
    Column("active_ms", BigInteger, nullable=False),
    Column("output_items", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", String(160), nullable=False),
    sqlite_with_rowid=False,
)

Table(
    "usage_periods",
    tables,
    Column("period", String(7), primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
    Column("closed_by", String(320), nullable=False),
    Column("records", BigInteger),
    Column("sums", Text),
    Column("sha256", String(64)),
)

Table(
    "spending",
    tables,
    Column("namespace", String(63), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("cost", String(160), nullable=False),
)

Table(
    "budgets",
    tables,
    Column("run_uid", String(64), primary_key=True),
    Column("root_uid", String(64), nullable=False),
    Column("above", String(64)),
    Column("name", String(253), nullable=False),
    Column("amount", String(160), nullable=False),
    Column("spent", String(160), nullable=False),
    Index("ix_budgets_root_uid", "root_uid"),
)

Table(
    "deliveries",
    tables,
    Column("run_uid", String(64), primary_key=True),
    Column("id", String(26), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", String(64), nullable=False),
    Column("started", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("error", Text, nullable=False),
    Index("ix_deliveries_due_at", "due_at"),
)

Table(
    "files",
    tables,
    Column("id", String(26), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("run_uid", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("content_type", String(127), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_files_run_uid", "run_uid", "created_at"),
)

Table("doomed_files", tables, Column("id", String(26), primary_key=True))

Table(
    "uploads",
    tables,
    Column("file_id", String(26), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("root_uid", String(64), nullable=False),
    Column("md5", String(32), nullable=False),
    Column("metadata", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_uploads_namespace", "namespace", "created_at", "file_id"),
)

Table(
    "model_calls",
    tables,
    Column("uid", String(64), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("model", String(253), nullable=False),
    Column("step", String(16), nullable=False),
    Column("parent_uid", String(64)),
    Column("queued_at", BigInteger, nullable=False),
    Column("target", Text, nullable=False),
    Column("upstream", String(512), nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("cancel_at", BigInteger),
    Index("ix_model_calls_model", "namespace", "model", "step"),
    Index("ix_model_calls_parent", "parent_uid", "step"),
    Index("ix_model_calls_step", "step", "queued_at"),
)

Table("shut_parents", tables, Column("uid", String(64), primary_key=True))

Table(
    "model_versions",
    tables,
    Column("id", String(64), primary_key=True),
    Column("model_uid", String(64), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("model", String(253), nullable=False),
    Column("schema", Text, nullable=False),
    Column("upstream", String(512), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Index("ix_model_versions_model", "model_uid", "seen_at"),
)

Table(
    "pods",
    tables,
    Column("pod_uid", String(64), primary_key=True),
    Column("session_hash", String(64)),
    Column("retired", Boolean, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

Table(
    "sealed_secrets",
    tables,
    Column("id", String(26), primary_key=True),
    Column("prediction_uid", String(64)),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_sealed_secrets_prediction_uid", "prediction_uid"),
    Index("ix_sealed_secrets_name", "namespace", "name"),
)

Table(
    "sources",
    tables,
    Column("version", String(64), primary_key=True),
    Column("entrypoint", String(253), nullable=False),
    Column("files", Text, nullable=False),
)

Table(
    "logs",
    tables,
    Column("run_uid", String(64), primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("kept", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
)

Table(
    "log_chunks",
    tables,
    Column("run_uid", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("data", Text, nullable=False),
)

Table(
    "output_items",
    tables,
    Column("run_uid", String(64), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("value", Text, nullable=False),
)

Table(
    "creates",
    tables,
    Column("digest", String(64), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Index("ix_creates_created_at", "created_at"),
)


def upgrade() -> None:
    """Create the tables."""
    tables.create_all(op.get_bind(), checkfirst=False)
