"""Directory of everything that can be called: Pipelines, their versions, Models.

A name is resolved in this order: an alias in the caller's namespace, an alias in one of the shared
namespaces, `namespace/name`. An alias is not valid anywhere else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mayfly.api.v1alpha1 import Model, Pipeline
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.api.v1alpha1.identity import seniority
from mayfly.api.v1alpha1.names import PIPELINE_LABEL
from mayfly.clock import Monotonic
from mayfly.gateway.cache.informer import Change, Informer
from mayfly.kube.client import Cluster
from mayfly.kube.kinds import MODELS, PIPELINES, VERSIONS
from mayfly.listeners import Listeners

Json = dict[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """A Pipeline (without its source) or a Model.

    Attributes:
        body: the object's JSON.
        is_model: whether it is a Model.
    """

    body: Json
    is_model: bool

    @property
    def namespace(self) -> str:
        """The namespace, which the API calls the owner."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        return str(self.body["metadata"]["uid"])

    @property
    def created(self) -> str:
        """When it was created, RFC 3339."""
        return str(self.body["metadata"].get("creationTimestamp") or "")

    @property
    def public(self) -> bool:
        """Whether other namespaces may call it."""
        return bool(self.body["spec"].get("visibility") == "public")

    @property
    def alias(self) -> str | None:
        """A Model's alias."""
        return self.body["spec"].get("alias") if self.is_model else None

    @property
    def latest_version(self) -> str | None:
        """The id of the version that is called if a call names none."""
        return (self.body.get("status") or {}).get("latestVersion")

    @cached_property
    def typed(self) -> Pipeline | Model:
        """The typed object; a Pipeline's source is empty."""
        return (Model if self.is_model else Pipeline).model_validate(self.body)

    @property
    def problem(self) -> str:
        """Why it can't be called, as a sentence; "" if it can, or if it was not reconciled yet."""
        ready = find(self.typed.status.conditions, ConditionType.READY)
        return ready.message if ready is not None and ready.status == "False" else ""

    @property
    def settled(self) -> bool:
        """Whether the status is of the current spec."""
        return self.typed.status.observed_generation == self.typed.metadata.generation


@dataclass(frozen=True)
class PipelineVersionEntry:
    """A PipelineVersion without its source."""

    body: Json

    @property
    def id(self) -> str:
        """Its 64 hex digits."""
        return str(self.body["spec"]["id"])

    @property
    def key(self) -> Key:
        """Namespace and name of its Pipeline."""
        metadata = self.body["metadata"]
        return (metadata["namespace"], (metadata.get("labels") or {}).get(PIPELINE_LABEL, ""))

    @property
    def created(self) -> str:
        """When it was created, RFC 3339."""
        return str(self.body["metadata"].get("creationTimestamp") or "")

    @property
    def schema(self) -> Json:
        """The OpenAPI document of its input and output."""
        return dict(self.body["spec"].get("openapiSchema") or {})


class Directory:
    """Index of Pipelines, PipelineVersions and Models by name, id and alias.

    Attributes:
        model_changes: tells namespace and name of each Model that changed or went.
    """

    def __init__(
        self,
        cluster: Cluster,
        shared: Sequence[str],
        monotonic: Monotonic,
    ) -> None:
        """Create the directory without starting its watches.

        Args:
            cluster: the API server.
            shared: namespaces whose aliases are valid everywhere.
            monotonic: the clock of the watches.
        """
        self._shared = tuple(shared)
        self.model_changes: Listeners[str, str] = Listeners()
        self._aliases: defaultdict[Key, set[str]] = defaultdict(set)
        self._alias_of: dict[Key, str] = {}
        self._pipelines = Informer(
            cluster, PIPELINES, self._on_pipeline, monotonic, trim=_without_source
        )
        self._versions = Informer(
            cluster, VERSIONS, self._on_version, monotonic, trim=_without_source
        )
        self._version_ids: dict[str, Key] = {}
        self._versions_of: defaultdict[Key, set[str]] = defaultdict(set)
        self._models = Informer(cluster, MODELS, self._on_model_change, monotonic)
        self._model_versions: dict[str, tuple[Key, str]] = {}
        self._schemas: dict[Key, tuple[str, Json]] = {}
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pipelines.run())
            group.create_task(self._versions.run())
            group.create_task(self._models.run())

    async def synced(self) -> None:
        """Wait until every kind is listed."""
        await self._pipelines.synced.wait()
        await self._versions.synced.wait()
        await self._models.synced.wait()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the API server last sent something on the most silent watch."""
        watches = (self._pipelines, self._versions, self._models)
        return max(each.silent_seconds for each in watches)

    # -- by name ---------------------------------------------------------------------------------

    def find(self, owner: str, name: str, caller: str | None) -> Entry | None:
        """Resolve `owner/name` for a caller; whether it may be called is checked elsewhere.

        Args:
            owner: before the slash.
            name: after the slash.
            caller: the caller's namespace; None if it has none.
        """
        alias = f"{owner}/{name}"
        for namespace in (caller, *self._shared):
            found = self.by_alias(namespace, alias) if namespace else None
            if found is not None:
                return found
        return self.named(owner, name)

    def named(self, namespace: str, name: str) -> Entry | None:
        """The Pipeline or Model with this name; if both exist, the older one."""
        both = [
            each for each in (self.pipeline(namespace, name), self.model(namespace, name)) if each
        ]
        return min(both, key=_age, default=None)

    def pipeline(self, namespace: str, name: str) -> Entry | None:
        """A Pipeline."""
        body = self._pipelines.objects.get((namespace, name))
        return None if body is None else Entry(body, is_model=False)

    def model(self, namespace: str, name: str) -> Entry | None:
        """A Model."""
        body = self._models.objects.get((namespace, name))
        return None if body is None else Entry(body, is_model=True)

    def version(self, identity: str) -> PipelineVersionEntry | None:
        """A PipelineVersion by its id."""
        key = self._version_ids.get(identity)
        body = self._versions.objects.get(key) if key else None
        return None if body is None else PipelineVersionEntry(body)

    def versions(self, namespace: str, pipeline: str) -> list[PipelineVersionEntry]:
        """The versions of a Pipeline, newest first."""
        names = self._versions_of.get((namespace, pipeline), set())
        bodies = [self._versions.objects.get((namespace, name)) for name in names]
        found = [PipelineVersionEntry(body) for body in bodies if body is not None]
        return sorted(found, key=lambda each: (each.created, each.id), reverse=True)

    def model_of_version(self, identity: str) -> Entry | None:
        """The Model that has, or had, a version with this id."""
        key, uid = self._model_versions.get(identity, (("", ""), ""))
        entry = self.model(*key)
        if entry is not None and entry.uid == uid:
            return entry
        return next((each for each in self.models() if each.latest_version == identity), None)

    def learn_version(self, identity: str, namespace: str, name: str, uid: str) -> None:
        """Record that a Model, by UID, has or had this version."""
        self._model_versions[identity] = ((namespace, name), uid)

    def unlearn_version(self, identity: str) -> None:
        """Remove a version of a Model."""
        self._model_versions.pop(identity, None)

    def schema_of_model(self, entry: Entry) -> Json | None:
        """The OpenAPI document of a Model's latest version; None if it is not known yet."""
        uid, schema = self._schemas.get((entry.namespace, entry.name), ("", {}))
        return schema if uid == entry.uid else None

    def learn_schema(self, entry: Entry, schema: Json) -> None:
        """Store the OpenAPI document of a Model's latest version."""
        self._schemas[entry.namespace, entry.name] = (entry.uid, schema)

    def unlearn_schema(self, namespace: str, name: str) -> None:
        """Remove the schema of a deleted Model."""
        self._schemas.pop((namespace, name), None)

    def shared_by_alias(self, entry: Entry, caller: str | None) -> bool:
        """Whether an alias lets the caller call a private Model in a shared namespace."""
        return bool(entry.alias) and (entry.namespace == caller or entry.namespace in self._shared)

    def models(self) -> Iterator[Entry]:
        """Every Model."""
        return (Entry(body, is_model=True) for body in list(self._models.objects.values()))

    def __iter__(self) -> Iterator[Entry]:
        """Every entry that holds its name, in no order."""
        for body in list(self._pipelines.objects.values()):
            entry = Entry(body, is_model=False)
            if self.named(entry.namespace, entry.name) == entry:
                yield entry
        for entry in self.models():
            if self.named(entry.namespace, entry.name) == entry:
                yield entry

    # -- what the watches tell -------------------------------------------------------------------

    async def settled(self, namespace: str, name: str, seconds: float) -> Entry | None:
        """Wait until the status of a Pipeline or Model is of its newest spec."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    entry = self.named(namespace, name)
                    if entry is None or entry.settled:
                        return entry
                    changed = self._changed
                    await changed.wait()
        except TimeoutError:
            return self.named(namespace, name)

    async def written(self, body: Json, *, is_model: bool, seconds: float) -> Entry:
        """Wait until the watch has what our own write returned.

        For a Pipeline, also wait for its version. What has not arrived in time is returned as it
        is.
        """
        made = Entry(body, is_model=is_model)
        find = self.model if is_model else self.pipeline
        generation = made.typed.metadata.generation
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._changed
                    entry = find(made.namespace, made.name)
                    if (
                        entry is not None
                        and entry.uid == made.uid
                        and entry.typed.metadata.generation >= generation
                        and (is_model or self._has_version(entry))
                    ):
                        return entry
                    await changed.wait()
        except TimeoutError:
            entry = find(made.namespace, made.name)
            return entry if entry is not None and entry.uid == made.uid else made

    def _has_version(self, entry: Entry) -> bool:
        latest = entry.latest_version
        return entry.settled and (latest is None or self.version(latest) is not None)

    def learn_pipeline(self, body: Json) -> None:
        """Update the cache with the result of our own write."""
        self._pipelines.update(body)

    def learn_model(self, body: Json) -> None:
        """Update the cache with the result of our own write."""
        self._models.update(body)

    def _on_pipeline(self, _change: Change, body: Json) -> None:
        self._tell()
        # A Model of the same name may have the name now, or not any more.
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if key in self._models.objects:
            self.model_changes.tell(*key)

    def _on_version(self, change: Change, body: Json) -> None:
        entry, name = PipelineVersionEntry(body), body["metadata"]["name"]
        place = (body["metadata"]["namespace"], name)
        if change == "DELETED":
            self._versions_of[entry.key].discard(name)
            if not self._versions_of[entry.key]:
                del self._versions_of[entry.key]
            if self._version_ids.get(entry.id) == place:
                del self._version_ids[entry.id]
        else:
            self._versions_of[entry.key].add(name)
            self._version_ids[entry.id] = place
        self._tell()

    def _on_model_change(self, change: Change, body: Json) -> None:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        before = self._alias_of.pop((namespace, name), None)
        if before is not None:
            self._aliases[namespace, before].discard(name)
            if not self._aliases[namespace, before]:
                del self._aliases[namespace, before]
        alias = body["spec"].get("alias")
        if alias and change != "DELETED":
            self._alias_of[namespace, name] = alias
            self._aliases[namespace, alias].add(name)
        self._tell()
        for affected in {name, *self._sharers(namespace, before), *self._sharers(namespace, alias)}:
            self.model_changes.tell(namespace, affected)

    def _sharers(self, namespace: str, alias: str | None) -> set[str]:
        return self._aliases.get((namespace, alias), set()) if alias else set()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def by_alias(self, namespace: str, alias: str) -> Entry | None:
        """The Model that holds an alias in a namespace: the oldest one that claims it."""
        names = self._aliases.get((namespace, alias), set())
        entries = [each for name in names if (each := self.model(namespace, name)) is not None]
        return min(entries, key=_age, default=None)


def _age(entry: Entry) -> tuple[str, str]:
    return seniority(entry.created, entry.uid)


def _without_source(body: Json) -> Json:
    # 128 KiB each, which nobody here needs: versions carry the source.
    spec = {**body["spec"], "source": {"inline": ""}}
    metadata = {
        key: value
        for key, value in body["metadata"].items()
        if key not in {"managedFields", "annotations"}
    }
    return {**body, "metadata": metadata, "spec": spec}
