"""A meter of the usual kind, for comparison: look at what runs, now and then, and count."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError
from mayfly.kube.kinds import PODS

Json = dict[str, Any]

INTERVALS = (15, 60)
"""Seconds between two looks: a usual scrape interval, and that of cluster cost tools."""


class Sampler:
    """Lists a namespace's pods at fixed moments; each that runs is charged one interval.

    Attributes:
        seconds: between two looks.
        looks: how often it looked.
    """

    def __init__(self, cluster: Cluster, namespace: str, seconds: int) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._seen: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self.seconds = seconds
        self.looks = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"sampler-{self.seconds}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def billed(self, pod: str) -> float:
        """Milliseconds that it charges for a pod."""
        return self._seen[pod] * self.seconds * 1000.0

    def note(self, pods: Iterable[Json]) -> None:
        """One look."""
        self.looks += 1
        self._seen.update(each["metadata"]["name"] for each in pods if _runs(each))

    async def _run(self) -> None:
        began = time.monotonic()
        while True:
            with contextlib.suppress(KubeError):
                self.note((await self._cluster.list(PODS, self._namespace))["items"])
            # The next moment of the same beat: a slow answer shifts nothing.
            past = time.monotonic() - began
            await asyncio.sleep(self.seconds - past % self.seconds)


def _runs(pod: Json) -> bool:
    found = pod.get("status", {}).get("containerStatuses", [])
    return any("running" in each.get("state", {}) for each in found)
