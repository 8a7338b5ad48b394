"""A watch that notes when it saw what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mayfly.kube.client import Cluster
from mayfly.kube.errors import Unavailable
from mayfly.kube.kinds import Kind

Json = dict[str, Any]
Wanted = Callable[[Json], bool]

PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Sighting:
    """One event of a watch, and when it came, on the monotonic clock."""

    at: float
    change: str
    body: Json

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


class Watch:
    """Everything that happened to the objects of one kind in one namespace."""

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str) -> None:
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._seen: list[Sighting] = []
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; the namespace is new, so nothing came before."""
        page = await self._cluster.list(self._kind, self._namespace)
        self._task = asyncio.create_task(self._run(page["metadata"]["resourceVersion"]))

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, version: str) -> None:
        while True:
            try:
                async for event in self._cluster.watch_events(
                    self._kind, self._namespace, resource_version=version
                ):
                    at = time.monotonic()
                    body = event["object"]
                    version = body["metadata"]["resourceVersion"]
                    if event["type"] == "BOOKMARK":
                        continue
                    async with self._news:
                        self._seen.append(Sighting(at, event["type"], body))
                        self._news.notify_all()
            except Unavailable:
                await asyncio.sleep(0.05)

    def named(self, prefix: str) -> str:
        """The name of the one object whose name begins so.

        Raises:
            LookupError: none, or several, were seen.
        """
        names = {each.name for each in self._seen if each.name.startswith(prefix)}
        if len(names) != 1:
            raise LookupError(f"{len(names)} objects have names that begin with {prefix!r}")
        return names.pop()

    async def first(
        self, name: str, wanted: Wanted, *, seconds: float = PATIENCE_SECONDS
    ) -> Sighting:
        """The first sighting of an object as wanted; waits for it.

        Raises:
            TimeoutError: it does not come.
        """
        return await self._wait(
            lambda each: each.name == name and each.change != "DELETED" and wanted(each.body),
            f"{self._kind.name} {name}",
            seconds,
        )

    async def gone(self, name: str, *, seconds: float = PATIENCE_SECONDS) -> Sighting:
        """The sighting of an object's removal; waits for it.

        Raises:
            TimeoutError: it stays.
        """
        return await self._wait(
            lambda each: each.name == name and each.change == "DELETED",
            f"the removal of {self._kind.name} {name}",
            seconds,
        )

    async def _wait(
        self, wanted: Callable[[Sighting], bool], what: str, seconds: float
    ) -> Sighting:
        def found() -> Sighting | None:
            return next((each for each in self._seen if wanted(each)), None)

        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: found() is not None)
        except TimeoutError as error:
            if self._task is not None and self._task.done():
                self._task.result()  # the watch ended: that is why
            raise TimeoutError(f"{what} was not seen within {seconds:.0f} s") from error
        sighting = found()
        if sighting is None:
            raise AssertionError("what was seen stays seen")
        return sighting


def condition(kind: str) -> Wanted:
    """Whether an object has this condition True."""

    def wanted(body: Json) -> bool:
        found = body.get("status", {}).get("conditions", [])
        return any(each["type"] == kind and each["status"] == "True" for each in found)

    return wanted


def phase(*phases: str) -> Wanted:
    """Whether a pod is in one of these phases."""
    return lambda body: body.get("status", {}).get("phase") in phases
