"""The gateway dies at each of its steps, before and after it, and starts again: nobody can tell.

A first pass without a death shows the steps of each life: commits that change something, and API
writes. Then a life is lived once for each of its steps. Agents redial, as they do.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from support.gateway.fate import Edge, Fate
from support.gateway.world import Agent, Run, Running, World, first_of
from support.kube_memory import WAIT_SECONDS, condition
from support.servers.postgresql import BOTH, Databases
from support.waiting import looks, within

from mayfly.clock import rfc3339
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger, tables

pytestmark = BOTH

Json = dict[str, Any]
LOG = "one\ntwo\n"
HEARTBEAT_MS = 5000
ACTIVE_MS = 7000
AT_A_TIME = 4
LIFE_SECONDS = 3 * WAIT_SECONDS
"""A life is tens of commits beside three other lives: many waits, each of which may be long."""


@dataclass
class Scene:
    """One run, and how far its agent and the people around it have come.

    Attributes:
        state: the agent's, as it says in `hello`; "gone" once its pod is.
        result: its last word, once it has one.
        asked: a person has done what this life has people do.
        over: the life is.
    """

    world: World
    run: Run
    state: str = "idle"
    result: Json | None = None
    asked: bool = False
    over: bool = False
    log_offset: int = 0
    started: str = ""

    async def row(self, gateway: Running, holds: Callable[[ledger.RunRow], bool]) -> None:
        """Wait for the ledger."""
        with gateway.gateway.lifecycle.notices.subscribe(self.run.uid) as news:
            while (row := await gateway.row(self.run.uid)) is None or not holds(row):
                await news.wait(0.05)  # not all that the ledger notes is news

    @asynccontextmanager
    async def connected(self, gateway: Running) -> AsyncIterator[Agent]:
        """The agent's connection, from where the gateway says that it is."""
        async with self.run.dial(gateway) as agent:
            self.log_offset = (await agent.hello(self.state))["logOffset"]
            yield agent

    async def work(self, agent: Agent, gateway: Running) -> None:
        """Accept, start, log, and work for some seconds."""
        if self.state == "idle":
            await agent.accept()
            self.state = "loading"
            await self.row(gateway, lambda row: row.sent_at is not None)
        if self.state == "loading":
            self.state = "running"
            self.started = rfc3339(self.world.clock())
        await agent.say("started", attempt=1, at=self.started)
        await self.run.until(lambda body: condition(body, "Started").get("status") == "True")
        if self.log_offset < len(LOG):
            await agent.say("log", offset=self.log_offset, data=LOG[self.log_offset :])
            await agent.expect("logack")
        self.world.clock.ahead = timedelta(seconds=10)
        await agent.say("output", index=0, value="partial")
        await agent.say("heartbeat", activeMs=HEARTBEAT_MS)
        await self.row(gateway, lambda row: row.active_ms == HEARTBEAT_MS)

    async def tell(self, agent: Agent, **result: Any) -> None:
        """Tell the result, the same each time, until it is acknowledged."""
        if self.result is None:
            now = rfc3339(self.world.clock())
            stamps = {"startedAt": self.started, "completedAt": now, "activeMs": ACTIVE_MS}
            self.result = agent.result(**stamps, **result)
            self.state = "done"
        await agent.say("result", **self.result)
        while (await agent.receive())["type"] != "ack":
            continue  # a cancel that is told again, to one that has stopped
        self.over = True


def settled(row: ledger.RunRow) -> bool:
    """Whether nothing is left to note: the end is final, and what the run made is summed up."""
    return row.closed and row.downstream is not None


# Lives: what is done from wherever the last gateway left it


async def succeeds(scene: Scene, gateway: Running) -> None:
    await scene.row(gateway, lambda _: True)
    async with scene.connected(gateway) as agent:
        if scene.state != "done":
            await scene.work(agent, gateway)
        await scene.tell(agent)


async def fails(scene: Scene, gateway: Running) -> None:
    await scene.row(gateway, lambda _: True)
    async with scene.connected(gateway) as agent:
        if scene.state != "done":
            await scene.work(agent, gateway)
        failed = {"outcome": "failed", "reason": "UserError", "error": "ValueError: no"}
        await scene.tell(agent, **failed, outputJSON=None)


async def is_cancelled(scene: Scene, gateway: Running) -> None:
    await scene.row(gateway, lambda _: True)
    async with scene.connected(gateway) as agent:
        if scene.state != "done":
            if not scene.asked:
                await scene.work(agent, gateway)
                scene.asked = True
                scene.run.cancel()
            await agent.expect("cancel")
            await scene.run.until(lambda b: condition(b, "CancelAccepted").get("status") == "True")
        canceled = {"outcome": "canceled", "reason": "Canceled", "error": ""}
        await scene.tell(agent, **canceled, outputJSON=None)


async def runs_out_of_memory(scene: Scene, gateway: Running) -> None:
    await scene.row(gateway, lambda _: True)
    if scene.state != "gone":
        async with scene.connected(gateway) as agent:
            await scene.work(agent, gateway)
        scene.state = "gone"
        scene.run.end_by_controller("OutOfMemory")
    await scene.row(gateway, settled)
    scene.over = True


async def is_cancelled_before_its_pod_came(scene: Scene, gateway: Running) -> None:
    await scene.row(gateway, lambda _: True)
    if not scene.asked:
        scene.asked = True
        scene.run.cancel()
    await scene.row(gateway, settled)
    scene.over = True


async def is_refused(scene: Scene, gateway: Running) -> None:
    if not scene.asked:
        scene.asked = True
        scene.run.end_by_controller("Refused")
    await scene.row(gateway, settled)
    scene.over = True


async def is_deleted(scene: Scene, gateway: Running) -> None:
    if not scene.asked:
        await scene.row(gateway, lambda _: True)
        async with scene.connected(gateway) as agent:
            await scene.work(agent, gateway)
        async for _ in looks():  # while its agent is connected, a run works
            if not len(gateway.gateway.runs.sessions):
                break
        scene.asked = True
        scene.run.delete()
    await scene.row(gateway, settled)
    scene.over = True


@dataclass(frozen=True)
class Life:
    """How a run lives, and what is billed for it.

    Attributes:
        play: goes on from wherever the scene is.
        end: outcome and reason.
        active_ms: as billed.
        claimed: it has a pod from the beginning.
    """

    play: Callable[[Scene, Running], Awaitable[None]]
    end: tuple[str, str]
    active_ms: int = 0
    claimed: bool = field(default=True)


LIVES = {
    "succeeds": Life(succeeds, ("succeeded", "Succeeded"), ACTIVE_MS),
    "fails": Life(fails, ("failed", "UserError"), ACTIVE_MS),
    "cancelled": Life(is_cancelled, ("canceled", "Canceled"), ACTIVE_MS),
    "out of memory": Life(runs_out_of_memory, ("failed", "OutOfMemory"), HEARTBEAT_MS),
    "cancelled early": Life(is_cancelled_before_its_pod_came, ("canceled", "Canceled")),
    "refused": Life(is_refused, ("failed", "Refused"), claimed=False),
    "deleted": Life(is_deleted, ("canceled", "Canceled"), HEARTBEAT_MS),
}


async def live(life: Life, world: World, fate: Fate) -> Json:
    """Live the life with one gateway that may die, and then with one that does not.

    Returns:
        The facts, when it is over.
    """
    scene = Scene(world, world.claimed() if life.claimed else world.run())
    async with world.gateway(fate) as gateway:
        async with asyncio.timeout(LIFE_SECONDS):
            await first_of(life.play(scene, gateway), fate.died.wait())
        assert fate.died.is_set() or scene.over, f"it went no further than {scene}"
    async with world.gateway() as gateway:
        await gateway.gateway.cache.runs.synced.wait()
        if not scene.over:
            await within(LIFE_SECONDS, life.play(scene, gateway))
        return await facts(scene, gateway)


@contextmanager
def new_world(databases: Databases, folder: Path) -> Iterator[World]:
    folder.mkdir()
    with databases(folder) as url:
        yield World(folder, url)


async def facts(scene: Scene, gateway: Running) -> Json:
    """All that a user, a reader of the API or an accountant can see of it, but for the stamps."""
    row = await gateway.row(scene.run.uid)
    assert row is not None
    usage = await gateway.usage(scene.run.uid)
    assert usage is not None
    async with gateway.gateway.process.database.read() as tx:
        records = await tx.scalar(select(func.count()).select_from(tables.usage_records))
    async with gateway.client() as reader:
        shown = (await reader.get(f"/v1/predictions/{scene.run.id}")).json()
        log = (await reader.get(f"/v1/predictions/{scene.run.id}/logs")).text
    stamps = {"created_at", "started_at", "completed_at", "recorded_at"}
    names = {"id", "record_id", "run_uid", "root_uid"}
    ledgers = {key: value for key, value in usage.items() if key not in stamps | names}
    said = {key: shown[key] for key in ("status", "error", "output")}
    said["predict_time"] = shown["metrics"].get("predict_time")
    return {
        "records": records,
        "usage": ledgers,
        "closed by": row.closed_by,
        "ends": ends(scene),
        "object": seen(scene),
        "prediction": said,
        "log": log,
    }


def ends(scene: Scene) -> int:
    """How often the object came to an end."""

    def over(body: Json | None) -> bool:
        return body is not None and condition(body, "Finished").get("status") == "True"

    log = scene.world.cluster._log
    return sum(
        1 for _, kind, _, before, after in log if kind is RUNS and over(after) and not over(before)
    )


def seen(scene: Scene) -> Json:
    """The object's status, without stamps and names."""
    if (RUNS.plural, "team", "run") not in scene.world.cluster._objects:
        return {}
    status = scene.run.status
    names = {"completedAt", "startedAt", "id", "rootRef", "podName", "podUID", "outputURL"}
    told = {key: value for key, value in status.items() if key not in names}
    conditions = told.pop("conditions")
    return {**told, **{c["type"]: (c["status"], c["reason"], c["message"]) for c in conditions}}


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_dead_at_each_step_every_run_ends_as_if_nothing_had_happened(
    tmp_path: Path, databases: Databases, edge: Edge
) -> None:
    met: set[tuple[str, str]] = set()
    struck: list[tuple[str, Json, int, str]] = []
    for name, life in LIVES.items():
        fate = Fate()
        with new_world(databases, tmp_path / name) as world:
            calm = await live(life, world, fate)
        assert calm["records"] == 1
        assert calm["ends"] == (life.play is not is_deleted)
        assert (calm["usage"]["outcome"], calm["usage"]["reason"]) == life.end
        assert calm["usage"]["active_ms"] == life.active_ms
        for number, (follows, step) in enumerate(pairwise(["", *fate.steps])):
            if (follows, step) not in met:  # else it is the same step of another life
                met.add((follows, step))
                struck.append((name, calm, number, step))
    places = asyncio.Semaphore(AT_A_TIME)

    async def strike(name: str, calm: Json, number: int, step: str) -> str | None:
        async with places:
            fate = Fate(number, edge)
            with new_world(databases, tmp_path / f"{name} {number}") as world:
                found = await live(LIVES[name], world, fate)
        assert fate.died.is_set(), f"{name} never came to: {step}"
        changed = {key: (found[key], calm[key]) for key in calm if found[key] != calm[key]}
        told = json.dumps(changed, default=str)
        return f"{name}, dead {edge} {step} (is, was): {told}" if changed else None

    different = await asyncio.gather(*(strike(*case) for case in struck))
    assert [each for each in different if each] == []
