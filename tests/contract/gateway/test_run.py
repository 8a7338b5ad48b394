"""A run from its claim to its end, over a real connection."""

import json
from decimal import Decimal

import pytest
from support.gateway.world import World
from support.waiting import looks

from mayfly.clock import rfc3339, utc_now
from mayfly.kube.kinds import RUNS


async def test_a_claimed_run_is_sent_recorded_and_acknowledged(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        assert await agent.hello() == {
            "type": "welcome",
            "logOffset": 0,
            "outputIndex": 0,
            "recorded": False,
        }
        work = await agent.accept()
        assert work["run"] == run.uid
        assert work["id"] == run.id
        assert work["files"] == {"main.py": "def main():\n    return 42.0\n"}
        assert work["inputJSON"] == '{"b": 1.0, "a": 12345678901234567890}'
        assert work["schema"]["openapi"] == "3.0.2"
        assert work["timeoutMs"] == 1_800_000
        assert 0 < work["startWithinMs"] <= 300_000
        assert work["limits"]["outputBytes"] == 6 * 1024**2
        result = agent.result(activeMs=0)
        await agent.say("started", attempt=1, at=result["startedAt"])
        await agent.say("log", offset=0, data="hällo\n")
        assert await agent.expect("logack") == {"type": "logack", "offset": 7}
        await agent.say("result", **result)
        assert await agent.expect("ack") == {"type": "ack", "run": run.uid, "attempt": 1}

        status = run.status
        assert status["recorded"] is True
        assert status["finished"] is True
        assert status["phase"] == "Succeeded"
        assert status["output"] == {"answer": 42.0}
        assert status["logsTail"] == "hällo\n"
        assert status["outputURL"].endswith(f"/v1/predictions/{run.id}/output")
        assert status["usage"] == {
            "activeMilliseconds": 0,
            "cost": "0.01",
            "downstreamCost": "0",
            "totalCost": "0.01",
            "currency": "USD",
            "final": True,
        }
        assert run.condition("Succeeded")["status"] == "True"
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["cost"] == Decimal("0.01")
        row = await gateway.row(run.uid)
        assert row is not None
        assert row.closed
        assert row.runtime_digest.startswith("registry.example/")
        assert row.output == '{"answer": 42.0}'


async def test_the_end_takes_one_status_write(world: World) -> None:
    world.limits["startedWriteMs"] = 3_600_000
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("result", **agent.result())
        await agent.expect("ack")
    assert dict(world.cluster.writes) == {("PUT", "pipelineruns"): 1}


async def test_a_run_that_lasts_is_marked_started(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway):
        body = await run.until(lambda each: each["status"].get("phase") == "Processing")
        assert body["status"]["startedAt"]
        assert run.condition("Started")["status"] == "True"


async def test_a_claim_that_comes_after_the_connection_is_served(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        run.claim()
        assert (await agent.expect("work"))["run"] == run.uid


async def test_nulls_of_an_output_survive(world: World) -> None:
    run = world.claimed()
    output = '{"a": null, "b": [null, 1.50]}'
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("result", **agent.result(outputJSON=output))
        await agent.expect("ack")
        assert run.status["output"] == {"a": None, "b": [None, 1.5]}
        async with gateway.client() as reader:
            assert (await reader.get(f"/v1/predictions/{run.id}/output")).text == output


async def test_a_large_output_is_kept_exactly_and_not_copied(world: World) -> None:
    run = world.claimed()
    output = json.dumps(["\U0001f41d <&>" * 4000])
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("result", **agent.result(outputJSON=output))
        await agent.expect("ack")
        assert "output" not in run.status
        async with gateway.client() as reader:
            assert (await reader.get(f"/v1/predictions/{run.id}/output")).text == output


async def test_a_failure_keeps_its_partial_output_and_is_billed_for_time_only(
    world: World,
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("output", index=0, value="a")
        await agent.say("output", index=1, value=1.0)
        await agent.say("output", index=0, value="a")
        async with gateway.client() as reader:
            failed = agent.result(
                outcome="failed",
                reason="UserError",
                error="ValueError: no",
                outputJSON=None,
                activeMs=10**9,
            )
            await agent.say("result", **failed)
            await agent.expect("ack")
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert shown["status"] == "failed"
        assert shown["output"] == ["a", 1.0]
        assert shown["error"] == "ValueError: no"
        row = await gateway.row(run.uid)
        assert row is not None
        assert row.sent_at is not None
        assert row.completed_at is not None
        # No more than the time since the work was sent, whatever the agent says.
        assert row.active_ms < 20_000
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["cost"] < 1
    assert run.status["error"] == "ValueError: no"
    assert run.condition("Succeeded")["reason"] == "UserError"


async def test_an_output_that_is_no_json_fails_the_run(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("result", **agent.result(outputJSON="[NaN]"))
        await agent.expect("ack")
    assert run.condition("Succeeded")["reason"] == "OutputNotJSON"
    assert "output" not in run.status


async def test_a_result_that_comes_twice_is_recorded_once(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("result", **agent.result())
        await agent.expect("ack")
        before = world.cluster.writes.total()
        await agent.say("result", **agent.result(outcome="failed", reason="UserError"))
        await agent.expect("ack")
        assert world.cluster.writes.total() == before
        row = await gateway.row(run.uid)
        assert row is not None
        assert row.outcome == "succeeded"


async def test_an_agent_has_no_say_in_depth_and_lineage(world: World) -> None:
    run = world.claimed()
    root = {"name": run.name, "uid": run.uid}
    forged = {"depth": 0, "rootRef": {"name": "x", "uid": "y"}, "parent": "z", "id": "0" * 26}
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        await agent.say("log", offset=0, data="x", **forged)
        await agent.say("heartbeat", activeMs=1, **forged)
        await agent.say("result", **agent.result(**forged, status=forged))
        while (await agent.receive())["type"] != "ack":
            continue
        row = await gateway.row(run.uid)
        assert row is not None
        assert (row.id, row.depth, row.root_uid, row.parent_uid) == (run.id, 1, run.uid, None)
    assert (run.status["id"], run.status["depth"], run.status["rootRef"]) == (run.id, 1, root)


async def test_an_input_object_and_no_input_become_text(world: World) -> None:
    plain = world.claimed("plain", inputJSON="{}")

    def change(body: dict) -> None:
        del body["spec"]["inputJSON"]

    world.cluster.edit(RUNS, "team", "plain", change)
    async with world.gateway() as gateway, plain.dial(gateway) as agent:
        await agent.hello()
        assert (await agent.expect("work"))["inputJSON"] == "{}"


def lost(body: dict) -> bool:
    return any(each["reason"] == "ClaimLost" for each in body["status"]["conditions"])


@pytest.mark.parametrize("when", ["before the claim", "with the work", "the gateway restarts"])
async def test_a_run_gets_another_pod_if_its_pods_agent_leaves_without_it(
    world: World, when: str
) -> None:
    run = world.run()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        if when == "with the work":
            run.claim()
            await agent.expect("work")
        await agent.send("leaving")
        if when == "before the claim":
            run.claim()
        if when != "the gateway restarts":
            await run.until(lost)
        else:
            # What was told last is stored before the connection is closed.
            await agent.connection.close()
    if when == "the gateway restarts":
        run.claim()
    async with world.gateway() as gateway:
        await run.until(lost)
        # It never gets the work, even if it comes back.
        async with run.dial(gateway) as agent:
            assert await agent.closed() == 4409
        run.new_pod()
        run.claim(attempt=2)
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.accept()
            await agent.say("started", attempt=2, at=rfc3339(utc_now()))
            await agent.end(attempt=2)
        await run.finished()
        usage = await gateway.usage(run.uid)
    assert (usage["outcome"], usage["active_ms"]) == ("succeeded", 3)


async def test_work_that_no_agent_says_a_word_about_is_in_the_ledger_soon(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        run.claim()
        await agent.expect("work")
        async for _ in looks():
            row = await gateway.row(run.uid)
            if row is not None and row.sent_at is not None:
                break
    assert (row.pod_uid, row.attempt, row.started_at) == (run.pod_uid, 1, None)


@pytest.mark.parametrize("first", ["started", "result"])
async def test_the_first_word_of_another_pods_agent_is_of_that_pod(
    world: World, first: str
) -> None:
    """However soon it comes after the work: the row knows the pod, and its agent is answered."""
    run = world.run()
    async with world.gateway() as gateway:
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.send("leaving")
            run.claim()
            await run.until(lost)
        run.new_pod()
        async with run.dial(gateway) as agent:
            await agent.hello()
            run.claim(attempt=2)
            await agent.accept()
            if first == "started":
                await agent.say("started", attempt=2, at=rfc3339(utc_now()))
            await agent.end(attempt=2)
        await run.finished()
        row = await gateway.closed(run.uid)
    assert (row.pod_uid, row.attempt, row.outcome) == (run.pod_uid, 2, "succeeded")
    assert row.sent_at is not None


async def test_a_cancelled_run_whose_pods_agent_has_left_ends_and_gets_no_other(
    world: World,
) -> None:
    run = world.run()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.send("leaving")
        run.claim()
        run.cancel()
        await run.finished()
    assert run.condition("Succeeded")["reason"] == "Canceled"


async def test_an_agent_with_a_run_does_not_leave(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        await agent.send("leaving")
        assert await agent.closed() == 1007
    assert not lost(run.now)


async def test_a_pod_that_has_another_run_loses_the_claim(world: World) -> None:
    first = world.claimed("first")
    second = world.run("second")
    async with world.gateway() as gateway, first.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        second.claim(pod_uid=first.pod_uid)
        await second.until(
            lambda each: any(c["reason"] == "ClaimLost" for c in each["status"]["conditions"])
        )
        assert first.condition("Started")["reason"] == "PodPending"
