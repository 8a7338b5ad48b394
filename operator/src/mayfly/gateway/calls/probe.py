"""Probes Models: reads the server's schema, stores it as a version, writes the condition Ready.

A Model is looked at when it changes, when a call needs its version, and every `probe_seconds`;
sooner where it can't be called yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from mayfly.api.v1alpha1 import Model, Reason
from mayfly.api.v1alpha1.conditions import ConditionType, with_condition
from mayfly.clock import Clock, rfc3339_seconds
from mayfly.gateway.cache.directory import Directory, Entry, Key
from mayfly.gateway.calls.cog import CogServer
from mayfly.gateway.calls.replicate import ReplicateServer
from mayfly.gateway.calls.server import Json, NotNow, Refused
from mayfly.gateway.calls.versions import ModelVersion, Versions, target_of
from mayfly.gateway.http.outbound import OutboundError
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError, NotFound
from mayfly.kube.kinds import MODELS
from mayfly.reconcile.failing import Trouble, not_ready
from mayfly.workqueue import Failure, WorkQueue

SCHEMA_BYTES = 1024 * 1024
WORKERS = 4

FIRST_SECONDS = 1.0
"""Time until a Model that can't be called is probed again; doubled each time."""


class NotAModel(Exception):
    """The server does not describe a model; the message is for people."""


def model_schema(schema: Json) -> Json:
    """Check that a server's OpenAPI document describes a model; returned unchanged.

    Raises:
        NotAModel: it does not.
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


def name_conflict(directory: Directory, entry: Entry) -> str:
    """Why a Model can't have its name, as a sentence; "" if it has it."""
    holder = directory.named(entry.namespace, entry.name)
    if holder is None or holder.is_model:
        return ""
    return (
        f'The older Pipeline "{entry.name}" of this namespace has the name: give the Model '
        f"another one, or delete the Pipeline."
    )


def conflict_of(directory: Directory, entry: Entry) -> str:
    """Which object holds a Model's name or alias, as a sentence, or ""."""
    words = name_conflict(directory, entry)
    if words:
        return words
    holder = directory.by_alias(entry.namespace, entry.alias) if entry.alias else None
    if holder is not None and holder.uid != entry.uid:
        return f'The older Model "{holder.name}" of this namespace has the alias.'
    return ""


@dataclass(frozen=True)
class Finding:
    """The result of a probe: the condition `Ready`, and the version that is called now."""

    reason: Reason
    words: str
    version: ModelVersion | None = None


def status_patch(entry: Entry, finding: Finding, now: datetime) -> Json | None:
    """The status patch after a probe; None if nothing changes."""
    model = entry.typed
    assert isinstance(model, Model)  # noqa: S101 - it is what the directory gives
    generation = model.metadata.generation
    conditions = with_condition(
        model.status.conditions,
        ConditionType.READY,
        "True" if finding.reason is Reason.READY else "False",
        finding.reason,
        finding.words,
        now=rfc3339_seconds(now),
        generation=generation,
    )
    status: Json = {
        "observedGeneration": generation,
        "conditions": [each.model_dump(by_alias=True, exclude_none=True) for each in conditions],
    }
    if finding.version is not None:
        status["latestVersion"] = finding.version.id
    known = entry.body.get("status") or {}
    if all(known.get(name) == value for name, value in status.items()):
        return None
    version = entry.body["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version, "uid": entry.uid}, "status": status}


class Probe:
    """Probes Models, and keeps their versions and status up to date."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        directory: Directory,
        versions: Versions,
        cog: CogServer,
        replicate: ReplicateServer,
        workqueue: WorkQueue[Key],
        probe_seconds: float,
        clock: Clock,
    ) -> None:
        """Get ready.

        Args:
            cluster: the API server, for the status.
            directory: the Models.
            versions: where what a server says is kept.
            cog: asks Cog servers.
            replicate: asks what speaks Replicate's API.
            workqueue: namespaces and names of Models.
            probe_seconds: from one look at a Model that can be called to the next.
            clock: stamps conditions.
        """
        self._cluster = cluster
        self._directory = directory
        self._versions = versions
        self._cog = cog
        self._replicate = replicate
        self._workqueue = workqueue
        self._probe_seconds = probe_seconds
        self._clock = clock
        self._last_facts: dict[Key, tuple[object, ...]] = {}
        self._pauses: dict[Key, float] = {}

    def changed(self, namespace: str, name: str) -> None:
        """A Model was changed or deleted; our own status writes are ignored."""
        entry = self._directory.model(namespace, name)
        if entry is None or self._last_facts.get((namespace, name)) != self._facts(entry):
            self.look(namespace, name)

    def look(self, namespace: str, name: str) -> None:
        """Queue a Model."""
        self._workqueue.add((namespace, name))

    async def run(self) -> None:
        """Probe Models until cancelled."""
        await self._directory.synced()
        await self._versions.load()
        for entry in self._directory.models():
            self.look(entry.namespace, entry.name)
        await self._workqueue.run(self._look, WORKERS, self._failed)

    async def _look(self, key: Key) -> None:
        entry = self._directory.model(*key)
        if entry is None:
            self._last_facts.pop(key, None)
            self._directory.unlearn_schema(*key)
            self._pauses.pop(key, None)
            return
        facts = self._facts(entry)
        finding = await self._find(entry)
        if self._last_facts.get(key) != facts or finding.reason is Reason.READY:
            self._pauses.pop(key, None)
        self._last_facts[key] = facts
        self._workqueue.add_after(key, self._pause(entry, finding))
        try:
            await self._write(entry, finding)
        except NotFound:
            return
        except KubeError:
            self._last_facts.pop(key, None)
            raise

    async def _failed(self, key: Key, failure: Failure) -> None:
        """Tell a Model that the gateway itself fails at it again and again."""
        trouble = Trouble("gateway", failure.tries, failure.seconds, failure.error)
        entry = self._directory.model(*key)
        if entry is None or not trouble.tells:
            return
        status = not_ready(entry.body, trouble, self._clock())
        if status is None:
            return
        version = entry.body["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version, "uid": entry.uid}, "status": status}
        self._directory.learn_model(await self._cluster.patch_status(MODELS, *key, patch))

    def _facts(self, entry: Entry) -> tuple[object, ...]:
        return (
            entry.uid,
            entry.body["metadata"].get("generation"),
            conflict_of(self._directory, entry),
        )

    def _pause(self, entry: Entry, finding: Finding) -> float:
        """Seconds until the next probe: few if the server may just be starting."""
        if finding.reason is Reason.READY:
            return self._probe_seconds
        key = (entry.namespace, entry.name)
        pause = min(self._pauses.get(key, FIRST_SECONDS), self._probe_seconds)
        self._pauses[key] = 2 * pause
        return pause

    async def _find(self, entry: Entry) -> Finding:
        conflict = conflict_of(self._directory, entry)
        if conflict:
            return Finding(Reason.NAME_CONFLICT, conflict)
        try:
            document, upstream = await self._ask(entry)
            version = await self._versions.save(entry, model_schema(document), upstream)
        except (OutboundError, NotAModel) as error:
            return Finding(Reason.UNREACHABLE, f"The model's server can't be used: {error}.")
        except (Refused, NotNow) as error:
            reason = error.reason if isinstance(error, Refused) else Reason.UNREACHABLE
            return Finding(reason, str(error))
        return Finding(Reason.READY, "The model can be called.", version)

    async def _ask(self, entry: Entry) -> tuple[Json, str]:
        target = target_of(entry)
        if "endpoint" in target:
            return await self._cog.schema(target), ""
        return await self._replicate.describe(target)

    async def _write(self, entry: Entry, finding: Finding) -> None:
        entry = self._directory.model(entry.namespace, entry.name) or entry
        patch = status_patch(entry, finding, self._clock())
        if patch is not None:
            body = await self._cluster.patch_status(MODELS, entry.namespace, entry.name, patch)
            self._directory.learn_model(body)
