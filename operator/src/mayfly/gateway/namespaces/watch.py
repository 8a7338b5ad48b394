"""Watches namespaces and their annotations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from mayfly.clock import Monotonic
from mayfly.gateway.cache.informer import Change, Informer
from mayfly.kube.client import Cluster
from mayfly.kube.kinds import NAMESPACES

Json = dict[str, Any]
OnChange = Callable[[str, dict[str, str]], None]


class Namespaces:
    """Informer of namespaces and their annotations."""

    def __init__(self, cluster: Cluster, monotonic: Monotonic) -> None:
        self._listeners: list[OnChange] = []
        self._informer = Informer(cluster, NAMESPACES, self._on_change, monotonic, trim=_trimmed)

    async def watch(self) -> None:
        """Follow the API server until cancelled."""
        await self._informer.run()

    @property
    def synced(self) -> asyncio.Event:
        """Set once every namespace is known."""
        return self._informer.synced

    def listen(self, listener: OnChange) -> None:
        """Register a listener for a namespace's name and annotations; {} when it is deleted."""
        self._listeners.append(listener)

    def _on_change(self, change: Change, body: Json) -> None:
        metadata = body["metadata"]
        annotations = {} if change == "DELETED" else metadata["annotations"]
        for listener in self._listeners:
            listener(metadata["name"], annotations)


def _trimmed(body: Json) -> Json:
    metadata = body["metadata"]
    kept = {
        "name": metadata["name"],
        "resourceVersion": metadata["resourceVersion"],
        "annotations": metadata.get("annotations") or {},
    }
    return {"metadata": kept}
