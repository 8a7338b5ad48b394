"""Watches namespaces and their annotations; knows which there are."""

from __future__ import annotations

import asyncio
from typing import Any

from mayfly.api.v1alpha1.names import WARM_LABEL
from mayfly.clock import Monotonic
from mayfly.gateway.cache.informer import Change, Informer
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.kinds import NAMESPACES
from mayfly.listeners import Listeners

Json = dict[str, Any]


class Namespaces:
    """Informer of namespaces, their annotations and the label of their pools.

    Attributes:
        changes: tells a namespace's name and annotations at each change; none when it is gone.
    """

    def __init__(self, cluster: Cluster, monotonic: Monotonic) -> None:
        self._cluster = cluster
        self.changes: Listeners[str, dict[str, str]] = Listeners()
        self._informer = Informer(cluster, NAMESPACES, self._on_change, monotonic, trim=_trimmed)

    async def watch(self) -> None:
        """Follow the API server until cancelled."""
        await self._informer.run()

    @property
    def synced(self) -> asyncio.Event:
        """Set once every namespace is known."""
        return self._informer.synced

    @property
    def names(self) -> list[str]:
        """Every namespace that is known, sorted."""
        return sorted(name for _, name in self._informer.objects)

    async def exists(self, name: str) -> bool:
        """Whether there is a namespace; the API server is asked if the watch has none.

        Raises:
            KubeError: no answer.
        """
        if ("", name) in self._informer.objects:
            return True
        return await find_object(self._cluster, NAMESPACES, None, name) is not None

    def pools(self) -> dict[str, str]:
        """The runtimes whose pods wait for runs, by the namespaces that are labelled so."""
        bodies = self._informer.objects.values()
        named = {each["metadata"]["name"]: each["metadata"]["pool"] for each in bodies}
        return {name: runtime for name, runtime in named.items() if runtime}

    def _on_change(self, change: Change, body: Json) -> None:
        metadata = body["metadata"]
        annotations = {} if change == "DELETED" else metadata["annotations"]
        self.changes.tell(metadata["name"], annotations)


def _trimmed(body: Json) -> Json:
    metadata = body["metadata"]
    kept = {
        "name": metadata["name"],
        "resourceVersion": metadata["resourceVersion"],
        "annotations": metadata.get("annotations") or {},
        "pool": (metadata.get("labels") or {}).get(WARM_LABEL, ""),
    }
    return {"metadata": kept}
