"""Clocks that lie: whatever the pod, the cluster or the gateway's machine takes for the time."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.gateway.world import Running, World

from mayfly.clock import parse_rfc3339, rfc3339, utc_now

DAY = timedelta(days=1)


def stamped(off: timedelta, **rest: Any) -> dict[str, Any]:
    """An agent's stamps: three seconds, by a clock that is off."""
    end = utc_now() + off + timedelta(seconds=4)
    stamps = {"startedAt": rfc3339(end - timedelta(seconds=3)), "completedAt": rfc3339(end)}
    return {**stamps, "activeMs": 3000, **rest}


async def bill(gateway: Running, uid: str) -> tuple[int, list[str]]:
    usage = await gateway.usage(uid)
    assert usage is not None
    return usage["active_ms"], json.loads(usage["flags"])


def moment(text: str) -> datetime:
    return parse_rfc3339(text)


async def test_clocks_that_agree_flag_nothing(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=5)
        await agent.end(**stamped(timedelta()))
        assert await bill(gateway, run.uid) == (3000, [])


@pytest.mark.parametrize("off", [-DAY, DAY])
async def test_a_pod_that_is_a_day_off_is_billed_for_what_it_worked(
    world: World, off: timedelta
) -> None:
    run = world.claimed()
    before = utc_now()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=5)
        await agent.end(**stamped(off))
        assert await bill(gateway, run.uid) == (3000, ["stampsOutsideWindow"])
        status = await run.finished()
    assert status["usage"]["activeMilliseconds"] == 3000
    for stamp in ("startedAt", "completedAt"):
        assert abs(moment(status[stamp]) - before) < DAY / 2


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_a_gateways_clock_that_is_moved_while_a_run_works_changes_no_bill(
    world: World, jump: timedelta
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=5)
        world.clock.jump = jump
        await agent.say("heartbeat", activeMs=2000)
        await agent.end(**stamped(timedelta()))
        assert await bill(gateway, run.uid) == (3000, ["gatewayClockJumped"])


async def test_a_clock_set_back_while_the_gateway_was_away_bills_what_the_pod_measured(
    world: World,
) -> None:
    run = world.claimed(timeout="10s")
    async with world.gateway() as gateway, run.working(gateway, written=True):
        pass
    world.clock.jump = -DAY
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello("done")
        await agent.end(**stamped(timedelta()))
        assert await bill(gateway, run.uid) == (3000, ["gatewayClockJumped"])


async def test_a_pod_that_claims_more_than_there_was_is_billed_for_what_there_was(
    world: World,
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=5)
        await agent.end(**stamped(timedelta(), activeMs=3_600_000))
        active, flags = await bill(gateway, run.uid)
        assert 5000 <= active < 60_000
        assert flags == ["longerThanWindow", "stampsDisagree"]


async def test_a_result_takes_nothing_back_that_a_heartbeat_told(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=10)
        await agent.say("heartbeat", activeMs=5000)
        await agent.end(**stamped(timedelta()))
        assert await bill(gateway, run.uid) == (5000, ["shorterThanHeard"])


LIES = [f"{year}-01-01T00:00:00Z" for year in ("1970", "0001", "2001", "2999")]


@pytest.mark.parametrize("lie", LIES)
async def test_container_times_that_cannot_be_are_neither_shown_nor_billed(
    world: World, lie: str
) -> None:
    run = world.claimed()
    before = utc_now()
    async with world.gateway() as gateway:
        async with run.working(gateway, written=True) as agent:
            world.clock.ahead = timedelta(seconds=10)
            await agent.say("heartbeat", activeMs=5000)
            await gateway.worked(run.uid)
        run.end_by_controller("Lost", completedAt=lie)
        status = await run.finished()
        assert await bill(gateway, run.uid) == (5000, ["containerTimes", "estimated"])
    assert abs(moment(status["completedAt"]) - before) < DAY


async def test_a_pod_killed_before_its_first_heartbeat_is_billed_to_its_containers_end(
    world: World,
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway, written=True):
            pass
        ended = utc_now().replace(microsecond=0) + timedelta(seconds=4)
        world.clock.ahead = timedelta(seconds=60)
        run.end_by_controller("Lost", completedAt=ended.strftime("%Y-%m-%dT%H:%M:%SZ"))
        active, flags = await bill(gateway, run.uid)
        assert 2000 <= active <= 5000
        assert flags == ["estimated"]


async def test_a_start_that_nobody_heard_of_is_free_and_flagged(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.accept()
        await run.until(lambda _: True)
        run.end_by_controller("Lost")
        usage = await gateway.usage(run.uid)
    assert usage is not None
    assert (usage["active_ms"], usage["cost"], usage["started"]) == (0, 0, False)
    assert json.loads(usage["flags"]) == ["unmeasured"]


async def test_a_deleted_run_is_billed_to_its_last_sign_of_life_and_says_so(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=30)
        await agent.say("heartbeat", activeMs=29_000)
        await gateway.worked(run.uid)
        run.delete()
        active, flags = await bill(gateway, run.uid)
        assert 29_000 <= active < 60_000
        assert flags == ["estimated"]


async def test_a_result_that_comes_twice_or_late_changes_no_bill(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        world.clock.ahead = timedelta(seconds=5)
        first = agent.result(**stamped(timedelta()))
        await agent.say("result", **first)
        await agent.expect_last("ack")
        before = await gateway.usage(run.uid)
        world.clock.ahead = timedelta(hours=1)
        for late in (first, agent.result(**stamped(timedelta(), activeMs=60_000))):
            async with run.dial(gateway) as again:
                await again.hello("done")
                await again.say("result", **late)
                await again.expect_last("ack")
        assert await gateway.usage(run.uid) == before
