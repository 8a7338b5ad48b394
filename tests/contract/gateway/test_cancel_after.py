"""A run that names the moment of its cancel is cancelled then, whoever was away meanwhile."""

from datetime import timedelta

from support.gateway.world import NAMESPACE, Run, World

from mayfly.kube.kinds import RUNS


def asked(each: dict) -> bool:
    return each["spec"].get("cancel") is True


async def made(world: World, gateway, seconds: str) -> Run:
    async with gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/answer/predictions", json={}, headers={"Cancel-After": seconds}
        )
        assert answer.status_code == 201, answer.text
    return Run(world, await world.cluster.first(RUNS))


async def test_the_timer_cancels_a_running_run(world: World) -> None:
    async with world.gateway() as gateway:
        run = await made(world, gateway, "5")
        run.claim()
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await run.until(asked)
            run.set_condition("CancelAccepted", "False", "ClaimsStopped")
            await agent.expect("cancel")
            await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)
        assert (await run.finished())["phase"] == "Canceled"


async def test_a_moment_that_passed_while_no_gateway_ran_is_kept(world: World) -> None:
    async with world.gateway() as gateway:
        run = await made(world, gateway, "1h")
    world.clock.ahead = timedelta(minutes=59)
    async with world.gateway() as gateway:
        await run.until(lambda each: True)
        assert not asked(run.now)
    world.clock.ahead = timedelta(minutes=61)
    async with world.gateway():
        await run.until(asked)


async def test_a_run_that_ended_in_time_is_not_cancelled(world: World) -> None:
    async with world.gateway() as gateway:
        run = await made(world, gateway, "1h")
        run.claim()
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await agent.end()
        assert (await run.finished())["phase"] == "Succeeded"
    world.clock.ahead = timedelta(hours=2)
    later = world.claimed("later", startDeadline="10h")
    async with world.gateway() as gateway, later.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        await agent.end()
    assert not asked(run.now)
