"""Two gateways on one PostgreSQL: a stream of one tells what the other does."""

import pytest
from support.gateway.listening import Listening, listening
from support.gateway.world import World

pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True)


def log_of(stream: Listening) -> str:
    return "".join(each["text"] for each in stream.of("log"))


async def test_a_run_at_one_is_followed_at_the_other(world: World) -> None:
    world.limits["startedWriteMs"] = 600_000  # the object does not tell of the start
    run = world.claimed()
    async with (
        world.gateway() as one,
        world.gateway() as other,
        listening(other, of=run.id, list="true") as stream,
        run.working(one) as agent,
    ):
        await agent.say("log", offset=0, data="one\n")
        await stream.until(lambda each: log_of(each) == "one\n")
        await agent.say("log", offset=4, data="two\n")
        await agent.end(logBytes=8)
        await stream.until(lambda each: each.of("end"))
        assert log_of(stream) == "one\ntwo\n"
        await stream.until(lambda each: "succeeded" in {row["status"] for row in each.rows()})


async def test_a_reader_that_lost_one_goes_on_at_the_other(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as one, world.gateway() as other, run.working(one) as agent:
        async with listening(one, of=run.id) as stream:
            await agent.say("log", offset=0, data="one\n")
            await stream.until(log_of)
            last = [each.id for each in stream.events if each.id][-1]
        await agent.say("log", offset=4, data="two\n")
        async with listening(other, of=run.id, after=last) as stream:
            await agent.end(logBytes=8)
            await stream.end()
            assert log_of(stream) == "two\n"
