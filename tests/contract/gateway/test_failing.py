"""Runs at which the gateway itself fails, at any place: told in words, ended once, billed, free."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.gateway.world import NAMESPACE, Running, World
from support.waiting import looks

from mayfly.gateway.lifecycle import deliveries
from mayfly.kube.kinds import RUNS
from mayfly.reconcile.failing import END_SECONDS

LATER = timedelta(seconds=END_SECONDS + 1)


async def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("it is\x1b broken\nand more")


def internal_errors(gateway: Running, part: str) -> float:
    registry = gateway.gateway.metrics.counters.registry
    return registry.get_sample_value("mayfly_internal_errors_total", {"part": part}) or 0.0


async def told(run: Any, kind: str = "Started") -> str:
    def tells(each: dict) -> bool:
        conditions = each.get("status", {}).get("conditions", [])
        return any(c["type"] == kind and c["reason"] == "InternalError" for c in conditions)

    await run.until(tells)
    return str(run.condition(kind)["message"])


@pytest.mark.parametrize(
    ("room", "part", "method"),
    [
        ("runs.dispatcher", "_opener", "open"),
        ("runs.dispatcher", "_gatherer", "view"),
        ("runs.dispatcher", "_budgets", "why_no_run"),
        ("runs.dispatcher", "_programs", "program"),
    ],
)
async def test_a_run_that_cannot_be_handled_says_so_and_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, room: str, part: str, method: str
) -> None:
    async with world.gateway() as gateway:
        target: Any = gateway.gateway
        for name in (*room.split("."), part):
            target = getattr(target, name)
        monkeypatch.setattr(target, method, broken)
        run = world.claimed()
        async with run.dial(gateway) as agent:
            await agent.hello()
            words = await told(run)
            assert r"ZeroDivisionError: it is\x1b broken" in words
            assert "The log of mayfly-gateway" in words
            world.clock.ahead = LATER
            status = await run.finished()
            usage = await gateway.usage(run.uid)
            while (await agent.receive())["type"] not in {"retire", "cancel"}:
                pass
        assert run.condition("Succeeded")["reason"] == "InternalError"
        assert "ZeroDivisionError" in status["error"]
        assert usage is not None
        assert (usage["reason"], usage["outcome"]) == ("InternalError", "failed")
        assert internal_errors(gateway, "runs") >= 5


async def test_a_main_that_runs_keeps_its_result(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        monkeypatch.setattr(gateway.gateway.runs.dispatcher._gatherer, "view", broken)
        gateway.gateway.runs.workqueue.add(run.uid)
        await told(run, "Succeeded")
        world.clock.ahead = LATER
        gateway.gateway.runs.workqueue.add(run.uid)
        await agent.say("result", **agent.result())
        await agent.expect_last("ack")
        await run.finished()
        usage = await gateway.usage(run.uid)
    assert run.condition("Succeeded")["reason"] == "Succeeded"
    assert usage is not None
    assert usage["outcome"] == "succeeded"


async def test_without_a_bill_the_object_still_ends_and_the_bill_comes_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        recorder = gateway.gateway.runs.recorder
        with monkeypatch.context() as patched:
            patched.setattr(gateway.gateway.runs.dispatcher._gatherer, "view", broken)
            patched.setattr(recorder, "_bill", broken)
            gateway.gateway.runs.workqueue.add(run.uid)
            await told(run)
            world.clock.ahead = LATER
            gateway.gateway.runs.workqueue.add(run.uid)
            await run.until(lambda each: each["status"].get("phase") == "Failed")
            assert "recorded" not in run.status
        gateway.gateway.runs.workqueue.add(run.uid)
        status = await run.finished()
        usage = await gateway.usage(run.uid)
    assert status["recorded"] is True
    assert usage is not None
    assert usage["reason"] == "InternalError"


async def test_a_run_whose_spec_cannot_be_read_ends(world: World) -> None:
    async with world.gateway() as gateway:
        run = world.run()
        # As an older version of the kind might have let it in.
        world.cluster.edit(
            RUNS, NAMESPACE, run.name, lambda body: body["spec"].update(timeout="1000000h")
        )
        run.claim()
        assert "timeout" in await told(run)
        world.clock.ahead = LATER
        await run.finished()
        usage = await gateway.usage(run.uid)
    assert usage is not None
    assert usage["reason"] == "InternalError"


async def test_a_webhook_at_which_the_gateway_fails_is_given_up_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.gateway() as gateway:
        webhooks = gateway.gateway.predictions.webhooks
        monkeypatch.setattr(webhooks, "_predictions", None)
        run = world.claimed(webhook={"url": "http://hooks.example/x"})
        async for _ in looks():
            if internal_errors(gateway, "webhooks") >= 3:
                break
        world.clock.ahead = LATER
        webhooks.expect(run.uid)
        webhooks.expect(run.uid)

        async def words() -> str:
            async with gateway.gateway.process.database.read() as tx:
                owed = await deliveries.find(tx, run.uid)
            return owed.error if owed is not None else ""

        async for _ in looks():
            if await words():
                break
        assert "AttributeError" in await words()
