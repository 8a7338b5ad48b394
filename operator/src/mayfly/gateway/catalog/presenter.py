"""Shows Pipelines and Models as Replicate's model objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.gateway.catalog import schemas
from mayfly.gateway.catalog.schemas import NO_VERSION
from mayfly.gateway.http.errors import Missing
from mayfly.gateway.http.urls import host_of
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.kinds import VERSIONS
from mayfly.metering import listing

Json = dict[str, Any]

COG_VERSION = "0.23.1"
"""The cog version that our annotations and schemas correspond to; clients parse arrays of very old
versions differently, and reject null."""

UNKNOWN: Json = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "paths": {},
    "components": {"schemas": {"Input": {"type": "object"}, "Output": {}}},
}
"""The version of a Model that no gateway has reached yet. Without any version, `use()` creates a
prediction and then raises without waiting for it; with this one it gets the outcome."""

WORDS = 16


class ModelPresenter:
    """Finds the Pipelines and Models that a caller may see, and renders them."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        directory: Directory,
        callers: Callers,
    ) -> None:
        """Create the presenter.

        Args:
            cluster: for sources, which the directory does not cache.
            database: for counts of runs.
            directory: all Pipelines and Models.
            callers: authorization.
        """
        self._cluster = cluster
        self._database = database
        self._directory = directory
        self._callers = callers

    # -- many ------------------------------------------------------------------------------------

    async def visible(self, caller: Caller, words: str = "") -> list[Entry]:
        """List what the caller may call, newest first: its namespace's, shared and public entries.

        Args:
            caller: who asks.
            words: must all be in the name, alias or description.
        """
        wanted = words.lower().split()[:WORDS]
        own = await self._own(caller)
        namespace = caller.namespace
        found = [
            entry
            for entry in self._directory
            if (
                own is None
                or (entry.is_model, entry.namespace) in own
                or self._callers.shared(entry, namespace)
            )
            and _has(entry, wanted)
        ]
        return sorted(found, key=lambda each: (each.created, each.uid), reverse=True)

    async def _own(self, caller: Caller) -> Collection[tuple[bool, str]] | None:
        """Namespaces whose private entries the caller may list; None for all namespaces."""
        namespace = caller.namespace
        if caller.run is not None:
            return {(False, namespace or ""), (True, namespace or "")}
        rights = {
            is_model: await self._callers.may(caller, "list", resource, namespace or "")
            for is_model, resource in ((False, "pipelines"), (True, "models"))
        }
        if namespace is None:
            return None if all(rights.values()) else ()
        return [(is_model, namespace) for is_model, may in rights.items() if may]

    async def many(self, entries: Sequence[Entry], base: str) -> list[Json]:
        """Entries as model objects, under names that are valid for everybody."""
        counts = await self._counts(entries)
        return [
            self._card(each, f"{each.namespace}/{each.name}", counts.get(_key(each), 0), base)
            for each in entries
        ]

    # -- one -------------------------------------------------------------------------------------

    async def one(self, entry: Entry, called: str, base: str) -> Json:
        """An entry as a model object.

        Args:
            entry: the Pipeline or Model.
            called: the name that the caller used, owner/name.
            base: the reader's base URL.
        """
        counts = await self._counts([entry])
        return self._card(entry, called, counts.get(_key(entry), 0), base)

    def versions(self, entry: Entry) -> list[Json]:
        """All versions, newest first, so that a caller who pins one finds it here."""
        if entry.is_model:
            latest = self._latest(entry) if entry.latest_version else None
            return [latest] if latest else []
        found = self._directory.versions(entry.namespace, entry.name)
        # Of several made within a second, the latest is the one that the Pipeline says.
        found.sort(key=lambda each: each.id != entry.latest_version)
        return [_version(each.id, each.created, each.schema) for each in found]

    def version(self, entry: Entry, identity: str) -> Json:
        """A version of an entry.

        Raises:
            Missing: it has no version with this id.
        """
        for each in self.versions(entry):
            if each["id"] == identity:
                return each
        raise Missing(f'"{entry.namespace}/{entry.name}" has no version "{identity[:64]}".')

    async def source(self, entry: Entry, identity: str) -> dict[str, str]:
        """The files of a Pipeline's version.

        Raises:
            Missing: it has no version with this id, or no source.
        """
        self.version(entry, identity)
        found = self._directory.version(identity)
        if found is None:
            raise Missing("A Model has no source here.")
        metadata = found.body["metadata"]
        body = await find_object(self._cluster, VERSIONS, metadata["namespace"], metadata["name"])
        if body is None:
            raise Missing("The version was deleted just now.")
        source = body["spec"]["source"]
        return dict(source.get("files") or {"main.py": source.get("inline") or ""})

    async def readme(self, entry: Entry) -> str:
        """README.md of its source, otherwise its description."""
        text = ""
        if (
            not entry.is_model
            and entry.latest_version
            and self._directory.version(entry.latest_version)
        ):
            found = await self.source(entry, entry.latest_version)
            text = next((found[name] for name in found if name.lower() == "readme.md"), "")
        return text or f"# {entry.name}\n\n{entry.body['spec'].get('description') or ''}\n"

    def _latest(self, entry: Entry) -> Json | None:
        identity = entry.latest_version
        if entry.is_model and identity is not None:
            return _version(identity, entry.created, schemas.of_model(self._directory, entry))
        if entry.is_model:
            return _version(NO_VERSION, entry.created, UNKNOWN)
        if identity is None:
            return None
        found = self._directory.version(identity)
        return None if found is None else _version(found.id, found.created, found.schema)

    def _card(self, entry: Entry, called: str, run_count: int, base: str) -> Json:
        owner, _, name = called.partition("/")
        spec = entry.body["spec"]
        return {
            "url": f"{host_of(base)}/ui/models/{entry.namespace}/{entry.name}",
            "owner": owner,
            "name": name,
            "description": spec.get("description") or "",
            "visibility": "public" if entry.public else "private",
            "github_url": None,
            "paper_url": None,
            "license_url": None,
            "cover_image_url": None,
            "is_official": False,
            "run_count": run_count,
            "default_example": None,
            "latest_version": self._latest(entry),
            "created_at": entry.created,
            "kind": "model" if entry.is_model else "pipeline",
            "namespace": entry.namespace,
            "alias": entry.alias,
            "hardware": spec.get("hardware", "") if entry.is_model else spec.get("runtime"),
            "problem": entry.problem or None,
        }

    async def _counts(self, entries: Sequence[Entry]) -> dict[tuple[str, str], int]:
        async with self._database.read() as tx:
            return await listing.count_calls(tx, [_key(each) for each in entries])


def _key(entry: Entry) -> tuple[str, str]:
    return (entry.namespace, entry.name)


def _version(identity: str, created: str, schema: Json) -> Json:
    return {
        "id": identity,
        "created_at": created,
        "cog_version": COG_VERSION,
        "openapi_schema": schema,
    }


def _has(entry: Entry, words: Sequence[str]) -> bool:
    description = entry.body["spec"].get("description") or ""
    text = f"{entry.namespace}/{entry.name} {entry.alias or ''} {description}".lower()
    return all(word in text for word in words)
