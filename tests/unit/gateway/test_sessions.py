"""Sending to an agent, and a gateway that stops meanwhile."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from mayfly.gateway.access.authentication import Pod
from mayfly.gateway.runs.sessions import Session
from mayfly_runtime.agent.messages import MAX_MESSAGE_BYTES
from mayfly_runtime.spec import strict_json

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Wire:
    """A connection that takes a message once it may."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def send_text(self, data: str) -> None:
        await self.open.wait()
        self.sent = data

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        await self.open.wait()


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancel_at_the_moment_of_the_sending_is_not_lost(turns: int) -> None:
    """Else the worker that sends would go on, and the gateway would never stop."""
    wire = Wire()
    session = Session(Pod("uid", "pod", "team"), wire, NOW)
    sending = asyncio.create_task(session.send({"type": "cancel"}))
    await asyncio.sleep(0.01)
    wire.open.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    taken = sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled() == taken


@pytest.mark.parametrize("character", ["\u0436", "\U0001f41b", '"', "\\", "\ud800"])
async def test_the_largest_input_fits_into_a_message(character: str) -> None:
    wire = Wire()
    wire.open.set()
    one = strict_json.dump(character)[1:-1]
    text = f'{{"s":"{one * ((6 * 2**20 - 8) // strict_json.size(one))}"}}'
    message = {"type": "work", "inputJSON": text, "name": character}
    await Session(Pod("uid", "pod", "team"), wire, NOW).send(message)
    assert len(wire.sent.encode()) <= MAX_MESSAGE_BYTES
    assert json.loads(wire.sent) == message
