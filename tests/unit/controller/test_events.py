"""Events on their way to the API server: each once, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mayfly.controller.events import REMEMBERED, WAITING, Events
from mayfly.kube.errors import Conflict, Refused, Unavailable
from mayfly.reconcile.actions import Event

EVENT = Event("PipelineRun", "team", "run", "uid", "UserError", "ValueError: no", "end")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """Takes events, or refuses them."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.error: Exception | None = None

    async def create(self, _: object, namespace: str, body: dict[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        assert body["metadata"]["namespace"] == namespace
        self.written.append(body)


@contextlib.asynccontextmanager
async def writing(server: Server) -> AsyncIterator[Events]:
    events = Events(server, lambda: NOW, "controller-0")  # type: ignore[arg-type]
    task = asyncio.create_task(events.run())
    yield events
    assert not task.done()
    task.cancel()


async def settled() -> None:
    for _ in range(2 * WAITING):
        await asyncio.sleep(0)


async def test_an_occasion_is_told_once():
    server = Server()
    async with writing(server) as events:
        for _ in range(3):
            events.tell(EVENT)
        events.tell(replace(EVENT, occasion="attempt 2"))
        events.tell(replace(EVENT, uid="other"))
        await settled()
    names = [each["metadata"]["name"] for each in server.written]
    assert len(names) == len(set(names)) == 3
    assert all(name.startswith("run.") for name in names)


@pytest.mark.parametrize(
    "error", [Conflict(409, "exists"), Refused(403, "quota"), Unavailable(0, "away")]
)
async def test_a_failed_write_loses_the_event_and_nothing_else(error):
    server = Server()
    async with writing(server) as events:
        server.error = error
        events.tell(EVENT)
        await settled()
        server.error = None
        events.tell(replace(EVENT, occasion="attempt 2"))
        await settled()
    assert len(server.written) == 1


async def test_memory_and_writes_are_bounded():
    server = Server()
    async with writing(server) as events:
        for number in range(2 * WAITING):
            events.tell(replace(EVENT, uid=str(number)))
        await settled()
        assert len(server.written) == WAITING
        for number in range(REMEMBERED + 100):
            events.tell(replace(EVENT, uid=f"more-{number}"))
            await asyncio.sleep(0)
        await settled()
        assert len(events._told) <= REMEMBERED


async def test_what_is_cluster_wide_or_long_fits():
    server = Server()
    async with writing(server) as events:
        events.tell(replace(EVENT, namespace="", name="r" * 253, note="ä" * 4096))
        await settled()
    (body,) = server.written
    assert body["metadata"]["namespace"] == "default"
    assert "namespace" not in body["regarding"]
    assert len(body["metadata"]["name"]) <= 253
    assert len(body["note"].encode()) <= 1024
