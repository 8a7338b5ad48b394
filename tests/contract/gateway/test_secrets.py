"""Secrets on their way: from the API server into `work`, and nowhere else."""

import base64
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.gateway.world import NAMESPACE, World
from support.servers.postgresql import BOTH

from mayfly.kube.errors import Unavailable
from mayfly.kube.kinds import PIPELINES, SECRETS, VERSIONS

pytestmark = BOTH
VALUE = "hunter2-\u00e9"
SOURCE = """
from cog import Secret

def main(key: Secret, more: list[Secret] = [], n: float = 1.0): ...
"""
REF = {"secretKeyRef": {"name": "tokens", "key": "api"}}


def add_secret(world: World, name: str = "tokens", *, readable: bool = True, **data: Any) -> None:
    encoded = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in (data or {"api": VALUE}).items()
    }
    world.cluster.add(
        SECRETS, {"metadata": {"name": name, "namespace": NAMESPACE}, "data": encoded}
    )
    if readable:
        world.cluster.readable.add((NAMESPACE, name))


def give(world: World, *secrets: tuple[str, str, str]) -> None:
    """Set `spec.secrets` of the Pipeline."""

    def change(body: dict[str, Any]) -> None:
        body["spec"]["secrets"] = [
            {"env": env, "secretKeyRef": {"name": name, "key": key}} for env, name, key in secrets
        ]

    world.cluster.edit(PIPELINES, NAMESPACE, "answer", change)


def taking(**given: Any) -> dict[str, Any]:
    """The spec of a run of a source of its own that takes secrets."""
    return {
        "pipelineRef": None,
        "pipelineSpec": {"source": {"inline": SOURCE}},
        "inputJSON": json.dumps(given),
    }


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of it holds the value, whatever the level."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert "hunter" not in caplog.text


def stored(folder: Path) -> bytes:
    """All that the gateway keeps."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_a_pipelines_secrets(world: World, everything_logged: None) -> None:
    add_secret(world)
    give(world, ("API_KEY", "tokens", "api"), ("AGAIN", "tokens", "api"))
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        work = await agent.start()
        assert work["secrets"] == {"API_KEY": VALUE, "AGAIN": VALUE}
        assert work["inputJSON"] == '{"b": 1.0, "a": 12345678901234567890}'
        assert world.cluster.reads["secrets"] == 1
        await agent.say("result", **agent.result())
        await agent.expect("ack")
        async with gateway.client() as reader:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).text
    assert "hunter" not in shown
    assert "hunter" not in json.dumps(run.now)
    assert b"hunter" not in stored(world.folder)


async def test_secret_inputs(world: World, everything_logged: None) -> None:
    add_secret(world, api=VALUE, other="second")
    other = {"secretKeyRef": {"name": "tokens", "key": "other"}}
    run = world.claimed(**taking(key=REF, more=[other, REF], n=2.0))
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        work = await agent.start()
        assert work["inputJSON"] == f'{{"key":"{VALUE}","more":["second","{VALUE}"],"n":2.0}}'
        assert work["secrets"] == {}
        await agent.say("result", **agent.result())
        await agent.expect("ack")
        async with gateway.client() as reader:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        row = await gateway.row(run.uid)
    assert shown["input"] == {"key": REF, "more": [other, REF], "n": 2.0}
    assert row is not None
    assert json.loads(row.input_json) == shown["input"]
    assert b"hunter" not in stored(world.folder)


async def test_a_large_input_that_names_secrets(world: World) -> None:
    add_secret(world)
    text = json.dumps({"key": REF, "n": 2.0})
    async with world.gateway() as gateway:

        async def body() -> Any:
            yield text.encode()

        kept = await gateway.gateway.files.store.put(
            body(),
            namespace=NAMESPACE,
            run_uid="",
            name="input.json",
            content_type=None,
            announced=None,
        )
        summed = hashlib.sha256(text.encode()).hexdigest()
        spec = {**taking(), "inputFrom": {"file": kept.reference, "sha256": summed}}
        run = world.claimed(**{**spec, "inputJSON": None})
        async with run.dial(gateway) as agent:
            await agent.hello()
            work = await agent.accept()
    assert "inputURL" not in work
    assert json.loads(work["inputJSON"]) == {"key": VALUE, "n": 2.0}


async def test_a_run_without_secrets_reads_none(world: World) -> None:
    run = world.claimed(**taking())
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        work = await agent.accept()
    assert work["inputJSON"] == "{}"
    assert not world.cluster.reads["secrets"]


async def ends_without_a_start(world: World, **spec: Any) -> str:
    """The words of the end."""
    run = world.claimed(**spec)
    async with world.gateway() as gateway:
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.expect("retire")
            status = await run.finished()
            usage = await gateway.usage(run.uid)
            row = await gateway.row(run.uid)
        async with run.dial(gateway) as agent:
            assert await agent.closed() == 4409
    assert run.condition("Succeeded")["reason"] == "SecretUnavailable"
    assert run.condition("Started")["reason"] == "NotStarted"
    assert status["phase"] == "Failed"
    assert status["usage"]["totalCost"] == "0"
    assert usage is not None
    assert usage["started"] is False
    assert row is not None
    assert row.outcome == "failed"
    assert row.sent_at is None
    assert status["error"] == run.condition("Succeeded")["message"]
    return str(status["error"])


async def test_one_that_the_gateway_may_not_read(world: World, everything_logged: None) -> None:
    add_secret(world, readable=False)
    give(world, ("API_KEY", "tokens", "api"))
    assert await ends_without_a_start(world) == (
        'The gateway may not read Secret "tokens" in namespace team (key "api"); to allow it, run: '
        "kubectl create role mayfly-secret-tokens -n team --verb=get --resource=secrets "
        "--resource-name=tokens && kubectl create rolebinding mayfly-secret-tokens -n team "
        "--role=mayfly-secret-tokens --serviceaccount=mayfly-system:mayfly-gateway"
    )


async def test_one_that_is_not_there(world: World) -> None:
    world.cluster.readable.add((NAMESPACE, "tokens"))
    error = await ends_without_a_start(world, **taking(key=REF))
    assert error.startswith('There is no Secret "tokens" in namespace team (key "api")')
    assert "kubectl create secret generic tokens -n team --from-literal=api=VALUE" in error


async def test_a_key_that_is_not_there(world: World) -> None:
    add_secret(world, other="x")
    error = await ends_without_a_start(world, **taking(key=REF))
    assert error.startswith('Secret "tokens" in namespace team has no key "api"')
    assert """kubectl patch secret tokens -n team -p '{"stringData": {"api": "VALUE"}}'""" in error
    assert "other" not in error


@pytest.mark.parametrize(
    ("value", "words"),
    [(b"\xff\xfe", "is not text"), (b"a\0b", "is not text"), (b"x" * 65_537, "more than 64 KiB")],
)
async def test_one_that_no_process_could_take(world: World, value: bytes, words: str) -> None:
    add_secret(world, api=value)
    assert words in await ends_without_a_start(world, **taking(key=REF))


async def test_too_many(world: World) -> None:
    add_secret(world, api="x" * 65_536)
    error = await ends_without_a_start(world, **taking(key=REF, more=[REF] * 16))
    assert "more than 1 MiB together" in error


async def test_a_reference_that_leads_elsewhere(world: World) -> None:
    bad = {"secretKeyRef": {"name": "../../other/secrets/x", "key": "api"}}
    error = await ends_without_a_start(world, **taking(key=bad))
    assert "not the name of a Secret" in error
    assert not world.cluster.reads["secrets"]


async def test_another_namespaces_pipeline_gives_nothing(world: World) -> None:
    add_secret(world)
    body = world.cluster.now(PIPELINES, NAMESPACE, "answer")
    reference = {"name": "tokens", "key": "api"}
    spec = {**body["spec"], "secrets": [{"env": "API_KEY", "secretKeyRef": reference}]}
    world.cluster.add(
        PIPELINES, {"metadata": {"name": "answer", "namespace": "other"}, "spec": spec}
    )
    run = world.claimed(pipelineRef={"name": "answer", "namespace": "other"}, inputJSON="{}")
    version = world.cluster.now(VERSIONS, NAMESPACE, "answer-" + "c" * 10)
    world.cluster.add(
        VERSIONS,
        {"metadata": {"name": version["metadata"]["name"], "namespace": "other"},
         "spec": version["spec"]},
    )  # fmt: skip
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        work = await agent.accept()
    assert work["secrets"] == {}
    assert not world.cluster.reads["secrets"]


async def test_an_api_server_that_is_away_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_secret(world)
    give(world, ("API_KEY", "tokens", "api"))
    real, failures = world.cluster.get, 2

    async def get(kind: Any, namespace: str | None, name: str) -> Any:
        nonlocal failures
        if kind is SECRETS and failures:
            failures -= 1
            raise Unavailable(503, "not now")
        return await real(kind, namespace, name)

    monkeypatch.setattr(world.cluster, "get", get)
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        assert (await agent.accept())["secrets"] == {"API_KEY": VALUE}
    assert not failures


async def test_a_cancel_while_the_secrets_are_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_secret(world)
    give(world, ("API_KEY", "tokens", "api"))
    run = world.claimed()
    real = world.cluster.get

    async def get(kind: Any, namespace: str | None, name: str) -> Any:
        if kind is SECRETS:
            run.cancel()
            await run.until(lambda each: each["status"].get("conditions"))
        return await real(kind, namespace, name)

    monkeypatch.setattr(world.cluster, "get", get)
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        message = await agent.receive()
        if message["type"] == "work":  # the gateway's watch was slower
            assert (await agent.expect("cancel"))["run"] == run.uid
        else:
            assert message["type"] == "retire"
            assert (await run.finished())["phase"] == "Canceled"
