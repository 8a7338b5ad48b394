"""A gateway on loopback with everything around it: an in-memory API server, agents, readers."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from support.gateway.fate import Fate
from support.gateway.once import (
    compile_statements_once,
    forget_handlers,
    look_for_sniffio_once,
    read_handlers_once,
)
from support.kube_memory import WAIT_SECONDS, MemoryCluster, condition
from support.waiting import within
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import monotonic, rfc3339, rfc3339_seconds, utc_now
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.app import Gateway
from mayfly.gateway.process import Process
from mayfly.gateway.server import GatewayServer, new_id, new_uid, server_for
from mayfly.kube.kinds import NAMESPACES, PIPELINES, RUNS, RUNTIMES, VERSIONS
from mayfly.metering import ledger, records

Json = dict[str, Any]
KEY = SigningKey(b"a signing key for tests, 32 bytes")
NAMESPACE = "team"
DIGEST = "registry.example/runtime@sha256:" + "ab" * 32
READER = "reader-token"
BUILDER = "builder-token"
"""User name of a ServiceAccount of the namespace."""

UNSTARTED: Json = {"started": False, "startedAt": None, "completedAt": None, "activeMs": 0}
"""Fields of a result that say that main() was not called."""


class Clock:
    """A clock: the real time, plus what a test adds.

    Attributes:
        ahead: time added to every clock.
        jump: how far the wall clock was moved.
    """

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.jump = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead + self.jump

    def monotonic(self) -> float:
        """Monotonic seconds."""
        return monotonic() + self.ahead.total_seconds()


MAIN_SECONDS = 0.01
"""The longest that an agent's main() works for real; for longer work, a test moves the clock."""


class NotStarted(Exception):
    """The gateway ended before it began to serve."""


class ReadyServer(GatewayServer):
    """A server that says when it is serving."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ready = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise NotStarted from error  # the other would end the test's process
        self.ready.set()

    async def cut_at_death(self, fate: Fate) -> None:
        """Cut all connections when the gateway dies, without closing them."""
        await fate.died.wait()
        self.cut()

    def cut(self) -> None:
        """Cut every connection off."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Running:
    """A gateway that is serving."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str | None = READER) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Nothing here is TLS, and to read the machine's authorities takes longer than a call.
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=WAIT_SECONDS, verify=False
        )

    async def row(self, uid: str) -> ledger.RunRow | None:
        async with self.gateway.process.database.read() as tx:
            return await ledger.find(tx, uid)

    async def closed(self, uid: str) -> ledger.RunRow:
        """The row of a run, once it is closed."""
        with self.gateway.lifecycle.notices.subscribe(uid) as news:
            while True:
                row = await self.row(uid)
                if row is not None and row.closed:
                    return row
                await news.wait(WAIT_SECONDS)

    async def worked(self, uid: str) -> None:
        """Wait until the ledger has some active time of a run."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                row = await self.row(uid)
                if row is not None and row.active_ms:
                    return
                await asyncio.sleep(0.02)

    async def usage(self, uid: str) -> Json | None:
        """The usage record of a run, once it is closed."""
        await self.closed(uid)
        async with self.gateway.process.database.read() as tx:
            bill = await records.bill(tx, uid)
            return None if bill is None else dict(vars(bill))


class Agent:
    """A pod's agent, as seen by the gateway: it speaks the wire protocol only."""

    def __init__(self, connection: ClientConnection, run: "Run") -> None:
        self.connection = connection
        self.run = run

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a message about the run."""
        await self.send(kind, run=self.run.uid, **fields)

    async def receive(self) -> Json:
        return dict(json.loads(await within(WAIT_SECONDS, self.connection.recv())))

    async def expect(self, kind: str) -> Json:
        """The next message, which is of this kind; that items are stored is passed over."""
        while (message := await self.receive())["type"] == "outputack" != kind:
            pass
        assert message["type"] == kind, message
        return message

    async def expect_last(self, kind: str) -> Json:
        """Wait for a message of this type, ignoring others."""
        while (message := await self.receive())["type"] != kind:
            pass
        return message

    async def closed(self) -> int:
        """Wait for the gateway to close the connection; returns the close code."""
        try:
            while True:
                await within(WAIT_SECONDS, self.connection.recv())
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def hello(self, state: str = "idle") -> Json:
        """Send `hello`, with the run unless idle."""
        fields = {} if state == "idle" else {"run": self.run.uid, "attempt": 1}
        await self.send("hello", protocol=1, state=state, **fields)
        return await self.expect("welcome")

    async def accept(self) -> Json:
        """Accept the next work."""
        work = await self.expect("work")
        await self.say("accepted", attempt=work["attempt"])
        return work

    async def start(self) -> Json:
        """Accept the work and start main()."""
        work = await self.accept()
        await self.say("started", attempt=1, at=rfc3339(utc_now()))
        return work

    async def end(self, **changes: Any) -> None:
        """Send the result once main() can have worked so long, and wait until it is recorded."""
        result = self.result(**changes)
        await asyncio.sleep(min(result["activeMs"] / 1000, MAIN_SECONDS))
        await self.say("result", **result)
        while (message := await self.receive())["type"] != "ack":
            assert message["type"] in {"cancel", "logack", "outputack"}, message

    async def end_unstarted(self) -> None:
        """Report a cancel before main(), and wait until that is recorded."""
        await self.end(outcome="canceled", reason="Canceled", outputJSON=None, **UNSTARTED)

    def result(self, **changes: Any) -> Json:
        """The fields of a result."""
        now = rfc3339(utc_now())
        fields = {
            "attempt": 1,
            "outcome": "succeeded",
            "reason": "Succeeded",
            "error": "",
            "outputJSON": '{"answer": 42.0}',
            "started": True,
            "startedAt": now,
            "completedAt": now,
            "activeMs": 3,
            "logBytes": 0,
        }
        return {**fields, **changes}


class Run:
    """A PipelineRun and the pod that it is claimed for."""

    def __init__(self, world: "World", body: Json) -> None:
        self.world = world
        self.uid: str = body["metadata"]["uid"]
        self.name: str = body["metadata"]["name"]
        self.depth = 1
        self.root = {"name": self.name, "uid": self.uid}
        self.id = run_id(self.uid)
        self.new_pod()

    def new_pod(self) -> None:
        """Have another pod from here on, with an agent of its own; `claim` claims it."""
        self.pod_uid = str(uuid4())
        self.pod_token = f"pod-token-{self.pod_uid}"
        self.secret = new_secret()
        self.world.cluster.tokens[self.pod_token] = ({"mayfly-gateway"}, pod_user(self.pod_uid))

    @property
    def now(self) -> Json:
        return self.world.cluster.now(RUNS, NAMESPACE, self.name)

    @property
    def status(self) -> Json:
        return dict(self.now.get("status") or {})

    def condition(self, kind: str) -> Json:
        return condition(self.now, kind)

    def edit(self, **status: Any) -> None:
        """Write status fields, like the controller."""

        def change(body: Json) -> None:
            body["status"] = {**(body.get("status") or {}), **status}

        self.world.cluster.edit(RUNS, NAMESPACE, self.name, change)

    def set_condition(self, kind: str, status: str, reason: str, **fields: Any) -> None:
        """Write a condition, like the controller, with other status fields."""
        rest = [each for each in self.status.get("conditions", []) if each["type"] != kind]
        self.edit(conditions=[*rest, make_condition(kind, status, reason)], **fields)

    def claim(self, pod_uid: str | None = None, attempt: int = 1) -> None:
        """Claim the pod, like the controller."""
        self.edit(
            id=self.id,
            version=(self.now["spec"].get("pipelineRef") or {}).get("version", "c" * 64),
            depth=self.depth,
            rootRef=self.root,
            attempt=attempt,
            podName=f"mayfly-{self.id}-{attempt}",
            podUID=pod_uid or self.pod_uid,
            phase="Starting",
            conditions=[
                make_condition("Accepted", "True", "Accepted"),
                make_condition("Started", "False", "PodPending"),
                make_condition("Succeeded", "Unknown", "Running"),
            ],
        )

    def cancel_by_hand(self) -> None:
        """Request a cancel, like a person."""

        def change(body: Json) -> None:
            body["spec"]["cancel"] = True

        self.world.cluster.edit(RUNS, NAMESPACE, self.name, change)

    def cancel(self) -> None:
        """Request a cancel, and stop the claims, like the controller."""
        self.cancel_by_hand()
        self.set_condition("CancelAccepted", "False", "ClaimsStopped")

    async def accepted_cancel(self) -> None:
        """Wait until the gateway has accepted the cancel."""
        await self.until(lambda each: condition(each, "CancelAccepted").get("status") == "True")

    def end_by_controller(self, reason: str = "Lost", **fields: Any) -> None:
        """End the run, like the controller."""
        rest = [
            each
            for each in self.status.get("conditions", [])
            if each["type"] not in {"Finished", "Succeeded"}
        ]
        good = reason == "Succeeded"
        self.edit(
            conditions=[
                *rest,
                make_condition("Succeeded", str(good), reason),
                make_condition("Finished", "True", "Finished"),
            ],
            phase="Succeeded" if good else "Failed",
            error="" if good else "The pod went away.",
            **{"completedAt": rfc3339(utc_now()), "id": self.id, **fields},
        )

    def delete(self) -> None:
        self.world.cluster.remove(RUNS, NAMESPACE, self.name)

    async def until(self, holds: Any) -> Json:
        return await self.world.cluster.until(RUNS, NAMESPACE, self.name, holds)

    async def finished(self) -> Json:
        """The status, once the run is finished."""
        body = await self.until(lambda each: (each.get("status") or {}).get("finished") is True)
        return dict(body["status"])

    @asynccontextmanager
    async def dial(self, gateway: Running, **overrides: Any) -> AsyncIterator[Agent]:
        """Open the agent's connection, without a hello yet."""
        headers = {
            "Authorization": f"Bearer {overrides.get('token', self.pod_token)}",
            "Mayfly-Session": overrides.get("secret", self.secret),
        }
        async with connect(
            f"ws://127.0.0.1:{gateway.port}/agent/v1/session",
            additional_headers=headers,
            max_size=None,
        ) as connection:
            yield Agent(connection, self)

    @asynccontextmanager
    async def working(self, gateway: Running, *, written: bool = False) -> AsyncIterator[Agent]:
        """The connection of an agent that has just called main().

        Args:
            gateway: which gateway it connects to.
            written: also wait until the object says so.
        """
        async with self.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            if written:
                await self.until(lambda each: each["status"].get("phase") == "Processing")
            yield agent

    def headers(self) -> dict[str, str]:
        """Headers of an agent's HTTP request."""
        return {"Authorization": f"Bearer {self.pod_token}", "Mayfly-Session": self.secret}


class World:
    """An API server, a folder, and gateways that are started and stopped.

    Attributes:
        port: the gateways' own; 0 for any free one.
    """

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.folder = folder
        self.database_url = database_url or f"sqlite:///{folder}/mayfly.db"
        self.cluster = MemoryCluster()
        self.clock = Clock()
        self.port = 0
        self.limits: Json = {"startedWriteMs": 0}
        self.outbound: Json = {}
        self.metrics: Json = {}
        self.rates: Json = {"creates": 100_000, "others": 100_000}
        self.cluster.tokens[READER] = ({"mayfly"}, {"username": "reader", "groups": ["people"]})
        self.cluster.allowed.add(("reader", NAMESPACE))
        account = f"system:serviceaccount:{NAMESPACE}:builder"
        self.cluster.tokens[BUILDER] = ({"mayfly"}, {"username": account, "groups": []})
        self.cluster.allowed.add((account, NAMESPACE))
        self.cluster.add(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        self._add_pipeline()

    def _add_pipeline(self) -> None:
        source = {"inline": "def main():\n    return 42.0\n"}
        self.cluster.add(
            RUNTIMES,
            {
                "metadata": {"name": "default"},
                "spec": {
                    "image": DIGEST,
                    "price": [
                        {"meter": "predictSeconds", "unitPrice": "0.000025"},
                        {"meter": "prediction", "unitPrice": "0.01"},
                    ],
                },
            },
        )
        self.cluster.add(
            PIPELINES,
            {
                "metadata": {"name": "answer", "namespace": NAMESPACE},
                "spec": {"source": source},
                "status": {
                    "observedGeneration": 1,
                    "latestVersion": "c" * 64,
                    "conditions": [make_condition("Ready", "True", "Ready")],
                },
            },
        )
        self.add_version(NAMESPACE, "answer", "c" * 64, source)

    def add_version(self, namespace: str, pipeline: str, identity: str, source: Json) -> None:
        """Create a PipelineVersion, like the controller."""
        self.cluster.add(
            VERSIONS,
            {
                "metadata": {
                    "name": f"{pipeline}-{identity[:10]}",
                    "namespace": namespace,
                    "labels": {"mayfly.dev/pipeline": pipeline},
                },
                "spec": {
                    "id": identity,
                    "source": source,
                    "entrypoint": "main.py:main",
                    "runtime": "default",
                    "runtimeDigest": DIGEST,
                    "openapiSchema": {
                        "openapi": "3.0.2",
                        "components": {"schemas": {"Input": {"type": "object", "properties": {}}}},
                    },
                },
            },
        )

    def schema(self, inputs: Json, output: Json | None = None) -> None:
        """Set the schema of the pipeline's version."""
        schemas = {"Input": inputs, **({"Output": output} if output else {})}

        def change(body: Json) -> None:
            body["spec"]["openapiSchema"] = {
                "openapi": "3.0.2",
                "components": {"schemas": schemas},
            }

        self.cluster.edit(VERSIONS, NAMESPACE, "answer-" + "c" * 10, change)

    def run(self, name: str = "run", *, labels: dict[str, str] | None = None, **spec: Any) -> Run:
        """Create a PipelineRun that was not reconciled yet."""
        body = {
            "metadata": {
                "name": name,
                "labels": labels or {},
                "namespace": NAMESPACE,
                "creationTimestamp": rfc3339_seconds(utc_now()),
            },
            "spec": {
                "pipelineRef": {"name": "answer"},
                "inputJSON": '{"b": 1.0, "a": 12345678901234567890}',
                **spec,
            },
        }
        return Run(self, self.cluster.add(RUNS, body))

    def child(self, parent: Run, name: str = "child", **spec: Any) -> Run:
        """Create a child run, like the gateway; it was not reconciled yet."""
        labels = {
            "mayfly.dev/root": run_id(parent.root["uid"]),
            "mayfly.dev/parent": parent.id,
            "mayfly.dev/depth": str(parent.depth + 1),
        }
        reference = {"name": parent.name, "uid": parent.uid}
        child = self.run(name, labels=labels, parentRef=reference, **spec)
        child.depth, child.root = parent.depth + 1, parent.root
        return child

    def claimed(self, name: str = "run", **spec: Any) -> Run:
        """Create a PipelineRun that has its pod."""
        run = self.run(name, **spec)
        run.claim()
        return run

    def config(self) -> GatewayConfig:
        return GatewayConfig.model_validate(
            {
                "listenHost": "127.0.0.1",
                "listenPort": 0,
                "databaseURL": self.database_url,
                "filesURL": (self.folder / "files").as_uri(),
                "signingKeyFile": str(self.folder / "key"),
                "internalURL": "https://mayfly-gateway.mayfly-system.svc",
                "limits": self.limits,
                "models": {"callbackPort": 0},
                "outbound": self.outbound,
                "rates": self.rates,
                "metrics": self.metrics,
            }
        )

    @asynccontextmanager
    async def gateway(self, fate: Fate | None = None) -> AsyncIterator[Running]:
        """Start a gateway process with the same files and API server, and empty memory.

        Args:
            fate: where it dies; it is then cut off instead of stopped.
        """
        config = self.config()
        fate = fate or Fate()
        process = Process(
            config=config,
            cluster=fate.cluster(self.cluster),  # type: ignore[arg-type]
            database=Database(config.database_url),
            clock=self.clock,
            monotonic=self.clock.monotonic,
            new_id=new_id,
            new_uid=new_uid,
        )
        gateway = Gateway(process, KEY)
        fate.rule(process.database)
        compile_statements_once(process.database)
        plain = server_for(gateway, config)
        server = ReadyServer(plain.config, gateway)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        cutting = asyncio.create_task(server.cut_at_death(fate))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await first_of(server.ready.wait(), fate.died.wait())
            yield Running(gateway, listener.getsockname()[1])
        finally:
            cutting.cancel()
            if fate.died.is_set():
                server.cut()
                fate.bury()
            server.should_exit = True
            with listener, suppress(NotStarted) if fate.died.is_set() else nullcontext():
                await task
            forget_handlers()


look_for_sniffio_once()
read_handlers_once()


async def first_of(*waiting: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of these has ended, and cancel the others."""
    tasks = [asyncio.create_task(each) for each in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_condition(kind: str, status: str, reason: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": rfc3339_seconds(utc_now()),
    }


def new_secret() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def pod_user(pod_uid: str) -> Json:
    return {
        "username": f"system:serviceaccount:{NAMESPACE}:default",
        "uid": str(uuid4()),
        "groups": ["system:serviceaccounts"],
        "extra": {
            "authentication.kubernetes.io/pod-uid": [pod_uid],
            "authentication.kubernetes.io/pod-name": ["mayfly-pod"],
        },
    }
