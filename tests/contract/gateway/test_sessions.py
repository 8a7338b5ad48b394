"""Who may speak for a pod, what is bounded, and what a new connection goes on from."""

import pytest
from support.gateway.world import READER, World, new_secret


async def test_a_reconnect_in_the_middle_resumes(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.say("log", offset=0, data="one\n")
            await agent.expect("logack")
        async with run.dial(gateway) as agent:
            assert await agent.hello("running") == {
                "type": "welcome",
                "logOffset": 4,
                "outputIndex": 0,
                "recorded": False,
            }
            # What the gateway has is said again: it counts once.
            await agent.say("log", offset=0, data="one\ntwo\n")
            assert (await agent.expect("logack"))["offset"] == 8
            await agent.say("result", **agent.result())
            await agent.expect("ack")
        assert run.status["logsTail"] == "one\ntwo\n"


async def test_work_that_was_lost_with_its_connection_is_sent_again(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.dial(gateway) as agent:
            await agent.hello()
            first = await agent.expect("work")
        async with run.dial(gateway) as agent:
            await agent.hello()
            again = await agent.expect("work")
    assert again["token"] == first["token"]
    assert again["attempt"] == first["attempt"]


async def test_a_new_connection_of_the_same_agent_ends_the_old_one(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as old:
        await old.hello()
        await old.accept()
        async with run.dial(gateway) as agent:
            await agent.hello("loading")
            assert await old.closed() == 1001
            await agent.say("result", **agent.result())
            await agent.expect("ack")


async def test_a_replayed_token_with_another_secret_is_refused(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        async with run.dial(gateway, secret=new_secret()) as thief:
            assert await thief.closed() == 4403
        headers = {**run.headers(), "Mayfly-Session": new_secret()}
        async with gateway.client(None) as client:
            answer = await client.put("/agent/v1/files/x", headers=headers, content=b"x")
        assert answer.status_code == 403
        await agent.say("result", **agent.result())
        await agent.expect("ack")


async def test_the_secret_holds_over_a_restart(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
    async with world.gateway() as gateway:
        async with run.dial(gateway, secret=new_secret()) as thief:
            assert await thief.closed() == 4403
        async with run.dial(gateway) as agent:
            await agent.hello("loading")


@pytest.mark.parametrize("token", ["nobody", READER])
async def test_a_token_of_no_pod_is_refused(world: World, token: str) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway, token=token) as agent:
        assert await agent.closed() == 4401


async def test_a_token_that_is_bound_to_no_pod_is_refused(world: World) -> None:
    run = world.claimed()
    account = {"username": "system:serviceaccount:team:default", "extra": {}}
    world.cluster.tokens["unbound"] = ({"mayfly-gateway"}, account)
    async with world.gateway() as gateway, run.dial(gateway, token="unbound") as agent:
        assert await agent.closed() == 4401


async def test_a_malformed_secret_is_refused(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway, secret="short") as agent:
        assert await agent.closed() == 4403


async def test_an_oversized_message_ends_the_connection(world: World) -> None:
    world.limits["messageBytes"] = 4096
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.say("log", offset=0, data="x" * 5000)
            assert await agent.closed() == 1009
        async with run.dial(gateway) as agent:
            assert (await agent.hello("running"))["logOffset"] == 0


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "nonsense"},
        {"kind": "log", "run": "RUN", "offset": -1, "data": ""},
        {"kind": "log", "run": "RUN", "offset": 2**60, "data": ""},
        {"kind": "log", "run": "another", "offset": 0, "data": ""},
        {"kind": "result", "run": "RUN"},
        {"kind": "started", "run": "RUN", "attempt": 1, "at": "yesterday"},
    ],
)
async def test_a_bad_message_ends_the_connection(world: World, message: dict) -> None:
    run = world.claimed()
    fields = {key: run.uid if value == "RUN" else value for key, value in message.items()}
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.send(fields.pop("kind"), **fields)
        assert await agent.closed() == 1007


async def test_the_first_message_is_hello(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.say("heartbeat", activeMs=1)
        assert await agent.closed() == 1007


async def test_an_agent_with_a_run_that_nobody_knows_is_sent_away(world: World) -> None:
    run = world.claimed()
    other = world.claimed("other")
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        # Another pod's run is as unknown to this pod as none at all.
        await agent.send("hello", protocol=1, state="running", run=other.uid, attempt=1)
        assert await agent.closed() == 4409


async def test_a_gap_in_the_log_is_told_in_the_log(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("log", offset=0, data="one\n")
        await agent.expect("logack")
        await agent.say("log", offset=100, data="two\n")
        assert (await agent.expect("logack"))["offset"] == 104
        async with gateway.client() as reader:
            text = (await reader.get(f"/v1/predictions/{run.id}/logs")).text
    assert text == "one\n[mayfly] 96 bytes of log were lost\ntwo\n"


async def test_log_beyond_the_limit_is_counted_and_not_kept(world: World) -> None:
    world.limits["logBytes"] = 10
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        await agent.say("log", offset=0, data="12345678")
        assert (await agent.expect("logack"))["offset"] == 8
        await agent.say("log", offset=8, data="9äbcdef")
        assert (await agent.expect("logack"))["offset"] == 16
        async with gateway.client() as reader:
            text = (await reader.get(f"/v1/predictions/{run.id}/logs")).text
    assert text == "123456789[mayfly] 7 bytes of log were not kept\n"


async def test_a_gateway_that_ends_tells_its_agents_to_redial(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        connection = run.dial(gateway)
        agent = await connection.__aenter__()
        await agent.hello()
        await agent.accept()
    assert await agent.closed() == 1012
    await connection.__aexit__(None, None, None)


async def test_what_an_agent_said_before_it_left_counts(world: World) -> None:
    """Its last heartbeat is all that is billed when nobody reads its termination message."""
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await run.until(lambda each: each["status"].get("phase") == "Processing")
            async with gateway.gateway.process.database.write():
                # The gateway has taken nothing of this when the agent is gone already.
                await agent.say("log", offset=0, data="one\n")
                await agent.say("log", offset=4, data="two\n")
                await agent.say("heartbeat", activeMs=1)
                agent.connection.transport.abort()
                await agent.connection.wait_closed()
        await gateway.worked(run.uid)
        run.end_by_controller("Lost")
        usage = await gateway.usage(run.uid)
    assert usage is not None
    assert (usage["reason"], usage["active_ms"]) == ("Lost", 1)
    assert run.status["usage"]["activeMilliseconds"] == 1
