"""Whatever comes in whatever order, and however often: one end, one record, and they agree.

The gateway's objects without a server: agents speak through a queue, processes end by cancelling.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from support.gateway.world import KEY, Run, World
from support.kube_memory import WAIT_SECONDS
from support.lengths import length
from support.servers.postgresql import BOTH, Databases
from support.waiting import within

from mayfly.clock import monotonic, rfc3339, utc_now
from mayfly.database.engine import Database
from mayfly.gateway.app import Gateway
from mayfly.gateway.http.errors import Rejected
from mayfly.gateway.process import Process
from mayfly.gateway.server import new_id, new_uid
from mayfly.kube.errors import Unavailable
from mayfly.metering import ledger, records, tables

pytestmark = BOTH

EVENTS = st.lists(
    st.sampled_from(
        [
            "connect",
            "disconnect",
            "accept",
            "start",
            "log",
            "heartbeat",
            "output",
            "succeed",
            "fail",
            "cancel result",
            "cancel",
            "controller end",
            "touch",
            "delete",
            "conflict",
            "away",
            "restart",
            "break watch",
            "turn",
            "turn",
        ]
    ),
    max_size=14,
)


class Pipe:
    """An agent's connection without a network."""

    def __init__(self, run: Run) -> None:
        token, secret = run.pod_token, run.secret
        self.headers = {"authorization": f"Bearer {token}", "mayfly-session": secret}
        self.told: list[dict] = []
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, kind: str, **fields: Any) -> None:
        self._queue.put_nowait(json.dumps({"type": kind, **fields}))

    def hang_up(self) -> None:
        self._queue.put_nowait(None)

    async def send_text(self, data: str) -> None:
        self.told.append(json.loads(data))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.hang_up()

    async def texts(self) -> AsyncIterator[str]:
        while (text := await self._queue.get()) is not None:
            yield text


class Scene:
    """One run, its agent as far as it got, and the gateway of the moment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.run = world.claimed()
        self.deleted = False
        self.state = "idle"
        self.result: dict | None = None
        self.pipe: Pipe | None = None
        self._serving: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        config = self.world.config()
        process = Process(
            config=config,
            cluster=self.world.cluster,
            database=Database(config.database_url),
            clock=self.world.clock,
            monotonic=monotonic,
            new_id=new_id,
            new_uid=new_uid,
        )
        gateway = Gateway(process, KEY)
        async with gateway.app.router.lifespan_context(gateway.app):
            yield gateway
            await self.disconnect()

    async def connect(self, gateway: Gateway) -> None:
        await self.disconnect()
        pipe = self.pipe = Pipe(self.run)

        async def serve() -> None:
            try:
                await gateway.runs.agents.serve(pipe)
            except Rejected:
                pipe.told.append({"type": "closed"})

        self._serving = asyncio.create_task(serve())
        known = {} if self.state == "idle" else {"run": self.run.uid, "attempt": 1}
        pipe.say("hello", protocol=1, state=self.state, **known)
        if self.result is not None:
            pipe.say("result", **self.result)

    async def disconnect(self) -> None:
        if self.pipe is not None and self._serving is not None:
            self.pipe.hang_up()
            await self._serving
        self.pipe = None

    def agent(self, event: str) -> None:
        """What the agent does, where it can."""
        pipe, uid = self.pipe, self.run.uid
        got_work = pipe is not None and any(each["type"] == "work" for each in pipe.told)
        if event == "accept" and self.state == "idle" and got_work and pipe is not None:
            self.state = "loading"
            pipe.say("accepted", run=uid, attempt=1)
        elif event == "start" and self.state == "loading":
            self.state = "running"
            self._say("started", attempt=1, at=rfc3339(utc_now()))
        elif event == "log" and self.state == "running":
            self._say("log", offset=0, data="line\n")
        elif event == "heartbeat" and self.state == "running":
            self._say("heartbeat", activeMs=1)
        elif event == "output" and self.state == "running":
            self._say("output", index=0, value=1)
        elif event in {"succeed", "fail", "cancel result"}:
            self._end(event)

    def _say(self, kind: str, **fields: Any) -> None:
        if self.pipe is not None:
            self.pipe.say(kind, run=self.run.uid, **fields)

    def _end(self, event: str) -> None:
        if self.state not in {"running", "loading"} and self.result is None:
            return
        outcome = {"succeed": "succeeded", "fail": "failed", "cancel result": "canceled"}[event]
        reason = {"succeed": "Succeeded", "fail": "UserError", "cancel result": "Canceled"}[event]
        now = rfc3339(utc_now())
        started = self.state != "loading"
        self.state = "done"
        self.result = self.result or {
            "run": self.run.uid,
            "attempt": 1,
            "outcome": outcome,
            "reason": reason,
            "outputJSON": "[1]",
            "started": started,
            "startedAt": now if started else None,
            "completedAt": now,
            "activeMs": 1,
            "logBytes": 0,
        }
        if self.pipe is not None:
            self.pipe.say("result", **self.result)

    def cluster(self, event: str) -> None:
        """What others do to the object."""
        if self.deleted:
            return
        ended = bool(self.run.condition("Finished"))
        if event == "cancel" and not ended and not self.run.condition("CancelAccepted"):
            self.run.cancel()
        elif event == "controller end" and not ended:
            self.run.end_by_controller("Evicted")
        elif event == "touch":
            self.run.edit(podName="touched")
        elif event == "delete":
            self.deleted = True
            self.run.delete()


def trouble(scene: Scene, event: str) -> None:
    """The next write of the gateway meets another writer, or nobody."""

    def once(_verb: str, _body: dict) -> None:
        scene.world.cluster.on_write = None
        if event == "away":
            raise Unavailable(503, "not now")
        scene.cluster("touch")

    scene.world.cluster.on_write = once


async def play(events: list[str], folder: Path, database_url: str) -> None:
    scene = Scene(World(folder, database_url))
    waiting = list(events)
    while waiting:
        async with scene.gateway() as gateway:
            while waiting:
                event = waiting.pop(0)
                if event == "restart":
                    break
                if event == "turn":
                    for _ in range(5):
                        await asyncio.sleep(0.002)
                elif event == "connect":
                    await scene.connect(gateway)
                elif event == "disconnect":
                    await scene.disconnect()
                elif event in {"conflict", "away"}:
                    trouble(scene, event)
                elif event == "break watch":
                    scene.world.cluster.break_watches(forget=True)
                else:
                    scene.agent(event)
                    scene.cluster(event)
                await asyncio.sleep(0)
    await conclude(scene)


async def conclude(scene: Scene) -> None:
    """Let the run end by whoever can still end it, then compare what everyone says."""
    scene.world.cluster.on_write = None
    async with scene.gateway() as gateway:
        if not scene.deleted:
            await gateway.cache.runs.synced.wait()
            if scene.result is not None:
                await scene.connect(gateway)
            elif not scene.run.condition("Finished"):
                scene.run.end_by_controller("Lost")
            status = await scene.run.finished()
        row = await closed(gateway, scene.run.uid, needed=not scene.deleted)
        async with gateway.process.database.read() as tx:
            count = (
                await tx.execute(select(func.count()).select_from(tables.usage_records))
            ).scalar_one()
            usage = await records.bill(tx, scene.run.uid)
    if row is None:
        # Deleted before any gateway saw its claim: nothing was sent, nothing is owed.
        assert scene.state == "idle"
        assert count == 0
        return
    assert count == 1
    assert usage is not None
    assert (usage.outcome, usage.reason) == (row.outcome, row.reason)
    if not scene.deleted:
        assert scene.run.condition("Succeeded")["reason"] == row.reason
        assert status["usage"]["activeMilliseconds"] == usage.active_ms
        assert status["usage"]["totalCost"] == format(usage.cost.normalize(), "f")
        assert (scene.run.condition("Started").get("status") == "True") <= usage.started


async def closed(gateway: Gateway, uid: str, *, needed: bool) -> ledger.RunRow | None:
    with gateway.lifecycle.notices.subscribe(uid) as news:
        while True:
            async with gateway.process.database.read() as tx:
                row = await ledger.find(tx, uid)
            if (row is None and not needed) or (row is not None and row.closed):
                return row
            await news.wait(WAIT_SECONDS)


@settings(
    max_examples=length(20, 60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(EVENTS)
def test_one_end_and_one_record(databases: Databases, events: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, databases(Path(folder)) as url:
        asyncio.run(within(60, play(events, Path(folder), url)))
