"""Event handlers for kopf: update the caches and queue a key. Nothing more.

Only `on.event` is used: kopf's change handlers would write annotations and finalizers on each
object (docs: continuity, configuration), and a level-triggered controller needs neither.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Any

import kopf
from typing_extensions import override

from mayfly.api.v1alpha1.names import RUN_ID_LABEL, RUNTIME_ANNOTATION, UNFINISHED
from mayfly.clock import Clock
from mayfly.controller.caches import Caches
from mayfly.controller.capacity import Capacity
from mayfly.controller.key import Key
from mayfly.kube.kinds import MODELS, NAMESPACES, PIPELINES, PODS, RUNS, RUNTIMES
from mayfly.workqueue import WorkQueue
from mayfly_runtime.spec import urls

logger = logging.getLogger(__name__)

Json = dict[str, Any]


class NoDiffs(kopf.DiffBaseStorage):
    """A diff store that stores nothing, because `on.event` gets every change.

    Otherwise kopf would deep-copy the object of each event, which takes time for nothing and fails
    on inputs that are nested some hundred levels deep.
    """

    @override
    def build(self, **_: Any) -> kopf.BodyEssence:
        """The essence of an object: nothing."""
        return kopf.BodyEssence()

    @override
    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing is kept."""
        return None

    @override
    def store(self, **_: Any) -> None:
        """Keep nothing."""


def settings() -> kopf.OperatorSettings:
    """Settings of kopf: server-side selectors, no event posting, no scanning for new kinds."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 300
    chosen.watching.chunk_size = 500
    chosen.watching.field_selectors[RUNS.group, RUNS.plural] = UNFINISHED
    chosen.watching.label_selectors["", "v1", PODS.plural] = RUN_ID_LABEL
    chosen.networking.request_timeout = 15
    chosen.persistence.finalizer = "mayfly.dev/unused"
    chosen.persistence.diffbase_storage = NoDiffs()
    return chosen


class Handlers:
    """Feeds the caches and the queue from kopf's watches."""

    def __init__(
        self, caches: Caches, capacity: Capacity, queue: WorkQueue[Key], clock: Clock
    ) -> None:
        self._caches = caches
        self._capacity = capacity
        self._queue = queue
        self._clock = clock

    def register(self, registry: kopf.OperatorRegistry, *, kubeconfig: bool) -> None:
        """Register the handlers."""
        kopf.on.event(RUNS.group, RUNS.version, RUNS.plural, registry=registry)(self.on_run)
        kopf.on.event("", "v1", PODS.plural, registry=registry)(self.on_pod)
        kopf.on.event("", "v1", NAMESPACES.plural, registry=registry)(self.on_namespace)
        for kind, handler in (
            (PIPELINES, self.on_pipeline),
            (MODELS, self.on_model),
            (RUNTIMES, self.on_runtime),
        ):
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(handler)
        login = kopf.login_with_kubeconfig if kubeconfig else login_by_address
        kopf.on.login(registry=registry)(login)

    async def on_run(self, *, event: Any, **_: Any) -> None:
        """A run changed, finished, or was deleted; a GET tells the last two apart."""
        body = dict(event["object"])
        key = _key("run", body)
        if event["type"] == "DELETED":
            self._caches.drop_run(key)
        elif self._caches.knows_run(key, body):
            return  # the echo of a write, after which the run was looked at
        else:
            self._caches.put_run(key, body)
        self._queue.add(key)

    async def on_pod(self, *, event: Any, **_: Any) -> None:
        """A run's or a waiting pod changed or was deleted."""
        body = dict(event["object"])
        gone = event["type"] == "DELETED"
        if not gone and self._caches.knows_pod(body):
            return  # the echo of a write
        key = self._caches.key_of(body)
        uid = self._caches.put_pod(body, self._clock(), gone=gone)
        if key.subject == "pool":
            return  # who keeps the pool is told by the caches
        if key in self._caches.runs:
            self._queue.add(key)
        elif gone:
            self._caches.forget_pods(key, uid or "")
        elif "deletionTimestamp" not in body["metadata"]:
            self._queue.add(key)  # its run has finished: the pod may have to go
        self._offer_places(body)

    async def on_pipeline(self, *, event: Any, **_: Any) -> None:
        """A Pipeline changed or was deleted; its source is not cached."""
        body = dict(event["object"])
        metadata = body["metadata"]
        name = (metadata["namespace"], metadata["name"])
        if event["type"] == "DELETED":
            self._caches.pipelines.pop(name, None)
        else:
            self._caches.pipelines[name] = {**body, "spec": {**body["spec"], "source": {}}}
        self._queue.add(Key("pipeline", *name))

    async def on_model(self, *, event: Any, **_: Any) -> None:
        """A Model changed or was deleted: a Pipeline may have lost or regained its name."""
        body = event["object"]
        name = (body["metadata"]["namespace"], body["metadata"]["name"])
        if event["type"] != "DELETED" and _is_not_ready(body):
            self._queue.add(Key("model", *name))
        if name in self._caches.pipelines:
            self._queue.add(Key("pipeline", *name))

    async def on_runtime(self, *, event: Any, **_: Any) -> None:
        """A runtime changed or was deleted."""
        body = dict(event["object"])
        name = body["metadata"]["name"]
        known = self._caches.runtimes.pop(name, None)
        if event["type"] != "DELETED":
            self._caches.runtimes[name] = body
            if known is not None and _content(known) == _content(body):
                return  # its status, which is ours
        self._queue.add(Key("runtime", "", name))
        for pool in self._caches.pools(name):
            self._queue.add(pool)
        self._wake_waiting(name)

    async def on_namespace(self, *, event: Any, **_: Any) -> None:
        """A namespace may have a new quota or budget, or another pool."""
        body = dict(event["object"])
        name = body["metadata"]["name"]
        before = self._caches.warm.get(name)
        if self._caches.put_namespace(body, gone=event["type"] == "DELETED"):
            for key in self._caches.unclaimed_in(name):
                self._queue.add(key)
        now = self._caches.warm.get(name)
        if now != before:
            for runtime in filter(None, (before, now)):
                self._queue.add(Key("pool", name, runtime))

    def _offer_places(self, body: Json) -> None:
        """Offer the place of an ended pod to the run that is next in the queue."""
        name = body["metadata"].get("annotations", {}).get(RUNTIME_ANNOTATION, "")
        if self._capacity.waiting.get(name):
            self._wake_waiting(name)

    def _wake_waiting(self, name: str) -> None:
        """Queue the runs that may get a pod now."""
        for key in self._capacity.in_line(name, self._caches.max_pods(name)):
            self._queue.add(key)


def login_by_address(**given: Any) -> kopf.ConnectionInfo | None:
    """Log in with the pod's ServiceAccount at the address from the kubelet: kopf itself uses DNS.

    A cluster's DNS may still be unavailable when its API server is back, and leading must not wait
    for it.
    """
    found = kopf.login_with_service_account(**given)
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if found is None or not host or not port:
        return found
    return replace(found, server=f"https://{urls.bracketed(host)}:{port}")


def _content(body: Json) -> tuple[str, int, bool]:
    metadata = body["metadata"]
    return metadata["uid"], metadata["generation"], "deletionTimestamp" in metadata


def _is_not_ready(body: Json) -> bool:
    found = body.get("status", {}).get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "False") for each in found)


def _key(subject: Any, body: Json) -> Key:
    metadata = body["metadata"]
    return Key(subject, metadata.get("namespace", ""), metadata["name"])
