"""What Models take and give: their schemas, the ids of their versions, and their status.

A version is a schema of a Model; its id is a hash of both, so the same server gives the same id
in every gateway, and every version that was ever seen is kept in SQL.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, String, Table, Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.api.v1alpha1 import Model, Reason
from mayfly.api.v1alpha1.conditions import Condition, ConditionType, with_condition
from mayfly.clock import Clock, rfc3339_seconds
from mayfly.database.engine import Database, Instant, insert_once, metadata
from mayfly.gateway.cache.directory import Directory, Entry, Key
from mayfly.gateway.calls.cog import CogServer
from mayfly.gateway.calls.replicate import ReplicateServer
from mayfly.gateway.calls.server import Json, NotNow, Refused
from mayfly.gateway.http.outbound import OutboundError
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError, NotFound
from mayfly.kube.kinds import MODELS
from mayfly.metering import listing
from mayfly.workqueue import WorkQueue

logger = logging.getLogger(__name__)

SCHEMA_BYTES = 1024 * 1024
WORKERS = 4
KEPT = 10
"""Versions of a Model that are kept however old they are."""

FIRST_SECONDS = 1.0
"""When a Model that can't be called yet is looked at again; twice as long each time after that."""

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
    """One version of a Model; a field is named as its column.

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
        """Whether the output may hold files."""
        output = self.schema["components"]["schemas"].get("Output")
        return '"format": "uri"' in json.dumps(output)


class NotAModel(Exception):
    """A server describes something else; the words are for a person."""


def version_id(model_uid: str, schema: Json) -> str:
    """A version's id: sha256 over the Model's UID and the schema, keys in order."""
    text = json.dumps([model_uid, schema], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def checked(schema: Json) -> Json:
    """The part of a server's document that is the model's, where it is what it should be.

    Raises:
        NotAModel: it is not.
    """
    components = schema.get("components")
    schemas = components.get("schemas") if isinstance(components, dict) else None
    given = schemas.get("Input") if isinstance(schemas, dict) else None
    if not isinstance(schemas, dict) or not isinstance(given, dict):
        raise NotAModel("its schema has no components.schemas.Input")
    properties = given.get("properties", {})
    if not isinstance(properties, dict) or not all(
        isinstance(each, dict) for each in properties.values()
    ):
        raise NotAModel("its schema's Input has no properties that can be read")
    if len(json.dumps(schema)) > SCHEMA_BYTES:
        raise NotAModel(f"its schema has more than {SCHEMA_BYTES // 1024} KiB")
    return schema


@dataclass(frozen=True)
class Finding:
    """What a look at a Model found."""

    reason: Reason
    words: str
    version: ModelVersion | None = None


class Versions:
    """Looks at Models and keeps what it saw."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        directory: Directory,
        cog: CogServer,
        replicate: ReplicateServer,
        workqueue: WorkQueue[Key],
        probe_seconds: float,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._database = database
        self._directory = directory
        self._cog = cog
        self._replicate = replicate
        self._probe_seconds = probe_seconds
        self._clock = clock
        self._workqueue = workqueue
        self._looked: dict[Key, tuple[object, ...]] = {}
        self._pauses: dict[Key, float] = {}

    # -- read ------------------------------------------------------------------------------------

    async def latest(self, entry: Entry) -> ModelVersion | None:
        """The version of a Model that is called now; None when nobody has seen one."""
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

    def changed(self, namespace: str, name: str) -> None:
        """A Model changed or went; our own writes of its status are no change."""
        entry = self._directory.model(namespace, name)
        if entry is None or self._looked.get((namespace, name)) != self._facts(entry):
            self.look(namespace, name)

    def look(self, namespace: str, name: str) -> None:
        """Look at a Model soon."""
        self._workqueue.add((namespace, name))

    def _facts(self, entry: Entry) -> tuple[object, ...]:
        return (entry.uid, entry.body["metadata"].get("generation"), self._conflict(entry))

    async def run(self) -> None:
        """Look at Models until cancelled."""
        await self._directory.synced()
        async with self._database.read() as tx:
            columns = (
                model_versions.c.id,
                model_versions.c.namespace,
                model_versions.c.model,
                model_versions.c.model_uid,
            )
            for each in await tx.execute(select(*columns)):
                self._directory.learn_version(each.id, each.namespace, each.model, each.model_uid)
        for entry in self._directory.models():
            # What its server said last holds while it is away.
            known = await self.latest(entry)
            if known is not None:
                self._directory.learn_schema(entry, known.schema)
            self.look(entry.namespace, entry.name)
        await self._workqueue.run(self._look, WORKERS)

    async def _look(self, key: Key) -> None:
        entry = self._directory.model(*key)
        if entry is None:
            self._looked.pop(key, None)
            self._directory.unlearn_schema(*key)
            self._pauses.pop(key, None)
            return
        facts = self._facts(entry)
        finding = await self._found(entry)
        if self._looked.get(key) != facts or finding.reason is Reason.READY:
            self._pauses.pop(key, None)
        self._looked[key] = facts
        self._workqueue.add_after(key, self._pause(entry, finding))
        try:
            await self._write(entry, finding)
        except NotFound:
            return
        except KubeError:
            self._looked.pop(key, None)
            raise

    def _pause(self, entry: Entry, finding: Finding) -> float:
        """Seconds until the next look: soon where a server may just be starting."""
        if finding.reason is Reason.READY:
            return self._probe_seconds
        key = (entry.namespace, entry.name)
        pause = min(self._pauses.get(key, FIRST_SECONDS), self._probe_seconds)
        self._pauses[key] = 2 * pause
        return pause

    async def _found(self, entry: Entry) -> Finding:
        conflict = self._conflict(entry)
        if conflict:
            return Finding(Reason.NAME_CONFLICT, conflict)
        try:
            schema, upstream = await self._asked(entry)
            version = await self._seen(entry, checked(schema), upstream)
        except (OutboundError, NotAModel) as error:
            return Finding(Reason.UNREACHABLE, f"The model's server can't be used: {error}.")
        except (Refused, NotNow) as error:
            reason = error.reason if isinstance(error, Refused) else Reason.UNREACHABLE
            return Finding(reason, str(error))
        return Finding(Reason.READY, "The model can be called.", version)

    async def _asked(self, entry: Entry) -> tuple[Json, str]:
        target = target_of(entry)
        if "endpoint" in target:
            return await self._cog.schema(target), ""
        return await self._replicate.describe(target)

    async def _seen(self, entry: Entry, schema: Json, upstream: str) -> ModelVersion:
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

    def _conflict(self, entry: Entry) -> str:
        """Who has the name or the alias, in words, or ""."""
        words = self.name_conflict(entry)
        if words:
            return words
        holder = self._directory.by_alias(entry.namespace, entry.alias) if entry.alias else None
        if holder is not None and holder.uid != entry.uid:
            return f'The older Model "{holder.name}" of this namespace has the alias.'
        return ""

    def name_conflict(self, entry: Entry) -> str:
        """Why a Model can't have its name, in words; "" where it has it."""
        holder = self._directory.named(entry.namespace, entry.name)
        if holder is None or holder.is_model:
            return ""
        return (
            f'The older Pipeline "{entry.name}" of this namespace has the name: give the Model '
            f"another one, or delete the Pipeline."
        )

    # -- forgotten -------------------------------------------------------------------------------

    async def forget_old(self, before: datetime) -> None:
        """Forget versions that were the latest before a moment, and that nothing needs.

        A Model keeps its newest ones; one that is gone keeps those that a prediction names that has
        not ended.
        """
        there = {entry.uid for entry in self._directory.models()}
        columns = (model_versions.c.id, model_versions.c.model_uid, model_versions.c.seen_at)
        newer: Counter[str] = Counter()
        gone: list[str] = []
        async with self._database.write() as tx:
            named = set(await listing.versions_in_use(tx))
            found = await tx.execute(select(*columns).order_by(model_versions.c.seen_at.desc()))
            for row in found:
                newer[row.model_uid] += 1
                kept = row.model_uid in there and newer[row.model_uid] <= KEPT
                if not kept and row.seen_at < before and row.id not in named:
                    gone.append(row.id)
            for identity in gone:
                await tx.execute(delete(model_versions).where(model_versions.c.id == identity))
        for identity in gone:
            self._directory.unlearn_version(identity)

    async def _write(self, entry: Entry, finding: Finding) -> None:
        """Write the status, if it says something new."""
        entry = self._directory.model(entry.namespace, entry.name) or entry
        model = entry.typed
        assert isinstance(model, Model)  # noqa: S101 - it is what the directory gives
        generation = model.metadata.generation
        conditions = with_condition(
            model.status.conditions,
            ConditionType.READY,
            "True" if finding.reason is Reason.READY else "False",
            finding.reason,
            finding.words,
            now=rfc3339_seconds(self._clock()),
            generation=generation,
        )
        wanted: Json = {
            "observedGeneration": generation,
            "conditions": [_condition(each) for each in conditions],
        }
        if finding.version is not None:
            wanted["latestVersion"] = finding.version.id
        known = entry.body.get("status") or {}
        if all(known.get(name) == value for name, value in wanted.items()):
            return
        metadata = entry.body["metadata"]
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"], "uid": entry.uid},
            "status": wanted,
        }
        body = await self._cluster.patch_status(MODELS, entry.namespace, entry.name, patch)
        self._directory.learn_model(body)


def target_of(entry: Entry, version: ModelVersion | None = None) -> Json:
    """Where a Model's calls go, and on what terms: what is kept with a call that was sent."""
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


def _condition(condition: Condition) -> Json:
    return condition.model_dump(by_alias=True, exclude_none=True)
