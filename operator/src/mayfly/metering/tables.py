"""The ledger's tables: one row per prediction in `runs`, its bill in `usage_records`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text, text

from mayfly.database.engine import Instant, metadata
from mayfly.database.exact import Exact

RUN = "run"
MODEL = "model"

RARE_ENDS = "outcome IN ('failed', 'canceled')"
"""SQL: ends that most predictions do not have. SQLite uses an index of such rows for a query that
says this in the same words."""

runs = Table(
    "runs",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("id", String(26), nullable=False, unique=True),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pipeline_namespace", String(63), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("version", String(64), nullable=False),
    Column("root_uid", String(64), nullable=False),
    Column("parent_uid", String(64), index=True),
    Column("depth", Integer, nullable=False),
    Column("runtime_digest", String(512), nullable=False),
    Column("prices", Text, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("input_json", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("pod_uid", String(64)),
    Column("attempt", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("started_at", Instant),
    Column("active_ms", BigInteger, nullable=False),
    Column("heard_at", Instant),
    Column("outcome", String(16)),
    Column("reason", String(64)),
    Column("error", Text, nullable=False),
    Column("output", Text),
    Column("completed_at", Instant),
    Column("journalled_at", Instant),
    Column("closed_at", Instant),
    Column("closed_by", String(16)),
    Column("kind", String(8), nullable=False),
    Column("called", String(320), nullable=False),
    Column("downstream", Exact),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("flags", Text, nullable=False),
    Column("budget_uid", String(64)),
    Column("data_removed", Boolean, nullable=False),
    Column("created_by", String(253)),
    Index("ix_runs_open", "closed_at"),
    Index("ix_runs_kept", "data_removed", "closed_at", "uid", "namespace", "root_uid"),
    Index("ix_runs_version", "version"),
    Index("ix_runs_pod_uid", "pod_uid"),
    Index("ix_runs_created_at", "created_at", "id"),
    Index("ix_runs_namespace", "namespace", "created_at", "id"),
    Index("ix_runs_tree", "root_uid", "namespace", "created_at", "id"),
    Index("ix_runs_model", "pipeline_namespace", "pipeline", "namespace", "created_at", "id"),
    # In SQLite of few rows each, so that most predictions don't pay for them. In PostgreSQL of
    # all: to say it for that would load its dialect everywhere.
    Index(
        "ix_runs_rare",
        *("namespace", "outcome", "created_at", "id"),
        sqlite_where=text(RARE_ENDS),
    ),
    Index(
        "ix_runs_roots",
        *("namespace", "parent_uid", "created_at", "id"),
        sqlite_where=text("parent_uid IS NULL"),
    ),
)

call_counts = Table(
    "call_counts",
    metadata,
    Column("namespace", String(63), primary_key=True),
    Column("name", String(253), primary_key=True),
    Column("calls", BigInteger, nullable=False),
)
"""How many predictions each Pipeline and Model has had, counted as they are opened in `runs`."""

usage_records = Table(
    "usage_records",
    metadata,
    Column("record_id", String(80), primary_key=True),
    Column("run_uid", String(64), nullable=False, index=True),
    Column("kind", String(8), nullable=False),
    Column("id", String(26), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("name", String(253), nullable=False),
    Column("pipeline_namespace", String(63), nullable=False),
    Column("pipeline", String(253), nullable=False),
    Column("called", String(320), nullable=False),
    Column("version", String(64), nullable=False),
    Column("runtime_digest", String(512), nullable=False),
    Column("root_uid", String(64), nullable=False, index=True),
    Column("parent_uid", String(64)),
    Column("depth", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("started", Boolean, nullable=False),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("active_ms", BigInteger, nullable=False),
    Column("output_items", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("prices", Text, nullable=False),
    Column("cost", Exact, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("flags", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("corrects", String(80)),
    Column("why", Text, nullable=False),
    Column("author", String(320), nullable=False),
    Column("request", String(64)),
    Index("ix_usage_records_namespace", "namespace", "recorded_at", "record_id"),
    Index("ix_usage_records_recorded_at", "recorded_at", "record_id"),
    Index("ix_usage_records_name", "namespace", "name", "recorded_at"),
)

usage_periods = Table(
    "usage_periods",
    metadata,
    Column("period", String(7), primary_key=True),
    Column("ends_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=False),
    Column("closed_by", String(320), nullable=False),
    Column("records", BigInteger),
    Column("sums", Text),
    Column("sha256", String(64)),
)
