"""Cancels of claimed runs, wherever the work is."""

from datetime import timedelta

from support.gateway.world import NAMESPACE, UNSTARTED, World


async def test_before_the_pod_connects(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        run.cancel()
        status = await run.finished()
        assert status["phase"] == "Canceled"
        assert status["usage"]["totalCost"] == "0"
        assert run.condition("CancelAccepted")["status"] == "True"
        assert run.condition("Started")["reason"] == "NotStarted"
        usage = await gateway.usage(run.uid)
        assert usage is not None
        assert usage["started"] is False
        # The pod comes too late: it never gets the work.
        async with run.dial(gateway) as agent:
            assert await agent.closed() == 4409
    # One write for CancelAccepted and the end together.
    assert world.cluster.writes.total() == 1


async def test_after_the_connection_and_before_the_work(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        # No await between the two, so the gateway sees both at once.
        run.claim()
        run.cancel()
        await agent.expect("retire")
        assert (await run.finished())["phase"] == "Canceled"
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        assert await agent.closed() == 4409


async def test_before_the_start(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        run.cancel()
        assert (await agent.expect("cancel"))["run"] == run.uid
        canceled = agent.result(
            outcome="canceled",
            reason="Canceled",
            outputJSON=None,
            error="The run was cancelled.",
            **UNSTARTED,
        )
        await agent.say("result", **canceled)
        await agent.expect("ack")
        status = await run.finished()
        assert status["phase"] == "Canceled"
        assert "startedAt" not in status
        assert status["usage"]["totalCost"] == "0"
        assert run.condition("CancelAccepted")["status"] == "True"


async def test_the_api_shows_no_error_of_a_cancelled_run(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent, gateway.client() as reader:
        await agent.hello()
        await agent.accept()
        run.cancel()
        await agent.expect("cancel")
        canceled = {"outcome": "canceled", "reason": "Canceled", "outputJSON": None, **UNSTARTED}
        await agent.say("result", **agent.result(error="The run was cancelled.", **canceled))
        await agent.expect("ack")
        status = await run.finished()
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        (listed,) = (await reader.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
    assert (status["phase"], status["error"]) == ("Canceled", "The run was cancelled.")
    assert (shown["status"], shown["error"], shown["reason"]) == ("canceled", None, "Canceled")
    assert (listed["status"], listed["error"]) == ("canceled", None)


async def test_while_running(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        run.cancel()
        await agent.expect("cancel")
        await run.until(
            lambda each: any(c["reason"] == "CancelAccepted" for c in each["status"]["conditions"])
        )
        world.clock.ahead = timedelta(seconds=30)
        canceled = agent.result(
            outcome="canceled", reason="Canceled", activeMs=2500, outputJSON=None
        )
        await agent.say("result", **canceled)
        await agent.expect("ack")
        status = await run.finished()
        assert status["usage"]["activeMilliseconds"] == 2500
        assert status["usage"]["cost"] == "0.0000625"


async def test_while_the_agent_is_away(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway):
            pass
        run.cancel()
        await run.until(
            lambda each: any(c["reason"] == "CancelAccepted" for c in each["status"]["conditions"])
        )
        async with run.dial(gateway) as agent:
            await agent.hello("running")
            await agent.expect("cancel")


async def test_an_agent_that_is_back_idle_never_gets_cancelled_work(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.expect("work")
        run.cancel()
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.expect("retire")
        assert (await run.finished())["phase"] == "Canceled"


async def test_work_is_not_sent_after_the_start_deadline(world: World) -> None:
    run = world.claimed(startDeadline="5m")
    world.clock.ahead = timedelta(minutes=6)
    other = world.claimed("other", startDeadline="1h")
    async with world.gateway() as gateway, run.dial(gateway) as agent, other.dial(gateway) as fine:
        await agent.hello()
        await fine.hello()
        await fine.accept()
        session = gateway.gateway.runs.sessions.of_pod(run.pod_uid)
        assert session is not None
        assert session.run is None
