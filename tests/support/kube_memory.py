"""An API server in memory with the methods of `mayfly.kube.client.Cluster`.

It implements what the gateway relies on: resourceVersions and conflicts, `/status` as a
subresource, merge patches that drop nulls, JSON encoding between writer and reader, selectors and
pages, watches whose DELETED events carry the last state, bookmarks, ends that are written once,
cancels that stay. tests/apiserver/test_memory_cluster.py compares it with a real server. It is
stricter in one point: a status write must name a resourceVersion.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import uuid4

from support.waiting import within

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.clock import rfc3339_seconds, utc_now
from mayfly.kube.errors import Conflict, Gone, NotFound, Refused, Unavailable
from mayfly.kube.kinds import RUNS, SECRETS, Kind

Json = dict[str, Any]
Key = tuple[str, str, str]
WAIT_SECONDS = 20.0


def _copy(value: Any) -> Any:
    # allow_nan: the server would refuse the body.
    return json.loads(json.dumps(value, allow_nan=False))


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
    """The in-memory API server.

    Attributes:
        writes: writes of the gateway, by (verb, plural).
        results: where the client counts results; unused here.
        on_write: called with (verb, body as it is stored now) before each write of the gateway;
            it may write as somebody else, or raise.
        tokens: token -> (audiences, user); audience "" is the API server's own.
        allowed: (user name, namespace) pairs that may do everything there, except `denied`.
        denied: (user name, verb, resource) that are forbidden.
        readable: (namespace, name) of the Secrets that a Role lets the gateway read.
        reads: number of reads by name, by plural.
        lists: number of lists, by plural.
    """

    def __init__(self) -> None:
        self.writes: Counter[tuple[str, str]] = Counter()
        self.results: Counter[tuple[str, ...]] = Counter()
        self.on_write: Callable[[str, Json], None] | None = None
        self.tokens: dict[str, tuple[set[str], Json]] = {}
        self.expired: set[str] = set()
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
        self._compacted = self._version
        self._pages: dict[str, tuple[int, list[Json]]] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the gateway calls ------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        self.reads[kind.plural] += 1
        if kind is SECRETS and (namespace, name) not in self.readable:
            raise Refused(403, f'secrets "{name}" is forbidden')
        return self.now(kind, namespace, name)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        field_selector: str | None = None,
        label_selector: str | None = None,
        limit: int | None = None,
        continue_: str | None = None,
    ) -> Json:
        self.lists[kind.plural] += 1
        if continue_ is None:
            version, selects = self._version, _selection(kind, field_selector, label_selector)
            rest = [
                _copy(body)
                for key, body in sorted(self._objects.items())
                if key[0] == kind.plural and namespace in {None, key[1]} and selects(body)
            ]
        else:
            version, rest = self._pages.pop(continue_)
        items, rest = rest[:limit], rest[limit or len(rest) :]
        metadata = {"resourceVersion": str(version)}
        if rest:
            metadata["continue"] = secrets.token_hex(8)
            self._pages[metadata["continue"]] = version, rest
        return {"metadata": metadata, "items": items}

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, chunk: int = 200, **selectors: Any
    ) -> AsyncIterator[Json]:
        token: str | None = None
        while True:
            page = await self.list(kind, namespace, limit=chunk, continue_=token, **selectors)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return

    async def create(self, kind: Kind, namespace: str | None, body: Json) -> Json:
        given = {"namespace": namespace, **body["metadata"]}
        if "name" not in given and given.get("generateName"):
            given["name"] = given["generateName"] + secrets.token_hex(3)[:5]
        if not given.get("name") or given["namespace"] != namespace:
            raise Refused(422, "metadata: Invalid value: no name, or another namespace")
        key = (kind.plural, namespace or "", given["name"])
        self._before("POST", kind, key)
        if key in self._objects:
            raise Conflict(409, f'{_resource(kind)} "{key[2]}" already exists')
        own = {"uid": str(uuid4()), "generation": 1, "creationTimestamp": _now()}
        metadata = {name: value for name, value in given.items() if value is not None} | own
        written = {name: value for name, value in body.items() if name != "status"}
        return _copy(self.add(kind, {**written, "metadata": metadata}))

    async def patch(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        key = (kind.plural, namespace or "", name)
        self._before("PATCH", kind, key)
        known = self.now(kind, namespace, name)
        _check_version(known, patch.get("metadata", {}))
        merged = _merge(known, _copy(patch))
        _check_uid(known, merged)
        for field in ("creationTimestamp", "generation"):
            merged["metadata"][field] = known["metadata"][field]
        if merged.get("spec") != known.get("spec"):
            merged["metadata"]["generation"] += 1
        merged.pop("status", None)
        status = {"status": known["status"]} if "status" in known else {}
        return self._store(kind, key, {**merged, **status})

    async def json_patch(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Json]
    ) -> Json:
        key = (kind.plural, namespace, name)
        self._before("PATCH", kind, key)
        body = self.now(kind, namespace, name)
        for each in operations:
            *path, last = [part.replace("~1", "/") for part in each["path"][1:].split("/")]
            there: Any = body
            for part in path:
                there = there[int(part) if isinstance(there, list) else part]
            if each["op"] == "test":
                if there.get(last) != each["value"]:
                    raise Refused(422, f"testing value {each['path']} failed: test failed")
            else:
                there[last] = each["value"]
        return self._store(kind, key, body)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        key = (kind.plural, namespace or "", name)
        self._before("DELETE", kind, key)
        if uid is not None and uid != self.now(kind, namespace, name)["metadata"]["uid"]:
            raise Conflict(409, "Precondition failed: UID")
        self.now(kind, namespace, name)
        self.remove(kind, namespace or "", name)

    async def write_status(self, kind: Kind, body: Json) -> Json:
        metadata = body["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        key = (kind.plural, namespace, name)
        self._before("PUT", kind, key)
        known = self.now(kind, namespace, name)
        if "uid" in metadata and metadata["uid"] != known["metadata"]["uid"]:
            raise Conflict(409, "Precondition failed: UID")
        assert metadata.get("resourceVersion"), "a status write without resourceVersion"
        _check_version(known, metadata)
        return self._store(kind, key, {**known, "status": _copy(body["status"])})

    async def patch_status(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        key = (kind.plural, namespace or "", name)
        self._before("PATCH", kind, key)
        known = self.now(kind, namespace, name)
        assert patch["metadata"].get("resourceVersion"), "a status write without resourceVersion"
        _check_version(known, patch["metadata"])
        status = _merge(known.get("status"), _copy(patch["status"]))
        return self._store(kind, key, {**known, "status": status})

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
            raise Gone(410, f"too old resource version: {seen} ({self._compacted})")
        selects = _selection(kind, field_selector, label_selector)
        ends = asyncio.get_running_loop().time() + timeout_seconds
        self._watchers += 1
        try:
            while True:
                await self._flowing.wait()
                looked = self._version
                # The log is in order of versions, and may be long.
                since = bisect_right(self._log, seen, key=lambda entry: entry[0])
                for _, of, change, before, after in self._log[since:]:
                    if of is not kind:
                        continue
                    if namespace not in {None, after["metadata"].get("namespace")}:
                        continue
                    event = _event(change, before, after, selects)
                    if event is not None:
                        yield _copy(event)
                seen = looked
                if not await self._changed_by(ends, seen, broken):
                    yield _bookmark(kind, seen)
                    return
                if self._broken > broken:
                    raise Unavailable(0, "the watch broke")
        finally:
            self._watchers -= 1

    async def token_review(self, token: str, audiences: list[str]) -> Json:
        self.reviews += 1
        known = self.tokens.get(token)
        wanted = set(audiences) or {""}
        if known is None or not known[0] & wanted:
            # In the API server's words, and only where it has checked the signature.
            words = "service account token has expired" if token in self.expired else "wrong"
            return {"authenticated": False, "error": f"[invalid bearer token, {words}]"}
        return {"authenticated": True, "user": known[1], "audiences": sorted(known[0] & wanted)}

    async def subject_access_review(self, spec: Json) -> Json:
        asked = spec["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        denied = (spec["user"], asked["verb"], resource) in self.denied
        return {"allowed": not denied and (spec["user"], asked["namespace"]) in self.allowed}

    async def close(self) -> None:
        return

    # -- what tests call -------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The newest resourceVersion: it grows with each change."""
        return self._version

    def now(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """The object as it is stored now."""
        try:
            return dict(_copy(self._objects[kind.plural, namespace or "", name]))
        except KeyError:
            raise NotFound(404, f'{_resource(kind)} "{name}" not found') from None

    def every(self, kind: Kind) -> list[Json]:
        """Every object of a kind."""
        return [_copy(body) for key, body in self._objects.items() if key[0] == kind.plural]

    async def first(self, kind: Kind) -> Json:
        """An object of a kind, once there is one."""
        async with self._changed:
            there = self._changed.wait_for(lambda: bool(self.every(kind)))
            await within(WAIT_SECONDS, there)
        return self.every(kind)[0]

    def add(self, kind: Kind, body: Json) -> Json:
        """Create an object, with a UID and a resourceVersion."""
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
        """Change an object as another writer: the change is made on the newest version."""
        body = self.now(kind, namespace, name)
        change(body)
        return self._store(kind, (kind.plural, namespace, name), body)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object."""
        before = self._objects.pop((kind.plural, namespace, name))
        self._version += 1
        self._tell(kind, "DELETED", before, before)

    def break_watches(self, *, forget: bool = False) -> None:
        """End every watch; with `forget`, they can't be resumed from their resourceVersion."""
        self._broken += 1
        if forget:
            self._compacted = self._version + 1
            self._version += 1
        self._notify()

    def hold_watches(self) -> None:
        """Send no events to watches until `release_watches`."""
        self._flowing.clear()

    def release_watches(self) -> None:
        """Send all held events to the watches."""
        self._flowing.set()

    async def until(
        self, kind: Kind, namespace: str, name: str, holds: Callable[[Json], bool]
    ) -> Json:
        """Wait until the object satisfies the condition."""

        def there() -> bool:
            body = self._objects.get((kind.plural, namespace, name))
            return body is not None and holds(body)

        async with self._changed:
            await within(WAIT_SECONDS, self._changed.wait_for(there))
        return self.now(kind, namespace, name)

    # -- inside ----------------------------------------------------------------------------------

    def _before(self, verb: str, kind: Kind, key: Key) -> None:
        self.writes[verb, kind.plural] += 1
        if self.on_write is not None:
            self.on_write(verb, _copy(self._objects.get(key) or {}))

    async def _changed_by(self, ends: float, seen: int, broken: int) -> bool:
        """Wait for a change after `seen`, or a break; False if the time is up first."""
        try:
            async with asyncio.timeout_at(ends), self._changed:
                await self._changed.wait_for(lambda: self._version > seen or self._broken > broken)
        except TimeoutError:
            return False
        return True

    def _store(self, kind: Kind, key: Key, body: Json) -> Json:
        before = self._objects.get(key)
        body = _copy(body)
        if before is not None and kind is RUNS:
            _check_fixed(before, body)
        if before is not None and _content(before) == _content(body):
            return dict(_copy(before))
        self._version += 1
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


def _now() -> str:
    return rfc3339_seconds(utc_now())


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _content(body: Json) -> Json:
    """Everything except the resourceVersion: a write that changes nothing else is a no-op."""
    return {**body, "metadata": {**body["metadata"], "resourceVersion": ""}}


def _check_version(known: Json, metadata: Json) -> None:
    wanted = metadata.get("resourceVersion")
    if wanted is not None and wanted != known["metadata"]["resourceVersion"]:
        raise Conflict(409, "the object has been modified")


def _check_uid(known: Json, patched: Json) -> None:
    uid = known["metadata"]["uid"]
    if patched["metadata"].get("uid", uid) != uid:
        raise Refused(422, "metadata.uid: field is immutable")


def _check_fixed(before: Json, after: Json) -> None:
    """Check the immutability rules of the run's CRD for ends and cancels."""
    if (before.get("spec") or {}).get("cancel") and not (after.get("spec") or {}).get("cancel"):
        raise Refused(422, "spec: a cancel can't be taken back")
    was, finished = (_field(each, "status.finished") == "true" for each in (before, after))
    if was and not finished:
        raise Refused(422, "status: finished is written once")
    if condition(before, "Finished").get("status") != "True":
        return
    old, new = condition(before, "Succeeded"), condition(after, "Succeeded")
    same = [old.get(name) == new.get(name) for name in ("status", "reason")]
    if condition(after, "Finished").get("status") != "True" or (old and not all(same)):
        raise Refused(422, "status: an end is written once")


# -- selectors -----------------------------------------------------------------------------------

FIELDS = {
    "pipelineruns": tuple(path.removeprefix(".") for path in PipelineRun.selectable),
}


def _field(body: Json, path: str) -> str:
    """The value of a field as in selectors: "" if it is absent."""
    value: Any = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _selection(
    kind: Kind, fields: str | None = None, labels: str | None = None
) -> Callable[[Json], bool]:
    """Whether an object matches the selectors."""
    known = ("metadata.name", "metadata.namespace", *FIELDS.get(kind.plural, ()))
    of_fields = [_term(text) for text in (fields or "").split(",") if text]
    of_labels = [_term(text) for text in (labels or "").split(",") if text]
    for path, _, _ in of_fields:
        if path not in known:
            raise Refused(400, f"field label not supported: {path}")

    def selects(body: Json) -> bool:
        has = body["metadata"].get("labels") or {}
        return all(
            (_field(body, path) == value) is equal for path, equal, value in of_fields
        ) and all(
            (name in has if value is None else has.get(name) == value) is equal
            for name, equal, value in of_labels
        )

    return selects


def _term(text: str) -> tuple[str, bool, str | None]:
    """Parse one term of a selector: a=b, a!=b, a, !a; the value is None for the last two."""
    name, equals, value = text.partition("=")
    if not equals:
        return text.removeprefix("!"), not text.startswith("!"), None
    return name.removesuffix("!"), not name.endswith("!"), value


# -- events --------------------------------------------------------------------------------------


def _bookmark(kind: Kind, version: int) -> Json:
    body = {"apiVersion": kind.api_version, "kind": kind.name}
    return {
        "type": "BOOKMARK",
        "object": {**body, "metadata": {"resourceVersion": str(version)}},
    }


def _event(
    change: str, before: Json | None, after: Json, selects: Callable[[Json], bool]
) -> Json | None:
    was = before is not None and selects(before)
    is_now = change != "DELETED" and selects(after)
    if is_now:
        return {"type": "MODIFIED" if was else "ADDED", "object": after}
    if was and before is not None:
        # The state from before, with the version of the change that ended it.
        metadata = {**before["metadata"], "resourceVersion": after["metadata"]["resourceVersion"]}
        return {"type": "DELETED", "object": {**before, "metadata": metadata}}
    return None
