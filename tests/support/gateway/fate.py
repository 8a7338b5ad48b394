"""Kills a gateway at a chosen step: before or after a commit or an API write.

From that step on nothing that it does has an effect: its database and API calls hang for ever, as
if the process were gone, and its connections are cut, not closed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection
from support.kube_memory import MemoryCluster

from mayfly.database.engine import Database
from mayfly.kube.kinds import Kind

Json = dict[str, Any]
Edge = Literal["before", "after"]
CHANGE = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\s+\"?(\w+)", re.IGNORECASE)


class Dead(Exception):
    """Raised in calls that still hang, once nothing they do can be seen any more."""


class Fate:
    """When a gateway dies.

    Attributes:
        steps: the commits with changes and the API writes so far, in order.
        died: set when it dies.
    """

    def __init__(self, at: int | None = None, edge: Edge = "before") -> None:
        self.steps: list[str] = []
        self.died = asyncio.Event()
        self._point = (at, edge)
        self._buried = asyncio.Event()
        self._changes: list[str] = []

    def bury(self) -> None:
        """Let hanging calls end; call it after the connections are cut."""
        self._buried.set()

    async def alive(self) -> None:
        """Return at once if alive, otherwise never."""
        if self.died.is_set():
            await self._buried.wait()
            raise Dead

    async def _before(self, what: str) -> int:
        await self.alive()
        self.steps.append(what)
        number = len(self.steps) - 1
        await self._die_at(number, "before")
        return number

    async def _die_at(self, number: int, edge: Edge) -> None:
        if (number, edge) == self._point:
            self.died.set()
        await self.alive()

    # -- the database ----------------------------------------------------------------------------

    def rule(self, database: Database) -> None:
        """Intercept the transactions of a database."""
        read, write = database.read, database.write

        @asynccontextmanager
        async def mortal_read(*, bulk: bool = False) -> AsyncIterator[AsyncConnection]:
            await self.alive()
            async with read(bulk=bulk) as tx:
                yield tx

        @asynccontextmanager
        async def mortal_write(*, bulk: bool = False) -> AsyncIterator[AsyncConnection]:
            await self.alive()
            number = None
            async with write(bulk=bulk) as tx:
                self._changes.clear()  # one writer at a time
                yield tx
                if self._changes:
                    number = await self._before("commit: " + ", ".join(self._changes))
            if number is not None:
                await self._die_at(number, "after")

        for engine in database.engines:
            event.listen(engine.sync_engine, "before_cursor_execute", self._note)
        database.read, database.write = mortal_read, mortal_write  # type: ignore[method-assign]

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        found = CHANGE.match(statement)
        if found:
            self._changes.append(f"{found[1].lower()} {found[2]}")

    # -- the API server --------------------------------------------------------------------------

    def cluster(self, cluster: MemoryCluster) -> MortalCluster:
        """The API server, with writes that may kill."""
        return MortalCluster(cluster, self)

    async def writes(self, verb: str, kind: Kind, status: Json, write: Any) -> Json:
        """Carry out an API write."""
        conditions = sorted(f"{c['type']}={c['status']}" for c in status.get("conditions", []))
        number = await self._before(f"{verb} {kind.plural}: {', '.join(conditions)}")
        body: Json = await write()
        await self._die_at(number, "after")
        return body


class MortalCluster:
    """The methods of `MemoryCluster` that a gateway calls."""

    def __init__(self, cluster: MemoryCluster, fate: Fate) -> None:
        self._cluster = cluster
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        await self._fate.alive()
        return await self._cluster.get(kind, namespace, name)

    async def write_status(self, kind: Kind, body: Json) -> Json:
        return await self._fate.writes(
            "PUT", kind, body["status"], lambda: self._cluster.write_status(kind, body)
        )

    async def patch_status(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        return await self._fate.writes(
            "PATCH",
            kind,
            patch["status"],
            lambda: self._cluster.patch_status(kind, namespace, name, patch),
        )
