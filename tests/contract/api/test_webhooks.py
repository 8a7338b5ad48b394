"""Webhooks: which events, signed how, told again until somebody answers."""

import asyncio
import json
from datetime import timedelta

import pytest
from support.gateway.player import fails, gives, playing, streams
from support.gateway.receiver import Call, receiving
from support.gateway.world import BUILDER, KEY, NAMESPACE, Running, World
from support.tools.clients import Client

from mayfly.api.v1alpha1.identity import uid_of
from mayfly.gateway.access import run_tokens
from mayfly.gateway.predictions.webhooks import BACKOFF
from mayfly.kube.kinds import RUNS

PREDICTIONS = f"/v1/models/{NAMESPACE}/answer/predictions"


@pytest.fixture
async def world(world: World) -> World:
    world.outbound["allowCIDRs"] = ["127.0.0.0/8"]
    return world


async def create(gateway: Running, url: str, **body: object) -> str:
    async with gateway.client(BUILDER) as caller:
        made = await caller.post(PREDICTIONS, json={"webhook": url, **body})
        assert made.status_code == 201, made.text
        assert made.json()["webhook"] == url
        return str(made.json()["id"])


async def prediction(gateway: Running, identity: str) -> dict[str, object]:
    async with gateway.client(BUILDER) as caller:
        return dict((await caller.get(f"/v1/predictions/{identity}")).json())


async def until_ended(gateway: Running, identity: str) -> None:
    async with gateway.client(BUILDER) as caller:
        # The followed log ends with the prediction.
        await caller.get(f"/v1/predictions/{identity}/logs?follow=true")


async def failed(gateway: Running, identity: str) -> str:
    """What the prediction says of its webhook, once it says so."""
    for _ in range(400):
        words = (await prediction(gateway, identity)).get("webhook_error")
        if words:
            return str(words)
        await asyncio.sleep(0.05)
    raise AssertionError("no word of the webhook")


def ended(calls: list[Call]) -> bool:
    return any(call.event == "completed" for call in calls)


async def test_every_event_of_a_streaming_run(world: World) -> None:
    async with (
        receiving() as receiver,
        playing(world, streams(["a", "b"], "log\n")) as (gateway, _),
    ):
        identity = await create(gateway, receiver.url)
        calls = await receiver.until(ended)
        assert [calls[0].event, calls[-1].event] == ["start", "completed"]
        assert {call.event for call in calls} <= {"start", "output", "logs", "completed"}
        first, last = calls[0].json, calls[-1].json
        assert (first["id"], first["status"], first["output"]) == (identity, "processing", None)
        assert (last["id"], last["status"], last["output"]) == (identity, "succeeded", ["a", "b"])
        assert last["logs"] == "log\n"
        assert last["metrics"]["predict_time"] > 0


@pytest.mark.parametrize("events", [["completed"], ["start"], ["start", "completed"]])
async def test_only_the_events_that_were_asked_for(world: World, events: list[str]) -> None:
    async with receiving() as receiver, playing(world, streams(["a"], "log\n")) as (gateway, _):
        identity = await create(gateway, receiver.url, webhook_events_filter=events)
        await receiver.until(lambda calls: len(calls) == len(events))
        await until_ended(gateway, identity)
        await asyncio.sleep(0.5)
    assert [call.event for call in receiver.calls] == events


async def test_output_and_logs_come_at_most_twice_a_second(world: World) -> None:
    items = [str(number) for number in range(40)]
    async with receiving() as receiver, playing(world, streams(items)) as (gateway, _):
        await create(gateway, receiver.url, webhook_events_filter=["output", "completed"])
        calls = await receiver.until(ended)
    # Forty items within a second or so.
    assert 1 <= sum(call.event == "output" for call in calls) < 20


async def test_the_clients_own_check_takes_the_signature(
    world: World, python_1_0: Client, javascript: Client
) -> None:
    async with receiving() as receiver, playing(world, gives("x\u00e9")) as (gateway, _):
        await create(gateway, receiver.url, webhook_events_filter=["completed"])
        (call,) = await receiver.until(ended)
        code = """
import json, os, replicate
secret = replicate.webhooks.default.secret()
headers, body = json.loads(os.environ["HEADERS"]), os.environ["BODY"]
replicate.webhooks.validate(headers=headers, body=body, secret=secret, tolerance=3600)
try:
    replicate.webhooks.validate(headers=headers, body=body + " ", secret=secret)
    print(json.dumps("wrong"))
except ValueError:
    print(json.dumps("right"))
"""
        given = {"HEADERS": json.dumps(call.headers), "BODY": call.body}
        assert await python_1_0.run(gateway, code, **given) == "right"
        code = """
import Replicate, { validateWebhook } from "replicate";
const replicate = new Replicate({ baseUrl: process.env.REPLICATE_BASE_URL });
const secret = (await replicate.webhooks.default.secret.get()).key;
const headers = JSON.parse(process.env.HEADERS);
const given = {
  id: headers["webhook-id"], timestamp: headers["webhook-timestamp"],
  signature: headers["webhook-signature"], secret };
console.log(JSON.stringify([
  await validateWebhook({ ...given, body: process.env.BODY }),
  await validateWebhook({ ...given, body: process.env.BODY + " " })]));
"""
        assert await javascript.run(gateway, code, **given) == [True, False]


async def test_a_run_that_failed_tells_its_error(world: World) -> None:
    async with receiving() as receiver, playing(world, fails("ValueError: no")) as (gateway, _):
        await create(gateway, receiver.url, webhook_events_filter=["completed"])
        (call,) = await receiver.until(ended)
    assert (call.json["status"], call.json["error"]) == ("failed", "ValueError: no")


async def test_a_receiver_that_is_down_is_told_the_end_again_with_one_id(world: World) -> None:
    async with receiving() as receiver, playing(world, gives(1)) as (gateway, _):
        receiver.answer_with = lambda _call: 500 if len(receiver.calls) < 2 else 204
        await create(gateway, receiver.url, webhook_events_filter=["completed"])
        calls = await receiver.until(lambda calls: len(calls) == 3)
        assert len({call.headers["webhook-id"] for call in calls}) == 1
        assert {call.json["status"] for call in calls} == {"succeeded"}


async def test_a_receiver_that_never_takes_it_is_given_up_and_its_owner_told_why(
    world: World,
) -> None:
    async with receiving() as receiver:
        receiver.answer_with = lambda _call: 500
        async with playing(world, gives(1)) as (gateway, _):
            identity = await create(gateway, receiver.url, webhook_events_filter=["completed"])
            for told in range(1, len(BACKOFF) + 1):
                await receiver.until(lambda calls, told=told: len(calls) == told)
                assert "webhook_error" not in await prediction(gateway, identity)
                later(world, gateway, identity)
            words = await failed(gateway, identity)
            assert words == "The webhook was not delivered: The receiver answered 500."
            # About a minute, and no more of it, by this gateway or the next.
            later(world, gateway, identity)
            shown = await prediction(gateway, identity)
        receiver.answer_with = lambda _call: 200
        async with world.gateway() as gateway:
            other = await ended_with(gateway, world, receiver.url)
            calls = await receiver.until(lambda calls: calls[-1].json["id"] == other)
            assert (await prediction(gateway, identity))["webhook_error"] == words
    first = [call for call in calls if call.json["id"] == identity]
    assert len(first) == len(calls) - 1 == len(BACKOFF) + 1
    assert len({call.headers["webhook-id"] for call in first}) == 1
    assert {call.json["status"] for call in first} == {"succeeded"}
    # The run itself is none the worse.
    assert shown["status"] == "succeeded"


def later(world: World, gateway: Running, identity: str) -> None:
    """Let the longest pause between two tellings go by."""
    world.clock.ahead += timedelta(seconds=max(BACKOFF) + 1)
    gateway.gateway.lifecycle.notices.tell(uid_of(identity))


async def ended_with(gateway: Running, world: World, url: str) -> str:
    """A run that has ended, of whose end the receiver is told; its id."""
    run = world.run("other", webhook={"url": url, "events": ["completed"]})
    run.end_by_controller("InvalidInput")
    await gateway.closed(run.uid)
    return run.id


async def test_an_end_is_told_by_the_next_gateway_too(world: World) -> None:
    async with receiving() as receiver:
        receiver.answer_with = lambda _call: 503
        async with playing(world, gives(1)) as (gateway, _):
            await create(gateway, receiver.url, webhook_events_filter=["completed"])
            await receiver.until(lambda calls: len(calls) >= 1)
        told = len(receiver.calls)
        receiver.answer_with = lambda _call: 200
        async with world.gateway():
            calls = await receiver.until(lambda calls: len(calls) > told)
        assert len({call.headers["webhook-id"] for call in calls}) == 1


async def test_a_redirect_is_not_followed_and_told_again(world: World) -> None:
    async with receiving() as receiver, playing(world, gives(1)) as (gateway, _):
        receiver.answer_with = lambda _call: 307 if not receiver.calls else 200
        await create(gateway, receiver.url, webhook_events_filter=["completed"])
        calls = await receiver.until(lambda calls: len(calls) == 2)
    assert {call.headers["host"] for call in calls} == {f"127.0.0.1:{receiver.port}"}


async def test_a_receiver_at_a_private_address_is_told_nothing_and_its_owner_why(
    world: World,
) -> None:
    world.outbound["allowCIDRs"] = []
    async with receiving() as receiver, playing(world, gives(1)) as (gateway, _):
        identity = await create(gateway, receiver.url)
        words = await failed(gateway, identity)
        shown = await prediction(gateway, identity)
    assert words.startswith("The webhook was not delivered: 127.0.0.1 is at 127.0.0.1")
    assert "outbound.allowCIDRs" in words
    # The run itself is none the worse.
    assert shown["status"] == "succeeded"
    assert receiver.calls == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[::1/x", "webhook can't be called: the URL's host can't be read."),
        ("http://a..b/x", "webhook can't be called: the URL's host has an empty part."),
        ("http://h:99999/x", "webhook can't be called: the URL's port is not between 1 and 65535."),
        (f"https://{'a' * 64}.example/x", "webhook can't be called: a part of the URL's host has"),
        ("http:///x", "webhook can't be called: the URL's host has an empty part."),
        ("http://bot:s3cret@h:99999/x", "webhook can't be called: the URL's port is not"),
        ("ftp://bot:s3cret@h/x", "webhook must be an http(s) URL."),
    ],
)
async def test_a_receiver_that_cannot_be_called_is_refused_at_once(
    world: World, url: str, words: str
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.post(PREDICTIONS, json={"webhook": url})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(words)
    assert "s3cret" not in answer.text
    assert world.cluster.every(RUNS) == []


@pytest.mark.parametrize("url", ["http://[::1/x", "http://a..b/x", "http://bot:s3cret@h:99999/x"])
async def test_a_receiver_of_kubectls_that_cannot_be_called_is_told_at_once(
    world: World, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.gateway() as gateway:
        run = world.run(webhook={"url": url})
        run.end_by_controller("InvalidInput")
        words = await failed(gateway, run.id)
        shown = await prediction(gateway, run.id)
    assert words.startswith("The webhook was not delivered: the URL's ")
    assert "s3cret" not in f"{shown}{caplog.text}{run.status}"
    assert "Traceback" not in caplog.text


async def test_a_receivers_url_is_encoded_and_its_password_sent_and_never_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving() as receiver, playing(world, gives(1)) as (gateway, _):
        receiver.answer_with = lambda _call: 200 if receiver.calls else 500
        place = f"127.0.0.1:{receiver.port}/h\u00f6\u00f6k?q=\u00fc"
        url = f"HTTP://bot:s3cret@{place}"
        async with gateway.client(BUILDER) as caller:
            made = await caller.post(PREDICTIONS, json={"webhook": url})
            assert made.status_code == 201, made.text
            assert made.json()["webhook"] == f"http://{place}"
        await receiver.until(ended)
        await until_ended(gateway, made.json()["id"])
        shown = await prediction(gateway, made.json()["id"])
    for call in receiver.calls:
        assert call.headers["authorization"] == "Basic Ym90OnMzY3JldA=="
        assert call.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert "s3cret" not in call.body
    (body,) = world.cluster.every(RUNS)
    assert "s3cret" not in f"{made.json()}{shown}{caplog.text}{body['status']}"


async def test_a_receiver_with_a_password_that_is_down_is_told_without_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.outbound["allowCIDRs"] = []
    async with receiving() as receiver, playing(world, gives(1)) as (gateway, _):
        identity = await create_quietly(gateway, f"http://bot:s3cret@127.0.0.1:{receiver.port}/x")
        words = await failed(gateway, identity)
        shown = await prediction(gateway, identity)
    assert words.startswith("The webhook was not delivered: 127.0.0.1 is at 127.0.0.1")
    assert "s3cret" not in f"{words}{shown}{caplog.text}"


async def create_quietly(gateway: Running, url: str) -> str:
    """Create a prediction whose receiver is shown otherwise than it was given."""
    async with gateway.client(BUILDER) as caller:
        made = await caller.post(PREDICTIONS, json={"webhook": url})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])


async def test_a_run_made_by_kubectl_tells_too(world: World) -> None:
    async with receiving() as receiver, world.gateway() as gateway:
        run = world.claimed(webhook={"url": receiver.url, "events": ["start", "completed"]})
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await agent.say("result", **agent.result())
            await agent.expect("ack")
        calls = await receiver.until(ended)
    assert [call.event for call in calls] == ["start", "completed"]


async def test_a_run_that_never_started_tells_its_end_alone(world: World) -> None:
    async with receiving() as receiver, world.gateway():
        run = world.run(webhook={"url": receiver.url})
        run.end_by_controller("InvalidInput")
        calls = await receiver.until(ended)
    assert [call.event for call in calls] == ["completed"]
    assert calls[0].json["status"] == "failed"


async def test_the_secret_is_its_namespaces_and_no_runs(world: World) -> None:
    other = "system:serviceaccount:other:default"
    world.cluster.tokens["other"] = ({"mayfly"}, {"username": other, "groups": []})
    world.cluster.allowed.add((other, "other"))
    run = world.claimed()
    path = "/v1/webhooks/default/secret"
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(BUILDER) as caller, gateway.client("other") as stranger:
            ours = (await caller.get(path)).json()["key"]
            theirs = (await stranger.get(path)).json()["key"]
            assert ours.startswith("whsec_")
            assert ours.count("_") == 1
            assert ours != theirs
            assert (await stranger.get(f"/ns/{NAMESPACE}{path}")).status_code == 403
        async with gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid)) as caller:
            assert (await caller.get(path)).status_code == 403
