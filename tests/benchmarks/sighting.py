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

PATIENCE_SECONDS = 240.0
"""Sixty pods that boot at once on two cores take a minute and more."""


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


Match = Callable[[Sighting], bool]


class Watch:
    """Everything that happened to the objects of one kind in one namespace."""

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str) -> None:
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        # By name, and nobody looks through all of it: with sixty runs at once, the looking would
        # take the cores from what is measured.
        self._seen: dict[str, list[Sighting]] = {}
        self._waiting: dict[str, list[tuple[Match, asyncio.Future[Sighting]]]] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.current: dict[str, Json] = {}
        """The objects that are there, as last seen, by name."""

    async def start(self) -> None:
        """Begin; the namespace is new, so nothing came before."""
        page = await self._cluster.list(self._kind, self._namespace)
        self._task = asyncio.create_task(self._run(page["metadata"]["resourceVersion"]))

    async def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def forget(self) -> None:
        """Drop what was seen until now; what is there stays known."""
        self._seen.clear()

    def added(self) -> dict[str, Json]:
        """What was made since it began, or since it forgot, as it was seen last, by name."""
        return {
            name: seen[-1].body
            for name, seen in self._seen.items()
            if any(each.change == "ADDED" for each in seen)
        }

    async def _run(self, version: str) -> None:
        while True:
            try:
                async for event in self._cluster.watch_events(
                    self._kind, self._namespace, resource_version=version
                ):
                    at = time.monotonic()
                    body = event["object"]
                    version = body["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._note(Sighting(at, event["type"], body))
            except Unavailable:
                await asyncio.sleep(0.05)

    def _note(self, sighting: Sighting) -> None:
        name = sighting.name
        self._seen.setdefault(name, []).append(sighting)
        if sighting.change == "DELETED":
            self.current.pop(name, None)
        else:
            self.current[name] = sighting.body
        for wanted, waiter in self._waiting.get(name, []):
            if not waiter.done() and wanted(sighting):
                waiter.set_result(sighting)
        self._news.set()

    def named(self, prefix: str) -> str:
        """The name of the one object whose name begins so.

        Raises:
            LookupError: none, or several, were seen.
        """
        names = {name for name in self._seen if name.startswith(prefix)}
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
            name,
            lambda each: each.change != "DELETED" and wanted(each.body),
            f"{self._kind.name} {name}",
            seconds,
        )

    async def gone(self, name: str, *, seconds: float = PATIENCE_SECONDS) -> Sighting:
        """The sighting of an object's removal; waits for it.

        Raises:
            TimeoutError: it stays.
        """
        return await self._wait(
            name,
            lambda each: each.change == "DELETED",
            f"the removal of {self._kind.name} {name}",
            seconds,
        )

    async def until(self, wanted: Callable[[dict[str, Json]], bool], seconds: float) -> None:
        """Wait until all objects together are as wanted.

        Raises:
            TimeoutError: they do not come to be.
        """
        try:
            async with asyncio.timeout(seconds):
                while not wanted(self.current):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            self._say_why()
            raise

    async def _wait(self, name: str, wanted: Match, what: str, seconds: float) -> Sighting:
        for each in self._seen.get(name, []):
            if wanted(each):
                return each
        waiter: asyncio.Future[Sighting] = asyncio.get_running_loop().create_future()
        entry = (wanted, waiter)
        self._waiting.setdefault(name, []).append(entry)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError as error:
            self._say_why()
            raise TimeoutError(f"{what} was not seen within {seconds:.0f} s") from error
        finally:
            self._waiting[name].remove(entry)
            if not self._waiting[name]:
                del self._waiting[name]

    def _say_why(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()  # the watch ended: that is why


def condition(kind: str) -> Wanted:
    """Whether an object has this condition True."""

    def wanted(body: Json) -> bool:
        found = body.get("status", {}).get("conditions", [])
        return any(each["type"] == kind and each["status"] == "True" for each in found)

    return wanted


def phase(*phases: str) -> Wanted:
    """Whether a pod is in one of these phases."""
    return lambda body: body.get("status", {}).get("phase") in phases
