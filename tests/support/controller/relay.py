"""A relay between a process and the API server, which sees every write that passes through.

Nothing inside the process is replaced: it gets a kubeconfig that points to the relay. A test may
stop a write before the API server receives it, or after that and before the process gets the
answer: the two points at which the death of a process matters.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web
from support.controller.control_plane import ADMIN, ControlPlane

Json = dict[str, Any]
Edge = Literal["before", "after"]

PATH = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
NOT_OF_A_RUN = {"leases", "events"}
HOP_BY_HOP = {"connection", "content-encoding", "content-length", "transfer-encoding"}


class Dropped(Exception):
    """Raised by a test's `strike`: the process never gets an answer to this write."""


@dataclass(eq=False)
class Write:
    """One request that changes an object in a namespace.

    Attributes:
        namespace: the object's.
        what: verb, kind and content as text that is the same in every namespace.
        done: the API server has executed it.
    """

    namespace: str
    what: str
    done: bool = field(default=False)


Strike = Callable[[Write, Edge], Awaitable[None]]


class Relay:
    """The relay and its record of writes.

    Attributes:
        kubeconfig: the file that points to the relay.
        writes: every write so far, in order of arrival.
        strike: called before and after each write; it may kill, wait, or raise Dropped.
    """

    def __init__(self, plane: ControlPlane, kubeconfig: Path) -> None:
        self._server = f"https://127.0.0.1:{plane.port}"
        self._file = kubeconfig
        self._session: aiohttp.ClientSession | None = None
        self.kubeconfig = str(kubeconfig)
        self.writes: list[Write] = []
        self.strike: Strike = _pass

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Relay]:
        """Serve on a loopback port until the block ends."""
        app = web.Application(client_max_size=16 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._relay)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        try:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._write_kubeconfig(runner.addresses[0][1])
            yield self
        finally:
            await self._session.close()
            await runner.cleanup()

    def done(self, namespace: str) -> list[str]:
        """Executed writes in a namespace, in order."""
        return [w.what for w in self.writes if w.namespace == namespace and w.done]

    def asked(self, namespace: str) -> list[str]:
        """Requested writes in a namespace, executed or not, in order."""
        return [write.what for write in self.writes if write.namespace == namespace]

    def _write_kubeconfig(self, port: int) -> None:
        server = {"server": f"http://127.0.0.1:{port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "relay", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": ADMIN}}],
            "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "admin"}}],
            "current-context": "relay",
        }
        self._file.write_text(json.dumps(config))

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        write = write_of(request.method, request.path, body)
        try:
            if write is None:
                return await self._forward(request, body, None)
            self.writes.append(write)
            await self.strike(write, "before")
            return await self._forward(request, body, write)
        except (Dropped, aiohttp.ClientError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _forward(
        self, request: web.Request, body: bytes, write: Write | None
    ) -> web.StreamResponse:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.request(
            request.method,
            f"{self._server}{request.raw_path}",
            headers=headers,
            data=body or None,
            timeout=timeout,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
            if "Content-Encoding" in answer.headers:
                kept["Content-Encoding"] = answer.headers["Content-Encoding"]
            if write is not None:
                whole = await answer.read()
                write.done = answer.status < 300
                await self.strike(write, "after")
                return web.Response(status=answer.status, headers=kept, body=whole)
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


async def _pass(_write: Write, _edge: Edge) -> None:
    return


def write_of(method: str, path: str, body: bytes) -> Write | None:
    """The write that a request is; None for reads and for what does not belong to a run."""
    match = PATH.fullmatch(path)
    if method not in {"POST", "PUT", "PATCH", "DELETE"} or match is None:
        return None
    plural, name, sub = match["plural"], match["name"], match["sub"]
    if plural in NOT_OF_A_RUN:
        return None
    content: Json = json.loads(body) if body.strip().startswith(b"{") else {}
    words = [method, f"{plural}/{sub}" if sub else plural]
    if plural == "pods":
        pod = name or content["metadata"]["name"]
        warm = pod.startswith("mayfly-warm-")  # their names are random
        words.append("that waited" if warm else f"of attempt {pod.rpartition('-')[2]}")
    if sub == "status":
        words += _status(content["status"])
    return Write(match["namespace"], " ".join(words))


def _status(status: Json) -> list[str]:
    attempt = [f"attempt {status['attempt']}"] if "attempt" in status else []
    conditions = status.get("conditions", [])
    return attempt + sorted(f"{c['type']}={c['status']}/{c['reason']}" for c in conditions)
