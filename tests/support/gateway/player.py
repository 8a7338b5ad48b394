"""Plays the controller that claims pods, and the agents in them, for a gateway under test."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from support.gateway.world import NAMESPACE, Agent, Run, Running, World, make_condition

from mayfly.api.v1alpha1.identity import version_id, version_name
from mayfly.api.v1alpha1.source import Source
from mayfly.kube.kinds import PIPELINES, RUNS, VERSIONS
from mayfly.reconcile.pipeline import NO_SOURCE

Json = dict[str, Any]
Act = Callable[[Agent, Json], Awaitable[None]]


async def echo(agent: Agent, work: Json) -> None:
    """A run that returns its input."""
    text = work.get("inputJSON") or "{}"
    await agent.say("result", **agent.result(outputJSON=text))


def gives(value: Any) -> Act:
    """A run that returns a value."""

    async def act(agent: Agent, _work: Json) -> None:
        await agent.say("result", **agent.result(outputJSON=json.dumps(value)))

    return act


def streams(items: list[Any], log: str = "", **end: Any) -> Act:
    """A run whose output is an iterator, item by item."""

    async def act(agent: Agent, _work: Json) -> None:
        if log:
            await agent.say("log", offset=0, data=log)
        for index, item in enumerate(items):
            await agent.say("output", index=index, itemsJSON=[json.dumps(item)])
            await asyncio.sleep(0.02)
        fields = {"outputJSON": json.dumps(items), **end}
        await agent.say("result", **agent.result(**fields))

    return act


def fails(words: str) -> Act:
    """A run whose main() raises."""

    async def act(agent: Agent, _work: Json) -> None:
        fields = {"outcome": "failed", "reason": "UserError", "error": words, "outputJSON": None}
        await agent.say("result", **agent.result(**fields))

    return act


class Player:
    """Executes every run that is created, and publishes every pipeline that is written."""

    def __init__(self, world: World, gateway: Running, act: Act) -> None:
        self.world = world
        self.gateway = gateway
        self.act = act
        self.works: list[Json] = []
        self._taken: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Look for work until cancelled."""
        seen = 0
        while True:
            if seen != self.world.cluster.version:
                seen = self.world.cluster.version
                self._look()
            await asyncio.sleep(0.02)

    def _look(self) -> None:
        for body in self.world.cluster.every(RUNS):
            uid = body["metadata"]["uid"]
            if uid not in self._taken and "status" not in body:
                self._taken.add(uid)
                self._start(self._run(Run(self.world, body)))
        for body in self.world.cluster.every(PIPELINES):
            generation = body["metadata"]["generation"]
            if (body.get("status") or {}).get("observedGeneration") != generation:
                self.publish(body)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

    async def _run(self, run: Run) -> None:
        run.claim()
        async with run.dial(self.gateway) as agent:
            await agent.hello()
            work = await agent.start()
            self.works.append(work)
            await self.act(agent, work)
            await agent.expect_last("ack")

    def publish(self, body: Json) -> str:
        """Create a pipeline's version, like the controller; "" for one without a source."""
        metadata, spec = body["metadata"], body["spec"]
        source = Source.model_validate(spec["source"])
        if source.empty:
            condition = make_condition("Ready", "False", "NoSource") | {"message": NO_SOURCE}
            status = {"observedGeneration": metadata["generation"], "conditions": [condition]}
            self.world.cluster.edit(
                PIPELINES,
                metadata["namespace"],
                metadata["name"],
                lambda now: now.update(status=status),
            )
            return ""
        identity = version_id(metadata["uid"], source, "main.py:main", "digest")
        name = version_name(metadata["name"], identity)
        known = {each["metadata"]["name"] for each in self.world.cluster.every(VERSIONS)}
        if name not in known:
            self.world.add_version(
                metadata["namespace"], metadata["name"], identity, spec["source"]
            )

        def ready(now: Json) -> None:
            now["status"] = {
                "observedGeneration": metadata["generation"],
                "latestVersion": identity,
                "conditions": [],
            }

        self.world.cluster.edit(PIPELINES, metadata["namespace"], metadata["name"], ready)
        return identity


@asynccontextmanager
async def playing(world: World, act: Act = echo) -> AsyncIterator[tuple[Running, Player]]:
    """A gateway, and everything that its runs need."""
    async with world.gateway() as gateway:
        player = Player(world, gateway, act)
        watching = asyncio.create_task(player.watch())
        try:
            yield gateway, player
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await player.stop()


__all__ = ["NAMESPACE", "Player", "echo", "fails", "gives", "playing", "streams"]
