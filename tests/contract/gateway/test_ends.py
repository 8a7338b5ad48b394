"""Ends that compete, that come late, and that a process did not live to see."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from support.gateway.world import NAMESPACE, World
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.clock import rfc3339, utc_now
from mayfly.kube.errors import Refused, Unavailable
from mayfly.metering import ledger

pytestmark = BOTH


async def test_the_controllers_end_wins_and_the_ledger_copies_it(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:

        def race(_verb: str, _body: dict) -> None:
            world.cluster.on_write = None
            run.end_by_controller("Evicted")

        await run.until(lambda each: each["status"].get("phase") == "Processing")
        world.cluster.on_write = race
        await agent.say("result", **agent.result())
        await agent.expect("ack")
        row = await gateway.row(run.uid)
        usage = await gateway.usage(run.uid)
    assert row is not None
    assert usage is not None
    assert (row.outcome, row.reason, row.closed_by) == ("failed", "Evicted", "controller")
    assert usage["reason"] == "Evicted"
    assert run.status["recorded"] is True
    assert run.status["finished"] is True
    assert run.condition("Succeeded")["reason"] == "Evicted"


async def test_a_conflict_that_is_no_end_is_tried_again(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:

        def race(_verb: str, _body: dict) -> None:
            world.cluster.on_write = None
            run.edit(podName="another word")

        world.cluster.on_write = race
        await agent.say("result", **agent.result())
        await agent.expect("ack")
    assert run.condition("Succeeded")["reason"] == "Succeeded"
    assert run.status["podName"] == "another word"


async def test_an_api_server_that_is_away_is_waited_for(world: World) -> None:
    run = world.claimed()
    failures = 2

    def away(_verb: str, _body: dict) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable(503, "not now")

    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        world.cluster.on_write = away
        await agent.say("result", **agent.result())
        await agent.expect("ack")
    assert run.status["finished"] is True


async def test_an_output_that_the_api_server_refuses_is_left_out(world: World) -> None:
    run = world.claimed()

    def refuse(verb: str, _body: dict) -> None:
        if verb == "PUT":
            raise Refused(422, "status.output: no")

    world.cluster.on_write = refuse
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("result", **agent.result())
        await agent.expect("ack")
    assert run.status["finished"] is True
    assert "output" not in run.status


@pytest.mark.parametrize("at", ["before the write", "after the write"])
async def test_a_restart_between_journal_and_close_loses_nothing(world: World, at: str) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        recorder = gateway.gateway.runs.recorder
        told = []

        async def die(*arguments: object) -> None:
            told.append(arguments)
            raise Unavailable(0, "the process is gone")

        if at == "before the write":
            recorder._statuses.write = die
        else:
            recorder._close = die
        await agent.say("result", **agent.result())
        while not told:
            await agent.say("log", offset=0, data="x")
            await agent.expect("logack")
        row = await gateway.row(run.uid)
        assert row is not None
        assert row.journalled
        assert not row.closed
    assert (run.status.get("finished") is True) == (at == "after the write")
    async with world.gateway() as gateway:
        await run.finished()
        async with run.dial(gateway) as agent:
            await agent.hello("done")
            await agent.say("result", **agent.result())
            await agent.expect("ack")
        row = await gateway.row(run.uid)
        usage = await gateway.usage(run.uid)
        assert row is not None
        assert usage is not None
        assert (row.outcome, row.closed_by) == ("succeeded", "gateway")
        assert row.output == '{"answer": 42.0}'


@pytest.mark.parametrize("in_time", [True, False])
async def test_who_saw_the_end_on_the_object_reads_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    """The ledger's row is closed after the object is written: soon, or when the disk has room."""
    close, may_close = ledger.close, asyncio.Event()

    async def held(*arguments: Any, **named: Any) -> Decimal:
        await may_close.wait()
        return await close(*arguments, **named)

    monkeypatch.setattr(ledger, "close", held)
    run = world.claimed()
    path = f"/v1/predictions/{run.id}"
    async with (
        world.gateway() as gateway,
        gateway.client() as reader,
        run.working(gateway) as agent,
    ):
        await agent.say("result", **agent.result())
        await run.finished()
        reading = asyncio.create_task(reader.get(path))
        if in_time:
            await asyncio.sleep(0.2)
            assert not reading.done()
            may_close.set()
        shown = (await reading).json()
        assert (shown["status"], shown["output"]) == ("succeeded", {"answer": 42.0})
        assert (await reader.get(f"{path}/output")).text == '{"answer": 42.0}'
        billed = (await reader.get(f"/v1/usage/{run.id}")).status_code
        assert billed == (200 if in_time else 404)
        may_close.set()
        await agent.expect("ack")
        again = (await reader.get(path)).json()
        assert {key for key in shown if again[key] != shown[key]} <= {"urls"}  # links expire
        assert (await reader.get(f"/v1/usage/{run.id}")).json()["cost"] == shown["cost"]


async def test_an_end_that_the_object_did_not_take_yet_does_not_show(world: World) -> None:
    run = world.claimed()

    def away(_verb: str, _body: dict) -> None:
        raise Unavailable(503, "not now")

    async with (
        world.gateway() as gateway,
        gateway.client() as reader,
        run.working(gateway, written=True) as agent,
    ):
        world.cluster.on_write = away
        await agent.say("result", **agent.result())
        async for _ in looks():
            if (row := await gateway.row(run.uid)) and row.journalled:
                break
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert (shown["status"], shown["output"]) == ("processing", None)
        world.cluster.on_write = None
        await agent.expect("ack")
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert shown["status"] == "succeeded"


async def test_a_result_that_comes_after_the_controllers_end_is_acknowledged(
    world: World,
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        run.end_by_controller("Lost")
        await run.finished()
        # It works for nobody now, so it is told to stop.
        assert (await agent.expect("cancel"))["run"] == run.uid
        await agent.say("result", **agent.result())
        await agent.expect("ack")
        row = await gateway.row(run.uid)
        assert row is not None
        assert row.reason == "Lost"


async def test_a_lost_run_is_billed_to_its_last_heartbeat(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.say("output", index=0, value="partial")
            world.clock.ahead = timedelta(seconds=30)
            await agent.say("heartbeat", activeMs=5000)
            await agent.say("heartbeat", activeMs=4000)
            await agent.say("log", offset=0, data="x")
            await agent.expect("logack")
        run.end_by_controller("OutOfMemory")
        status = await run.finished()
        assert status["usage"]["activeMilliseconds"] == 5000
        assert status["usage"]["cost"] == "0.000125"
        assert status["output"] == ["partial"]
        assert status["logsTail"] == "x"
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["active_ms"] == 5000


async def test_an_end_from_a_termination_message_is_billed_by_its_own_stamps(
    world: World,
) -> None:
    run = world.claimed()
    began = utc_now()
    async with world.gateway():
        world.clock.ahead = timedelta(seconds=30)  # what is told of has passed
        run.end_by_controller(
            "UserError",
            startedAt=rfc3339(began),
            completedAt=rfc3339(began + timedelta(milliseconds=1500)),
        )
        status = await run.finished()
    assert status["usage"]["activeMilliseconds"] == 1500


async def test_a_childs_file_in_a_termination_message_is_a_link_of_the_readers_own(
    world: World,
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        file = await gateway.gateway.files.store.put_text("mine", namespace=NAMESPACE)
        inside = f"{world.config().internal_url}/v1/files/{file.id}/download/a.txt?expires=1"
        run.end_by_controller("Exited", output={"file": inside})
        assert (await run.finished())["output"] == {"file": file.reference}
        await gateway.closed(run.uid)
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert (await reader.get(shown["output"]["file"])).text == "mine"


async def test_a_refused_run_is_recorded_at_zero(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway:
        run.end_by_controller("Refused")
        status = await run.finished()
        assert status["usage"]["totalCost"] == "0"
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["started"] is False
        assert usage["cost"] == 0
    assert dict(world.cluster.writes) == {("PATCH", "pipelineruns"): 1}


async def test_a_run_deleted_while_it_runs_is_closed_and_stopped(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("log", offset=0, data="x")
        await agent.expect("logack")
        world.clock.ahead = timedelta(seconds=30)
        run.delete()
        assert (await agent.expect("cancel"))["run"] == run.uid
        usage = await gateway.usage(run.uid)
        assert usage is not None
        # It worked until then: no heartbeat is needed to know, as its agent is connected.
        assert usage["outcome"] == "canceled"
        assert 30_000 <= usage["active_ms"] < 60_000
        await agent.say("result", **agent.result(outcome="canceled", reason="Canceled"))
        await agent.expect("ack")
        async with gateway.client() as reader:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert shown["status"] == "canceled"
        assert shown["error"] is None


async def test_a_run_deleted_while_the_gateway_is_away_is_closed(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        world.clock.ahead = timedelta(seconds=30)
        await agent.say("heartbeat", activeMs=7000)
        await agent.say("log", offset=0, data="x")
        await agent.expect("logack")
    run.delete()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello("running")
        assert (await agent.expect("cancel"))["run"] == run.uid
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["active_ms"] >= 7000


async def test_a_run_deleted_between_journal_and_write_keeps_its_end(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:

        def race(_verb: str, _body: dict) -> None:
            world.cluster.on_write = None
            run.delete()

        world.cluster.on_write = race
        await agent.say("result", **agent.result())
        await agent.expect("ack")
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["outcome"] == "succeeded"


@pytest.mark.parametrize("forget", [False, True])
async def test_a_watch_that_breaks_misses_nothing(world: World, forget: bool) -> None:
    run = world.claimed()
    other = world.run("other")
    async with world.gateway() as gateway, run.working(gateway, written=True) as agent:
        world.cluster.break_watches(forget=forget)
        run.delete()
        assert (await agent.expect("cancel"))["run"] == run.uid
        other.claim()
        async with other.dial(gateway) as second:
            await second.hello()
            await second.accept()
