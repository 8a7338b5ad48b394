"""Watch of unfinished PipelineRuns, indexed by UID, id, pod and parent.

The watch selects `status.finished!=true`, so a finished run and a deleted one leave it in the same
way, with their last state before. That state is kept until someone has asked the API server which
of the two happened.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.identity import run_id, uid_of
from mayfly.api.v1alpha1.names import CANCEL_AFTER, ROOT_LABEL, UNFINISHED
from mayfly.clock import Monotonic, parse_rfc3339
from mayfly.gateway.cache.informer import Change, Informer
from mayfly.gateway.cache.ttl import Cache
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.kinds import RUNS
from mayfly.listeners import Listeners
from mayfly.reconcile.lineage import canceled_above, reaches_children
from mayfly_runtime.spec import strict_json

FRESH_SECONDS = 30.0
"""A created run normally appears in the watch within milliseconds; this covers a broken watch."""

FRESH_SIZE = 10_000


Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A PipelineRun at one resourceVersion: its raw JSON, and the typed object."""

    raw: Json

    @cached_property
    def run(self) -> PipelineRun:
        """The typed object; `raw` has what it drops, such as nulls in an output."""
        return self._read()

    def _read(self) -> PipelineRun:
        return PipelineRun.model_validate(self.raw)

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        return str(self.raw["metadata"]["uid"])

    @property
    def parent_uid(self) -> str | None:
        """The UID of the parent run; None for a root."""
        ref = self.raw["spec"].get("parentRef")
        return str(ref["uid"]) if ref else None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.raw["metadata"]["namespace"], self.raw["metadata"]["name"])

    @property
    def version(self) -> int:
        """`metadata.resourceVersion` as a number."""
        return int(self.raw["metadata"]["resourceVersion"])

    @property
    def status(self) -> Json:
        """The raw status."""
        return dict(self.raw.get("status") or {})

    def uses(self, version: str) -> bool:
        """Whether the run names this version, or was resolved to it."""
        ref = self.raw["spec"].get("pipelineRef") or {}
        return version in {ref.get("version"), self.status.get("version")}

    @property
    def cancel_at(self) -> datetime | None:
        """When to cancel the run, by its annotation; None if there is none or it is invalid."""
        text = (self.raw["metadata"].get("annotations") or {}).get(CANCEL_AFTER)
        try:
            return parse_rfc3339(text) if text else None
        except ValueError:
            return None

    @property
    def input_text(self) -> str:
        """The inline input as JSON text; verbatim if the object has it as text."""
        spec = self.raw["spec"]
        if "inputJSON" in spec:
            return str(spec["inputJSON"])
        return strict_json.dump(spec.get("input") or {})


class Runs:
    """Informer of unfinished PipelineRuns with indexes by UID, id, claimed pod and parent.

    Attributes:
        changes: tells the UID of each run that changed or left the watch.
    """

    def __init__(self, cluster: Cluster, monotonic: Monotonic) -> None:
        self._cluster = cluster
        self.changes: Listeners[str] = Listeners()
        self._seen: dict[str, Seen] = {}
        self._ids: dict[str, str] = {}
        self._claims: defaultdict[str, set[str]] = defaultdict(set)
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        self._names: dict[tuple[str, str], str] = {}
        self._departed: dict[str, Seen] = {}
        self._fresh: Cache[str, Seen] = Cache(
            seconds=FRESH_SECONDS, size=FRESH_SIZE, monotonic=monotonic
        )
        self._informer = Informer(
            cluster, RUNS, self._on_change, monotonic, field_selector=UNFINISHED
        )

    async def watch(self) -> None:
        """Follow the API server until cancelled."""
        await self._informer.run()

    @property
    def synced(self) -> asyncio.Event:
        """Set once every unfinished run is listed."""
        return self._informer.synced

    @property
    def silent_seconds(self) -> float:
        """Seconds since the API server last sent something."""
        return self._informer.silent_seconds

    def __len__(self) -> int:
        return len(self._seen)

    def get(self, uid: str) -> Seen | None:
        """An unfinished run."""
        return self._seen.get(uid)

    def root_of(self, seen: Seen) -> str | None:
        """The UID of the tree's root; None for a child whose parent and label are both gone."""
        status, parent = seen.run.status, seen.run.spec.parent_ref
        if status.root_ref is not None:
            return status.root_ref.uid
        if parent is None:
            return seen.uid
        above = self._seen.get(parent.uid) or self._departed.get(parent.uid)
        # A run can only make children once it was claimed, and then its root is in its status.
        if above is not None and above.run.status.root_ref is not None:
            return above.run.status.root_ref.uid
        try:
            return uid_of((seen.raw["metadata"].get("labels") or {}).get(ROOT_LABEL, ""))
        except ValueError:
            return None

    def tree_of(self, seen: Seen) -> str:
        """The UID of the tree's root; the run's own if it can't be determined."""
        return self.root_of(seen) or seen.uid

    def root_of_uid(self, uid: str) -> str | None:
        """The UID of the root of an unfinished run's tree; None if the watch lacks the run."""
        seen = self.get(uid)
        return None if seen is None else self.tree_of(seen)

    def children_of(self, uid: str) -> list[Seen]:
        """The unfinished children of a run."""
        return [self._seen[each] for each in sorted(self._children.get(uid, ()))]

    def canceled_above(self, seen: Seen) -> str:
        """Why a run that has not started must not start: its parent was cancelled; a sentence.

        Returns:
            "" if it may start. A cancelled parent stays in the watch until no child can start.
        """
        ref = seen.run.spec.parent_ref
        parent = self._seen.get(ref.uid) if ref is not None else None
        if ref is None or parent is None or not reaches_children(parent.run):
            return ""
        return canceled_above(ref.name).message

    def unfinished(self) -> Iterator[Seen]:
        """Every unfinished run, in no order."""
        return iter(list(self._seen.values()))

    def add(self, seen: Seen) -> None:
        """Add the result of our own create until the watch has it."""
        self._fresh.put(run_id(seen.uid), seen)

    def departed(self, uid: str) -> Seen | None:
        """The last state of a run that has left the watch and was not examined yet."""
        return self._departed.get(uid)

    def forget(self, uid: str) -> None:
        """Drop the last state of a run that left the watch, once it was examined."""
        self._departed.pop(uid, None)

    def by_id(self, identity: str) -> Seen | None:
        """An unfinished run by its 26-character id."""
        uid = self._ids.get(identity)
        if uid is not None:
            return self._seen.get(uid)
        fresh = self._fresh.get(identity)
        # The watch may have reported it, and its end, before the create's answer was read.
        return None if fresh is None or fresh.uid in self._departed else fresh

    def claimed_for(self, pod_uid: str) -> list[str]:
        """UIDs of the unfinished runs that this pod is claimed for (normally one)."""
        return sorted(self._claims.get(pod_uid, ()))

    async def fetch(self, namespace: str, name: str, uid: str) -> Seen | None:
        """Read a run from the API server; None if it was deleted.

        Raises:
            KubeError: no answer.
        """
        body = await find_object(self._cluster, RUNS, namespace, name)
        if body is None or body["metadata"]["uid"] != uid:
            return None  # or another run has the name now
        self.update(body)
        return Seen(body)

    async def find_finished(self, identity: str) -> Seen | None:
        """Read a run by id from the API server, if SQL does not have it."""
        page = await self._cluster.list(RUNS, field_selector=f"status.id={identity}", limit=1)
        items = page.get("items") or []
        return Seen(items[0]) if items else None

    def update(self, body: Json) -> None:
        """Insert the result of our own request, if the watch still has the run."""
        seen = Seen(body)
        known = self._seen.get(seen.uid)
        if known is not None and known.version < seen.version:
            self._informer.update(body)
            self._index(seen)

    def _on_change(self, change: Change, body: Json) -> None:
        seen = Seen(body)
        replaced = self._names.get(seen.key)
        if replaced not in {None, seen.uid}:
            # A name was given again while the watch was broken: the old run is gone.
            self._drop(self._seen[str(replaced)])
        if change == "DELETED":
            self._drop(seen)
        else:
            self._index(seen)
        self.changes.tell(seen.uid)

    def _index(self, seen: Seen) -> None:
        self._departed.pop(seen.uid, None)
        self._unclaim(seen.uid)
        self._seen[seen.uid] = seen
        self._ids[run_id(seen.uid)] = seen.uid
        self._names[seen.key] = seen.uid
        pod_uid = seen.status.get("podUID")
        if pod_uid:
            self._claims[pod_uid].add(seen.uid)
        parent = seen.parent_uid
        if parent:
            self._children[parent].add(seen.uid)

    def _drop(self, seen: Seen) -> None:
        self._unclaim(seen.uid)
        self._departed[seen.uid] = self._seen.pop(seen.uid, seen)
        self._ids.pop(run_id(seen.uid), None)
        self._names.pop(seen.key, None)
        siblings = self._children.get(seen.parent_uid or "")
        if siblings is not None:
            siblings.discard(seen.uid)
            if not siblings:
                del self._children[seen.parent_uid or ""]
        self.changes.tell(seen.uid)

    def _unclaim(self, uid: str) -> None:
        known = self._seen.get(uid)
        pod_uid = known.status.get("podUID") if known else None
        if pod_uid:
            self._claims[pod_uid].discard(uid)
            if not self._claims[pod_uid]:
                del self._claims[pod_uid]
