"""Versions of Models: a schema and its id, stored in SQL.

A version is a schema of a Model; its id is a hash of both, so the same server gives the same id
in every gateway, and every version that was ever seen is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, String, Table, Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.clock import Clock
from mayfly.database.engine import Database, Instant, insert_once, metadata
from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.gateway.calls.server import Json
from mayfly.metering import listing

KEEP = 10
"""Number of versions of a Model that are kept regardless of age."""

model_versions = Table(
    "model_versions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model_uid", String(64), nullable=False),
    Column("namespace", String(63), nullable=False),
    Column("model", String(253), nullable=False),
    Column("schema", Text, nullable=False),
    Column("upstream", String(512), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Index("ix_model_versions_model", "model_uid", "seen_at"),
)


@dataclass(frozen=True)
class ModelVersion:
    """One version of a Model; the fields are named like the columns.

    Attributes:
        model_uid: of the Model.
        namespace: the Model's.
        model: its name.
        schema: the OpenAPI document of its input and output.
        upstream: the upstream's own id to call it by; "" for by its name.
        created_at: when it was first seen.
        seen_at: when it was last the latest for the first time.
    """

    id: str
    model_uid: str
    namespace: str
    model: str
    schema: Json
    upstream: str
    created_at: datetime
    seen_at: datetime

    @property
    def output_files(self) -> bool:
        """Whether the output may contain files."""
        output = self.schema["components"]["schemas"].get("Output")
        return '"format": "uri"' in json.dumps(output)


def version_id(model_uid: str, schema: Json) -> str:
    """A version's id: sha256 over the Model's UID and the schema, keys in order."""
    text = json.dumps([model_uid, schema], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Versions:
    """The table of versions; the directory is kept up to date with it."""

    def __init__(self, database: Database, directory: Directory, clock: Clock) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock

    async def load(self) -> None:
        """Load all versions into the directory: the last schema counts while a server is away."""
        columns = (
            model_versions.c.id,
            model_versions.c.namespace,
            model_versions.c.model,
            model_versions.c.model_uid,
        )
        async with self._database.read(bulk=True) as tx:
            for each in await tx.execute(select(*columns)):
                self._directory.learn_version(each.id, each.namespace, each.model, each.model_uid)
        for entry in self._directory.models():
            known = await self.latest(entry)
            if known is not None:
                self._directory.learn_schema(entry, known.schema)

    async def latest(self, entry: Entry) -> ModelVersion | None:
        """The version of a Model that is called now; None if none is known."""
        async with self._database.read() as tx:
            return await _one(
                tx,
                select(model_versions)
                .where(model_versions.c.model_uid == entry.uid)
                .order_by(model_versions.c.seen_at.desc())
                .limit(1),
            )

    async def find(self, identity: str) -> ModelVersion | None:
        """A version by its id."""
        async with self._database.read() as tx:
            return await _one(tx, select(model_versions).where(model_versions.c.id == identity))

    async def save(self, entry: Entry, schema: Json, upstream: str) -> ModelVersion:
        """Store a server's current schema as the Model's latest version.

        Args:
            entry: the Model.
            schema: the OpenAPI document of its input and output.
            upstream: the upstream's own id to call it by; "" for by its name.
        """
        now = self._clock()
        identity = version_id(entry.uid, schema)
        before = await self.latest(entry)
        self._directory.learn_schema(entry, schema)
        if before is not None and (before.id, before.upstream) == (identity, upstream):
            return before
        async with self._database.write() as tx:
            values = {
                "id": identity,
                "model_uid": entry.uid,
                "namespace": entry.namespace,
                "model": entry.name,
                "schema": json.dumps(schema),
                "upstream": upstream,
                "created_at": now,
                "seen_at": now,
            }
            if not await insert_once(tx, model_versions, values):
                await tx.execute(
                    update(model_versions)
                    .where(model_versions.c.id == identity)
                    .values(upstream=upstream, seen_at=now)
                )
        self._directory.learn_version(identity, entry.namespace, entry.name, entry.uid)
        return await self.find(identity) or _version({**values, "schema": json.dumps(schema)})

    async def forget_old(self, before: datetime) -> None:
        """Delete versions that were superseded before a moment, and that nothing needs.

        A Model keeps its newest ones; one that is gone keeps those that a prediction names that has
        not ended.
        """
        there = {entry.uid for entry in self._directory.models()}
        columns = (model_versions.c.id, model_versions.c.model_uid, model_versions.c.seen_at)
        newer: Counter[str] = Counter()
        gone: list[str] = []
        async with self._database.write(bulk=True) as tx:
            named = set(await listing.versions_in_use(tx))
            found = await tx.execute(select(*columns).order_by(model_versions.c.seen_at.desc()))
            for row in found:
                newer[row.model_uid] += 1
                kept = row.model_uid in there and newer[row.model_uid] <= KEEP
                if not kept and row.seen_at < before and row.id not in named:
                    gone.append(row.id)
            for identity in gone:
                await tx.execute(delete(model_versions).where(model_versions.c.id == identity))
        for identity in gone:
            self._directory.unlearn_version(identity)


def target_of(entry: Entry, version: ModelVersion | None = None) -> Json:
    """Target and terms of a Model's calls, as stored with a call that was sent."""
    spec = entry.body["spec"]
    sort = "endpoint" if spec.get("endpoint") else "replicate"
    target: Json = {
        "namespace": entry.namespace,
        sort: spec[sort],
        "timeout": spec.get("timeout") or "30m",
        "concurrency": spec.get("concurrency") or 1,
    }
    if version is not None:
        target |= {"upstreamVersion": version.upstream, "outputFiles": version.output_files}
    return target


async def _one(tx: AsyncConnection, wanted: Any) -> ModelVersion | None:
    found = (await tx.execute(wanted)).mappings().one_or_none()
    return None if found is None else _version(dict(found))


def _version(row: Json) -> ModelVersion:
    return ModelVersion(**{**row, "schema": json.loads(row["schema"])})
