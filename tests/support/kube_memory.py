"""An API server in memory, behind the same methods as `mayfly.kube.client.Cluster`.

It keeps what the gateway relies on: resourceVersions and their conflicts, `/status` apart from the
rest, merge patches that drop nulls, the JSON codec between writer and reader, a watch by
`status.finished!=true` whose DELETED carries the state from before, and ends that are written once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

from mayfly.clock import rfc3339_seconds, utc_now
from mayfly.kube.errors import Conflict, Gone, NotFound, Refused, Unavailable
from mayfly.kube.kinds import RUNS, SECRETS, Kind

Json = dict[str, Any]
Key = tuple[str, str, str]
WAIT_SECONDS = 20.0


def _copy(value: Any) -> Any:
    # allow_nan: the server would refuse the body.
    return json.loads(json.dumps(value, allow_nan=False))


def _unfinished(body: Json) -> bool:
    return (body.get("status") or {}).get("finished") is not True


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def condition(body: Json, kind: str) -> Json:
    conditions = (body.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


class MemoryCluster:
    """The server.

    Attributes:
        writes: writes of the gateway, by (verb, plural).
        results: how the client counts their ends; nothing is counted here.
        on_write: called with (verb, body as it is stored now) before each write of the gateway;
            it may write as somebody else, or raise.
        tokens: token -> (audiences, user); "" among the audiences is the API server's own.
        allowed: (user name, namespace) that may do everything there, but for what is denied.
        denied: (user name, verb, resource) that it may not.
        readable: (namespace, name) of the Secrets that a Role lets the gateway read.
        reads: what was read by name, by plural.
        lists: how often a list was read, by plural.
    """

    def __init__(self) -> None:
        self.writes: Counter[tuple[str, str]] = Counter()
        self.results: Counter[tuple[str, ...]] = Counter()
        self.on_write: Callable[[str, Json], None] | None = None
        self.tokens: dict[str, tuple[set[str], Json]] = {}
        self.allowed: set[tuple[str, str]] = set()
        self.denied: set[tuple[str, str, str]] = set()
        self.readable: set[tuple[str, str]] = set()
        self.reads: Counter[str] = Counter()
        self.lists: Counter[str] = Counter()
        self.reviews = 0
        self._objects: dict[Key, Json] = {}
        self._version = 100
        self._log: list[tuple[int, Kind, str, Json | None, Json]] = []
        self._changed = asyncio.Condition()
        self._watchers = 0
        self._broken = 0
        self._compacted = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the gateway calls ------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        self.reads[kind.plural] += 1
        if kind is SECRETS and (namespace, name) not in self.readable:
            raise Refused(403, f'secrets "{name}" is forbidden')
        return self.now(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str | None = None, **options: Any) -> Json:
        self.lists[kind.plural] += 1
        selector, labels = options.get("field_selector"), options.get("label_selector")
        items = [
            _copy(body)
            for key, body in self._objects.items()
            if key[0] == kind.plural
            and namespace in {None, key[1]}
            and _selected(body, selector)
            and _labelled(body, labels)
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    async def pages(self, kind: Kind, namespace: str | None = None, **options: Any) -> Any:
        yield await self.list(kind, namespace, **options)

    async def create(self, kind: Kind, namespace: str | None, body: Json) -> Json:
        key = (kind.plural, namespace or "", body["metadata"]["name"])
        self._before("POST", kind, key)
        if key in self._objects:
            raise Conflict(409, f"{key[2]} already exists")
        now = rfc3339_seconds(utc_now())
        made = {**body, "metadata": {"creationTimestamp": now, **body["metadata"]}}
        return _copy(self.add(kind, made))

    async def patch(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        key = (kind.plural, namespace or "", name)
        self._before("PATCH", kind, key)
        known = self.now(kind, namespace, name)
        wanted = patch.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != known["metadata"]["resourceVersion"]:
            raise Conflict(409, "the object has been modified")
        merged = _merge(known, _copy(patch))
        if merged.get("spec") != known.get("spec"):
            merged["metadata"]["generation"] += 1
        return self._store(kind, key, merged)

    async def delete(self, kind: Kind, namespace: str | None, name: str, **options: Any) -> None:
        key = (kind.plural, namespace or "", name)
        self._before("DELETE", kind, key)
        self.now(kind, namespace, name)
        self.remove(kind, namespace or "", name)

    async def write_status(self, kind: Kind, body: Json) -> Json:
        metadata = body["metadata"]
        key = (kind.plural, metadata["namespace"], metadata["name"])
        self._before("PUT", kind, key)
        self._check(key, metadata)
        return self._store(kind, key, {**self._objects[key], "status": _copy(body["status"])})

    async def patch_status(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        key = (kind.plural, namespace or "", name)
        self._before("PATCH", kind, key)
        self._check(key, patch["metadata"])
        status = _merge(self._objects[key].get("status"), _copy(patch["status"]))
        return self._store(kind, key, {**self._objects[key], "status": status})

    async def watch_events(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str,
        field_selector: str | None = None,
        label_selector: str | None = None,
        timeout_seconds: int = 300,
    ) -> AsyncIterator[Json]:
        seen = int(resource_version)
        broken = self._broken
        if seen < self._compacted:
            raise Gone(410, "too old resource version")
        self._watchers += 1
        try:
            while True:
                await self._flowing.wait()
                looked = self._version
                for version, of, change, before, after in tuple(self._log):
                    if version <= seen or of is not kind:
                        continue
                    event = _event(change, before, after, field_selector)
                    if event is not None:
                        yield _copy(event)
                seen = looked
                async with self._changed:
                    await self._changed.wait_for(
                        lambda after=seen: self._version > after or self._broken > broken
                    )
                if self._broken > broken:
                    raise Unavailable(0, "the watch broke")
        finally:
            self._watchers -= 1

    async def token_review(self, token: str, audiences: list[str]) -> Json:
        self.reviews += 1
        known = self.tokens.get(token)
        wanted = set(audiences) or {""}
        if known is None or not known[0] & wanted:
            return {"authenticated": False}
        return {"authenticated": True, "user": known[1], "audiences": sorted(known[0] & wanted)}

    async def subject_access_review(self, spec: Json) -> Json:
        asked = spec["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        denied = (spec["user"], asked["verb"], resource) in self.denied
        return {"allowed": not denied and (spec["user"], asked["namespace"]) in self.allowed}

    async def close(self) -> None:
        return

    # -- what tests call -------------------------------------------------------------------------

    def now(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """The object as it is stored."""
        try:
            return dict(_copy(self._objects[kind.plural, namespace or "", name]))
        except KeyError:
            raise NotFound(404, f"{kind.plural} {name} not found") from None

    def every(self, kind: Kind) -> list[Json]:
        """Every object of a kind."""
        return [_copy(body) for key, body in self._objects.items() if key[0] == kind.plural]

    async def first(self, kind: Kind) -> Json:
        """An object of a kind, once there is one."""
        async with self._changed:
            there = self._changed.wait_for(lambda: bool(self.every(kind)))
            await asyncio.wait_for(there, WAIT_SECONDS)
        return self.every(kind)[0]

    def add(self, kind: Kind, body: Json) -> Json:
        """Create an object, with a UID and a version."""
        body = _copy(body)
        metadata = body["metadata"]
        metadata.setdefault("uid", str(uuid4()))
        metadata.setdefault("generation", 1)
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        key = (kind.plural, metadata.get("namespace", ""), metadata["name"])
        assert key not in self._objects, f"{key} exists"
        body.setdefault("apiVersion", kind.api_version)
        body.setdefault("kind", kind.name)
        return self._store(kind, key, body)

    def edit(self, kind: Kind, namespace: str, name: str, change: Callable[[Json], None]) -> Json:
        """Write as somebody else: the change is made on the newest object."""
        body = self.now(kind, namespace, name)
        change(body)
        return self._store(kind, (kind.plural, namespace, name), body)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object."""
        before = self._objects.pop((kind.plural, namespace, name))
        self._version += 1
        self._tell(kind, "DELETED", before, before)

    def break_watches(self, *, forget: bool = False) -> None:
        """End every watch; with `forget`, also what a watch could go on from."""
        self._broken += 1
        if forget:
            self._compacted = self._version + 1
            self._version += 1
        self._notify()

    def hold_watches(self) -> None:
        """Tell no watch of anything until `release_watches`."""
        self._flowing.clear()

    def release_watches(self) -> None:
        """Let every watch catch up."""
        self._flowing.set()

    async def until(
        self, kind: Kind, namespace: str, name: str, holds: Callable[[Json], bool]
    ) -> Json:
        """The object, once it is as wanted."""

        def there() -> bool:
            body = self._objects.get((kind.plural, namespace, name))
            return body is not None and holds(body)

        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(there), WAIT_SECONDS)
        return self.now(kind, namespace, name)

    # -- inside ----------------------------------------------------------------------------------

    def _before(self, verb: str, kind: Kind, key: Key) -> None:
        self.writes[verb, kind.plural] += 1
        if self.on_write is not None:
            self.on_write(verb, _copy(self._objects.get(key) or {}))

    def _check(self, key: Key, metadata: Json) -> None:
        known = self._objects.get(key)
        if known is None:
            raise NotFound(404, f"{key} not found")
        if "uid" in metadata and metadata["uid"] != known["metadata"]["uid"]:
            raise Conflict(409, "Precondition failed: UID")
        assert metadata.get("resourceVersion"), "a status write without resourceVersion"
        if metadata["resourceVersion"] != known["metadata"]["resourceVersion"]:
            raise Conflict(409, "the object has been modified")

    def _store(self, kind: Kind, key: Key, body: Json) -> Json:
        before = self._objects.get(key)
        if before is not None and kind is RUNS:
            _write_once(before, body)
        self._version += 1
        body = _copy(body)
        body["metadata"]["resourceVersion"] = str(self._version)
        self._objects[key] = body
        self._tell(kind, "ADDED" if before is None else "MODIFIED", before, body)
        return dict(_copy(body))

    def _tell(self, kind: Kind, change: str, before: Json | None, after: Json) -> None:
        told = _copy(after)
        told["metadata"]["resourceVersion"] = str(self._version)
        self._log.append((self._version, kind, change, before, told))
        self._notify()

    def _notify(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _write_once(before: Json, after: Json) -> None:
    ended = condition(before, "Finished").get("status") == "True"
    for kind in ("Finished", "Succeeded"):
        old, new = condition(before, kind), condition(after, kind)
        if ended and (old.get("status"), old.get("reason")) != (
            new.get("status"),
            new.get("reason"),
        ):
            raise Refused(422, "an end is written once")


def _labelled(body: Json, selector: str | None) -> bool:
    if selector is None:
        return True
    name, _, value = selector.partition("=")
    return bool((body["metadata"].get("labels") or {}).get(name) == value)


def _selected(body: Json, selector: str | None) -> bool:
    if selector is None:
        return True
    if selector == "status.finished!=true":
        return _unfinished(body)
    field, _, value = selector.partition("=")
    assert field == "status.id", selector
    return bool((body.get("status") or {}).get("id") == value)


def _event(change: str, before: Json | None, after: Json, selector: str | None) -> Json | None:
    was = before is not None and _selected(before, selector)
    is_now = change != "DELETED" and _selected(after, selector)
    if is_now:
        return {"type": "MODIFIED" if was else "ADDED", "object": after}
    if was and before is not None:
        # As the real one: the state from before, the version of the change that ended it.
        metadata = {**before["metadata"], "resourceVersion": after["metadata"]["resourceVersion"]}
        return {"type": "DELETED", "object": {**before, "metadata": metadata}}
    return None
