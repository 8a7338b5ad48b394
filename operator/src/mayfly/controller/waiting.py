"""The pods that wait for runs, as last seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mayfly.api.v1alpha1.names import RUNTIME_ANNOTATION, TEMPLATE_ANNOTATION
from mayfly.clock import parse_rfc3339
from mayfly.listeners import Listeners
from mayfly.reconcile.pod_status import condition, observed_pod
from mayfly.reconcile.warm import WaitingPod

Json = dict[str, Any]


@dataclass
class WaitingPods:
    """Waiting pods by namespace and name.

    Attributes:
        spent: UIDs of waiting pods that a run has claimed, as long as they exist.
        changed: told of a pool that has gained or lost a pod, or has one that changed in a way
            that matters: its namespace and its runtime.
        booted: told of a pod that has become ready: its namespace, itself, and the seconds since
            its creation.
    """

    spent: set[str] = field(default_factory=set)
    changed: Listeners[[str, str]] = field(default_factory=Listeners, repr=False, compare=False)
    booted: Listeners[[str, WaitingPod, float]] = field(
        default_factory=Listeners, repr=False, compare=False
    )
    _pods: dict[str, dict[str, WaitingPod]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, WaitingPod]]:
        """Every waiting pod with its namespace."""
        return iter([(space, pod) for space, pods in self._pods.items() for pod in pods.values()])

    def pool(self, namespace: str, runtime: str) -> tuple[WaitingPod, ...]:
        """The waiting pods of a runtime in a namespace."""
        pods = self._pods.get(namespace, {}).values()
        return tuple(each for each in pods if each.runtime == runtime)

    def put(self, body: Json) -> None:
        """Update a pod, unless a newer state of it is known."""
        metadata = body["metadata"]
        namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
        annotations = metadata.get("annotations", {})
        known = self._pods.get(namespace, {}).get(name)
        if known is not None and known.seen.uid != uid:
            known = None
        version = int(metadata["resourceVersion"])
        if known is not None and known.version > version:
            return
        seen = observed_pod(body)
        changed = condition(body.get("status", {}), "Ready").get("lastTransitionTime")
        before = known is not None and known.was_ready
        pod = WaitingPod(
            seen,
            annotations.get(RUNTIME_ANNOTATION, ""),
            annotations.get(TEMPLATE_ANNOTATION, ""),
            parse_rfc3339(metadata["creationTimestamp"]),
            version,
            was_ready=seen.ready or before,
            spent=uid in self.spent,
            ready_since=parse_rfc3339(changed) if changed else None,
        )
        self.add(namespace, pod)
        if known is None or _matters(known) != _matters(pod):
            self.changed.tell(namespace, pod.runtime)
        if seen.ready and known is not None and not before and pod.ready_since is not None:
            # Of two clocks: the node's and the API server's.
            seconds = max(0.0, (pod.ready_since - pod.created).total_seconds())
            self.booted.tell(namespace, pod, seconds)

    def add(self, namespace: str, pod: WaitingPod) -> None:
        """Add a pod as it is."""
        self._pods.setdefault(namespace, {})[pod.seen.name] = pod

    def take(self, namespace: str, name: str, uid: str = "") -> WaitingPod | None:
        """Take a pod out that is a run's now.

        Args:
            namespace: its namespace.
            name: its name.
            uid: only if it is this one.
        """
        pods = self._pods.get(namespace, {})
        pod = pods.get(name)
        if pod is None or uid not in {"", pod.seen.uid}:
            return None
        del pods[name]
        if not pods:
            del self._pods[namespace]
        return pod

    def remove(self, namespace: str, name: str, uid: str = "") -> None:
        """Remove a pod that is gone; its UID, if given, is spent no more."""
        pod = self.take(namespace, name)
        self.spent.discard(uid)
        if pod is not None:
            self.spent.discard(pod.seen.uid)
            self.changed.tell(namespace, pod.runtime)


def _matters(pod: WaitingPod) -> tuple[bool, ...]:
    """What decides whether a pod can wait, and whether a run can have it."""
    seen = pod.seen
    return seen.ready, seen.over, seen.deleting, pod.spent, pod.cannot_be_pulled
