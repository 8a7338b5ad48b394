"""Webhooks of calls of Models: the same events, bodies and signatures as those of runs."""

import base64
from typing import Any

import pytest
from support.gateway.models import ModelWorld, ended
from support.gateway.receiver import Call, receiving
from support.gateway.world import KEY, NAMESPACE
from support.servers.postgresql import BOTH

from mayfly.gateway.predictions.webhooks import signature, webhook_secret

pytestmark = BOTH

STORY = {"words": 4, "pause": 0.7}


async def create(caller: Any, url: str, given: Any, **body: Any) -> dict[str, Any]:
    path = f"/v1/models/{NAMESPACE}/model/predictions"
    answer = await caller.post(path, json={"input": given, "webhook": url, **body})
    assert answer.status_code == 201, answer.text
    assert answer.json()["webhook"] == url
    return dict(answer.json())


def over(calls: list[Call]) -> bool:
    return any(call.event == "completed" for call in calls)


async def test_every_event_of_a_streaming_model(world: ModelWorld, cog) -> None:
    world.at(await cog("story"))
    async with receiving() as receiver, world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, receiver.url, STORY)
        calls = await receiver.until(over)
    events = [call.event for call in calls]
    assert events[0] == "start"
    assert events[-1] == "completed"
    assert set(events) == {"start", "output", "logs", "completed"}
    first, last = calls[0].json, calls[-1].json
    assert (first["id"], first["status"], first["output"]) == (made["id"], "processing", None)
    assert (last["id"], last["status"]) == (made["id"], "succeeded")
    assert last["output"] == [f"word{number} " for number in range(4)]
    assert last["logs"] == "".join(f"word {number}\n" for number in range(4))
    assert last["input"] == STORY
    outputs = [call.json["output"] for call in calls if call.event == "output"]
    assert all(each == last["output"][: len(each)] for each in outputs)
    secret = webhook_secret(KEY, NAMESPACE)
    for call in calls:
        stamp, identity = call.headers["webhook-timestamp"], call.headers["webhook-id"]
        wanted = signature(secret, identity, stamp, call.body.encode())
        assert call.headers["webhook-signature"] == wanted
        assert base64.b64decode(wanted.removeprefix("v1,"))


@pytest.mark.parametrize("events", [["completed"], ["start"], ["start", "completed"]])
async def test_only_the_events_that_were_asked_for(
    world: ModelWorld, cog, events: list[str]
) -> None:
    world.at(await cog("story"))
    async with receiving() as receiver, world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, receiver.url, STORY, webhook_events_filter=events)
        assert made["webhook_events_filter"] == events
        await receiver.until(lambda calls: len(calls) == len(events))
        await ended(caller, made["id"])
        # One more, of whose end everything is told last.
        other = await create(
            caller, receiver.url, {"words": 1}, webhook_events_filter=["completed"]
        )
        calls = await receiver.until(lambda calls: calls[-1].json["id"] == other["id"])
    assert [call.event for call in calls] == [*events, "completed"]


async def test_a_call_that_fails_tells_its_error(world: ModelWorld, cog) -> None:
    world.at(await cog("fails"))
    async with receiving() as receiver, world.gateway() as gateway, gateway.client() as caller:
        await create(caller, receiver.url, {"why": "rain"}, webhook_events_filter=["completed"])
        (call,) = await receiver.until(over)
    assert call.json["status"] == "failed"
    assert "it fails: rain" in call.json["error"]


async def test_a_call_that_is_cancelled_before_it_was_sent_tells_its_end_alone(
    world: ModelWorld, cog
) -> None:
    server = await cog("echo")
    world.at(server)
    async with receiving() as receiver, world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        await server.kill()
        made = await create(caller, receiver.url, {"text": "x"})
        await caller.post(f"/v1/predictions/{made['id']}/cancel")
        calls = await receiver.until(over)
    assert [call.event for call in calls] == ["completed"]
    assert calls[0].json["status"] == "canceled"


async def test_an_end_is_told_by_the_next_gateway_too(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with receiving() as receiver:
        receiver.answer_with = lambda _call: 503
        async with world.gateway() as gateway, gateway.client() as caller:
            await create(caller, receiver.url, {"text": "x"}, webhook_events_filter=["completed"])
            await receiver.until(lambda calls: len(calls) >= 1)
        told = len(receiver.calls)
        receiver.answer_with = lambda _call: 200
        async with world.gateway():
            calls = await receiver.until(lambda calls: len(calls) > told)
    assert calls[-1].json["output"] == "x"
    assert len({call.headers["webhook-id"] for call in calls}) == 1
