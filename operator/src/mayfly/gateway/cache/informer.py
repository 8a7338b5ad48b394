"""Informer: a cache of one kind, kept current by list and watch, that reports changes.

The controller uses kopf's watches; this one is for the gateway, which is not a kopf operator. It
also reports objects that were deleted between a broken watch and the next list, for which kopf
sends no DELETED event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal

from mayfly.clock import Monotonic
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Gone, KubeError
from mayfly.kube.kinds import Kind

logger = logging.getLogger(__name__)

Json = dict[str, Any]
Change = Literal["ADDED", "MODIFIED", "DELETED"]
OnChange = Callable[[Change, Json], None]

RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)


def _whole(body: Json) -> Json:
    return body


class Informer:
    """Objects of one kind by (namespace, name), kept current.

    Attributes:
        objects: the cache; each object as `trim` left it. Read-only.
        synced: set after the first list.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        on_change: OnChange,
        monotonic: Monotonic,
        *,
        field_selector: str | None = None,
        label_selector: str | None = None,
        trim: Callable[[Json], Json] = _whole,
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._on_change = on_change
        self._monotonic = monotonic
        self._trim = trim
        self._selectors: dict[str, Any] = {
            "field_selector": field_selector,
            "label_selector": label_selector,
        }
        self._heard = monotonic()
        self._failures = 0
        self.objects: dict[tuple[str, str], Json] = {}
        self.synced = asyncio.Event()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the API server last sent something (bookmarks come every minute)."""
        return self._monotonic() - self._heard

    async def run(self) -> None:
        """List and watch until cancelled."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist()
                    self.synced.set()
                version = await self._watch(version)
                self._failures = 0
            except Gone:
                version = ""
            except KubeError as error:
                delay = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
                self._failures += 1
                logger.warning(
                    "watch of %s failed: %s; retrying in %s s", self._kind.plural, error, delay
                )
                await asyncio.sleep(delay)

    def update(self, body: Json) -> None:
        """Put in what a write of our own returned, unless the watch knows newer."""
        key = _key(body)
        known = self.objects.get(key)
        if known is not None and _version(known) < _version(body):
            self.objects[key] = self._trim(body)

    async def _relist(self) -> str:
        fresh: dict[tuple[str, str], Json] = {}
        version = ""
        async for page in self._cluster.pages(self._kind, **self._selectors):
            version = version or page["metadata"]["resourceVersion"]
            for item in page.get("items", []):
                item.setdefault("kind", self._kind.name)
                item.setdefault("apiVersion", self._kind.api_version)
                fresh[_key(item)] = self._trim(item)
        self._heard = self._monotonic()
        gone = [self.objects[key] for key in self.objects.keys() - fresh.keys()]
        for key, item in fresh.items():
            known = self.objects.get(key)
            if known is None or _version(known) != _version(item):
                self._put("ADDED" if known is None else "MODIFIED", item)
        for item in gone:
            self._put("DELETED", item)
        return version

    async def _watch(self, version: str) -> str:
        events = self._cluster.watch_events(self._kind, resource_version=version, **self._selectors)
        async for event in events:
            self._heard = self._monotonic()
            self._failures = 0
            item = event["object"]
            version = item["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._put(event["type"], self._trim(item))
        self._heard = self._monotonic()
        return version

    def _put(self, change: Change, item: Json) -> None:
        known = self.objects.get(_key(item))
        if change != "DELETED" and known is not None and _version(known) > _version(item):
            return  # an answer to a write of our own was quicker than the watch
        if change == "DELETED":
            self.objects.pop(_key(item), None)
        else:
            self.objects[_key(item)] = item
        self._on_change(change, item)


def _key(body: Json) -> tuple[str, str]:
    metadata = body["metadata"]
    return (metadata.get("namespace", ""), metadata["name"])


def _version(body: Json) -> int:
    return int(body["metadata"]["resourceVersion"])
