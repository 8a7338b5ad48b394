"""Secrets that a caller gives as they are: to the agent, and to nobody else."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from support.gateway.receiver import receiving
from support.gateway.world import KEY, NAMESPACE, Run, Running, World
from support.servers.postgresql import BOTH

from mayfly.gateway.access import run_tokens
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.secrets.sealed import sealed_secrets
from mayfly.kube.errors import Refused
from mayfly.kube.kinds import RUNS

pytestmark = BOTH

VALUE = 'hunter2-\u00e9"\\'
SECRET = {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
INPUT = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "key": SECRET,
        "more": {"type": "array", "items": SECRET},
        "n": {"type": "number"},
    },
}
PREDICTIONS = f"/v1/models/{NAMESPACE}/answer/predictions"
HIDDEN = "[redacted]"


@pytest.fixture
async def world(world: World) -> World:
    world.schema(INPUT)
    world.outbound["allowCIDRs"] = ["127.0.0.0/8"]
    return world


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of it holds the value, whatever the level."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert "hunter" not in caplog.text


async def create(gateway: Running, text: str, token: str | None = None, **body: Any) -> Any:
    fields = "".join(f", {json.dumps(name)}: {json.dumps(each)}" for name, each in body.items())
    async with gateway.client(*([token] if token else [])) as caller:
        answer = await caller.post(PREDICTIONS, content=f'{{"input": {text}{fields}}}')
        assert answer.status_code == 201, answer.text
        assert "hunter" not in answer.text
        return answer.json()


def given(**more: Any) -> str:
    return json.dumps({"key": VALUE, **more})


def made(world: World) -> Run:
    """The run that was made, with its pod."""
    (body,) = world.cluster.every(RUNS)
    run = Run(world, body)
    run.claim()
    return run


def nowhere(world: World) -> None:
    """Neither the store nor an object has the value."""
    stored = b"".join(file.read_bytes() for file in world.folder.rglob("*") if file.is_file())
    assert b"hunter" not in stored
    assert "hunter" not in json.dumps(world.cluster.every(RUNS))


async def kept(gateway: Running) -> list[Any]:
    async with gateway.gateway.process.database.read() as tx:
        return list((await tx.execute(select(sealed_secrets))).all())


async def test_the_agent_gets_it_and_nobody_else_sees_it(world: World) -> None:
    async with receiving() as receiver, world.gateway() as gateway:
        text = f'{{"n": 1.00, "key": {json.dumps(VALUE)}, "more": ["hunter3", "hunter2"]}}'
        shown = await create(gateway, text, webhook=receiver.url)
        assert shown["input"] == {"n": 1.0, "key": HIDDEN, "more": [HIDDEN, HIDDEN]}
        run = made(world)
        # The rest of the input is kept to the letter.
        assert run.now["spec"]["inputJSON"].startswith('{"n":1.00,"key":"mayfly-secret:')
        nowhere(world)
        async with run.dial(gateway) as agent:
            await agent.hello()
            work = await agent.start()
            assert json.loads(work["inputJSON"]) == {
                "n": 1.0,
                "key": VALUE,
                "more": ["hunter3", "hunter2"],
            }
            assert len(await kept(gateway)) == 3
            nowhere(world)
            async with gateway.client() as reader:
                one = (await reader.get(f"/v1/predictions/{run.id}")).json()
                every = (await reader.get(f"/ns/{NAMESPACE}/v1/predictions")).json()
                tree = (await reader.get(f"/v1/predictions/{run.id}/tree")).json()
            for each in (one, every["results"][0], tree["predictions"][0]):
                assert each["input"] == shown["input"]
            await agent.end()
        calls = await receiver.until(lambda calls: any(each.event == "completed" for each in calls))
        assert all(call.json["input"] == shown["input"] for call in calls)
        row = await gateway.closed(run.uid)
        assert "mayfly-secret:" in row.input_json
        assert await kept(gateway) == []
    nowhere(world)


async def test_a_gateway_that_starts_again_still_has_it(world: World) -> None:
    async with world.gateway() as gateway:
        await create(gateway, given())
    run = made(world)
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        work = await agent.start()
        assert json.loads(work["inputJSON"]) == {"key": VALUE}
    nowhere(world)


async def test_a_gateway_that_died_before_it_knew_the_uid_still_has_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        raise RuntimeError("the process ends here")

    async with world.gateway() as gateway:
        monkeypatch.setattr("mayfly.gateway.secrets.sealed.Sealed.bind", never)
        async with gateway.client() as caller:
            answer = await caller.post(PREDICTIONS, content=f'{{"input": {given()}}}')
            assert answer.status_code == 500
        monkeypatch.undo()
        assert [row.prediction_uid for row in await kept(gateway)] == [None]
    run = made(world)
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        work = await agent.start()
        assert json.loads(work["inputJSON"]) == {"key": VALUE}
        assert [row.prediction_uid for row in await kept(gateway)] == [run.uid]


async def test_a_large_input_keeps_it_out_of_its_file(world: World) -> None:
    world.schema({**INPUT, "properties": {**INPUT["properties"], "text": {"type": "string"}}})
    async with world.gateway() as gateway:
        await create(gateway, given(text="x" * 20_000))
        run = made(world)
        assert "inputFrom" in run.now["spec"]
        nowhere(world)
        async with run.dial(gateway) as agent:
            await agent.hello()
            work = await agent.start()
    assert json.loads(work["inputJSON"]) == {"key": VALUE, "text": "x" * 20_000}


async def test_a_name_that_comes_twice_leaves_neither_behind(world: World) -> None:
    async with world.gateway() as gateway:
        await create(gateway, '{"key": "hunter-first", "k\\u0065y": "hunter-last"}')
        nowhere(world)
        run = made(world)
        async with run.dial(gateway) as agent:
            await agent.hello()
            work = await agent.start()
    assert json.loads(work["inputJSON"]) == {"key": "hunter-last"}


async def test_a_child_that_a_run_makes(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.working(gateway, written=True):
        token = run_tokens.mint(KEY, NAMESPACE, parent.uid)
        shown = await create(gateway, given(), token)
        assert shown["parent"] == parent.id
        assert shown["input"] == {"key": HIDDEN}
        (body,) = [each for each in world.cluster.every(RUNS) if each["spec"].get("parentRef")]
        child = Run(world, body)
        child.depth, child.root = 2, parent.root
        child.claim()
        nowhere(world)
        async with child.dial(gateway) as agent:
            await agent.hello()
            work = await agent.start()
            assert json.loads(work["inputJSON"]) == {"key": VALUE}
            await agent.end()
        assert await kept(gateway) == []


async def test_a_reference_beside_it_is_read_as_ever(world: World) -> None:
    reference = {"secretKeyRef": {"name": "nothing", "key": "api"}}
    async with world.gateway() as gateway:
        shown = await create(gateway, given(more=[reference]))
        assert shown["input"] == {"key": HIDDEN, "more": [reference]}
        run = made(world)
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.expect("retire")
            status = await run.finished()
        await gateway.closed(run.uid)
        assert await kept(gateway) == []
    assert "kubectl create role mayfly-secret-nothing" in status["error"]


async def refused(gateway: Running, run: Run) -> str:
    async with run.dial(gateway) as agent:
        await agent.hello()
        await agent.expect("retire")
        status = await run.finished()
    assert run.condition("Succeeded")["reason"] == "SecretUnavailable"
    return str(status["error"])


async def test_another_run_that_names_its_reference_is_refused_in_words(world: World) -> None:
    async with world.gateway() as gateway:
        await create(gateway, given())
        (body,) = world.cluster.every(RUNS)
        thief = world.claimed("thief", inputJSON=body["spec"]["inputJSON"])
        error = await refused(gateway, thief)
        assert "belongs to another prediction" in error
        assert len(await kept(gateway)) == 1


async def test_another_run_with_its_name_is_refused_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        raise RuntimeError("the process ends here")

    async with world.gateway() as gateway:
        monkeypatch.setattr("mayfly.gateway.secrets.sealed.Sealed.bind", never)
        async with gateway.client() as caller:
            await caller.post(PREDICTIONS, content=f'{{"input": {given()}}}')
        monkeypatch.undo()
        (body,) = world.cluster.every(RUNS)
        world.cluster.remove(RUNS, NAMESPACE, body["metadata"]["name"])
        spec = {**body["spec"], "pipelineRef": {"name": "answer"}}
        thief = world.claimed(body["metadata"]["name"], **spec)
        error = await refused(gateway, thief)
    assert "belongs to another prediction" in error


async def test_with_another_signing_key_the_run_ends_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.gateway() as gateway:
        await create(gateway, given())
    run = made(world)
    monkeypatch.setattr(
        "support.gateway.world.KEY", SigningKey(b"another key, of 32 bytes or so..")
    )
    async with world.gateway() as gateway:
        assert "give the secret itself" in await refused(gateway, run)
        await gateway.closed(run.uid)
        assert await kept(gateway) == []


async def test_a_run_that_the_cluster_refuses_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> Any:
        raise Refused(403, "quota")

    monkeypatch.setattr(world.cluster, "create", refuse)
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(PREDICTIONS, content=f'{{"input": {given()}}}')
        assert answer.status_code == 403
        assert await kept(gateway) == []
    nowhere(world)


async def test_a_run_that_ends_before_it_has_a_pod_leaves_nothing_behind(world: World) -> None:
    async with world.gateway() as gateway:
        await create(gateway, given())
        (body,) = world.cluster.every(RUNS)
        run = Run(world, body)
        run.end_by_controller("QueueDeadlineExceeded")
        await gateway.closed(run.uid)
        assert await kept(gateway) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"key": 7}', "is a secret: a PipelineRun is readable"),
        ('{"key": {"secret": "hunter"}}', "is a secret and must be"),
        ('{"key": null}', "must not be null"),
        ('{"key": "hunter"}', "must match ^sk-"),
        ('{"key": "sk-' + "x" * 1024 * 1024 + '"}', "more than 1 MiB"),
    ],
)
async def test_a_wrong_one_is_told_and_not_repeated(world: World, text: str, words: str) -> None:
    world.schema({**INPUT, "properties": {"key": {**SECRET, "pattern": "^sk-"}}})
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(PREDICTIONS, content=f'{{"input": {text}}}')
    assert answer.status_code == 422, answer.text
    assert words in answer.text
    assert "hunter" not in answer.text
    assert world.cluster.every(RUNS) == []
