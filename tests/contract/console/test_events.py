"""The event stream of a console, followed from a run's start to its end, and resumed anywhere."""

import json
from typing import Any

from support.gateway.listening import Event, listening, whole
from support.gateway.player import playing, streams
from support.gateway.world import BUILDER, NAMESPACE, World

INPUT = {"type": "object", "properties": {}}
WORDS = {"type": "array", "items": {}, "x-cog-array-type": "iterator"}


def log_of(events: list[Event]) -> str:
    return "".join(each.data["text"] for each in events if each.name == "log")


def output_of(events: list[Event]) -> list[Any]:
    found: list[Any] = []
    for each in events:
        if each.name == "output":
            assert each.data["index"] == len(found)
            found += each.data["items"]
    return found


async def test_a_run_from_before_its_start_to_its_end(world: World) -> None:
    world.schema(INPUT, WORDS)
    run = world.run()
    async with world.gateway() as gateway, listening(gateway, of=run.id) as stream:
        await stream.until(lambda each: each.of("prediction"))
        run.claim()
        async with run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await agent.say("log", offset=0, data="one\n")
            await stream.until(lambda each: log_of(each.events) == "one\n")
            await agent.say("output", index=0, itemsJSON=['{"a": 1.0}', '"b\u2028"'])
            await stream.until(lambda each: output_of(each.events) == [{"a": 1.0}, "b\u2028"])
            await agent.say("log", offset=4, data="two\n")
            await agent.end(outputJSON='[{"a": 1.0}, "b\u2028", 3]', logBytes=8)
        await stream.end()
        told = stream.events
    assert log_of(told) == "one\ntwo\n"
    assert output_of(told) == [{"a": 1.0}, "b\u2028", 3]
    assert [each.data["status"] for each in told if each.name == "prediction"] in (
        ["starting", "processing", "succeeded"],
        ["starting", "starting", "processing", "succeeded"],
    )
    assert told[-1] == Event("end", {}, "")


async def test_wherever_a_reader_is_cut_off_it_misses_and_doubles_nothing(world: World) -> None:
    world.schema(INPUT, WORDS)
    items = ["a", {"b": [1, 2.50]}, "", None, "\u2028"]
    async with playing(world, streams(items, "one\ntwo\n", logBytes=8)) as (gateway, _):
        async with gateway.client(BUILDER) as caller:
            made = (await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})).json()
            live = await whole(gateway, made["id"])
            logs = (await caller.get(f"/v1/predictions/{made['id']}/logs")).text
            output = (await caller.get(f"/v1/predictions/{made['id']}/output")).json()
        history = await whole(gateway, made["id"])
        for told in (live, history):
            assert (log_of(told), output_of(told)) == (logs, output)
            for position, cut in enumerate(told):
                known = [each for each in told[: position + 1] if each.id]
                after = known[-1].id if known else ""
                for query in ({"after": after}, {"from": after} if after else {}):
                    rest = await whole(gateway, made["id"], **query)
                    both = [*known, *(each for each in rest if each.id)]
                    assert (log_of(both), output_of(both)) == (logs, output), (cut, query)
    assert json.dumps(output) == json.dumps(items)
