"""Predictions as server-sent events, read by the clients and by hand."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from support.gateway.player import fails, gives, playing, streams
from support.gateway.world import BUILDER, NAMESPACE, Agent, Running, World
from support.tools.clients import Client

PREDICTIONS = f"/v1/models/{NAMESPACE}/answer/predictions"
INPUT = {"type": "object", "properties": {}}
WORDS = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
FILES = {
    "type": "array",
    "items": {"type": "string", "format": "uri"},
    "x-cog-array-type": "iterator",
}


async def create(gateway: Running, base: str = "") -> dict[str, Any]:
    async with gateway.client(BUILDER) as caller:
        made = await caller.post(base + PREDICTIONS, json={})
        assert made.status_code == 201, made.text
        return dict(made.json())


def parsed(text: str) -> list[tuple[str, str, str]]:
    """(event, id, data) of every event, as the specification reads them."""
    found = []
    for block in text.split("\n\n"):
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields.setdefault(name, []).append(value)
        if fields:
            found.append((fields["event"][0], fields["id"][0], "\n".join(fields["data"])))
    return found


async def read(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as anybody:
        return await anybody.get(url, headers=headers)


# -- by the real clients ---------------------------------------------------------------------


@pytest.mark.parametrize("way", ["stream", "async_stream"])
async def test_python_1_streams_words(world: World, python_1_0: Client, way: str) -> None:
    world.schema(INPUT, WORDS)
    loop = {
        "stream": f'events = list(replicate.stream("{NAMESPACE}/answer", input={{}}))',
        "async_stream": f"""
async def every():
    return [each async for each in await replicate.async_stream("{NAMESPACE}/answer", input={{}})]
import asyncio
events = asyncio.run(every())
""",
    }[way]
    code = f"""
import json, replicate
{loop}
print(json.dumps([[each.event.value, str(each)] for each in events]))
"""
    items = ["Hel", "lo\n", "", " w\u00f6rld\u2028event: x"]
    async with playing(world, streams(items, "a line\n")) as (gateway, _):
        shown = await python_1_0.run(gateway, code)
    output = [text for event, text in shown if event == "output"]
    assert output == ["Hel", "lo\n", "", " w\u00f6rld\nevent: x"]
    assert shown[-1] == ["done", ""]
    assert {event for event, _ in shown} == {"output", "done"}  # Go's client fails at others


async def test_javascript_streams_words(world: World, javascript: Client) -> None:
    world.schema(INPUT, WORDS)
    code = f"""
import Replicate from "replicate";
const replicate = new Replicate({{ baseUrl: process.env.REPLICATE_BASE_URL }});
const found = [];
for await (const each of replicate.stream("{NAMESPACE}/answer", {{ input: {{}} }}))
  found.push([each.event, each.data]);
console.log(JSON.stringify(found));
"""
    async with playing(world, streams(["Hel", "lo\n", " world"])) as (gateway, _):
        shown = await javascript.run(gateway, code)
    assert shown == [["output", "Hel"], ["output", "lo\n"], ["output", " world"], ["done", "{}"]]


async def test_javascript_takes_a_stream_of_files_for_files(
    world: World, javascript: Client
) -> None:
    world.schema(INPUT, FILES)

    async def act(agent: Agent, _work: Any) -> None:
        async with httpx.AsyncClient() as pod:
            url = f"http://127.0.0.1:{gateway.port}/agent/v1/files/a.txt"
            stored = await pod.put(url, content=b"bytes", headers=agent.run.headers())
        await streams([stored.json()["id"]])(agent, _work)

    code = f"""
import Replicate from "replicate";
const replicate = new Replicate({{ baseUrl: process.env.REPLICATE_BASE_URL }});
const found = [];
for await (const each of replicate.stream("{NAMESPACE}/answer", {{ input: {{}} }}))
  if (each.event === "output") found.push(await (await each.data.blob()).text());
console.log(JSON.stringify(found));
"""
    async with playing(world, act) as (gateway, _):
        assert await javascript.run(gateway, code) == ["bytes"]


@pytest.mark.parametrize(
    ("name", "loop"),
    [
        ("python_1_0", 'list(replicate.stream("team/answer", input={}))'),
        ("python_2_0", '"".join(replicate.use("team/answer", streaming=True)())'),
    ],
)
async def test_a_run_that_fails_raises_in_the_clients(
    world: World, request: pytest.FixtureRequest, name: str, loop: str
) -> None:
    world.schema(INPUT, WORDS)
    code = f"""
import json, replicate
try:
    print(json.dumps({loop}))
except Exception as error:
    print(json.dumps(str(error)))
"""
    async with playing(world, fails("ValueError: no luck")) as (gateway, _):
        client: Client = request.getfixturevalue(name)
        assert "ValueError: no luck" in await client.run(gateway, code)


# -- by hand ---------------------------------------------------------------------------------


async def test_events_are_read_without_a_token_and_in_the_readers_base(world: World) -> None:
    async with playing(world, streams(["a"])) as (gateway, _):
        made = await create(gateway, f"/ns/{NAMESPACE}")
        url = made["urls"]["stream"]
        assert url.startswith(f"{gateway.url}/v1/streams/{made['id']}?")
        got = await read(url)
        assert got.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert parsed(got.text) == [("output", "1:0", "a"), ("done", "1:0", "{}")]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("a\ntext", "a\ntext"),
        ({"a": 1.0}, '{"a": 1.0}'),
        ([1, 2], "[1, 2]"),
        (7, "7"),
    ],
)
async def test_an_output_that_is_no_iterator_is_one_event(
    world: World, value: Any, data: str
) -> None:
    async with playing(world, gives(value)) as (gateway, _):
        made = await create(gateway)
        got = parsed((await read(made["urls"]["stream"])).text)
    assert got == [("output", "1:0", data), ("done", "1:0", "{}")]


async def test_json_text_of_any_characters_is_one_line(world: World) -> None:
    item = {"a": "\u00e9 \u2028 \u2029 \x85"}
    async with playing(world, streams([item])) as (gateway, _):
        made = await create(gateway)
        [(_, _, data), _] = parsed((await read(made["urls"]["stream"])).text)
    assert json.loads(data) == item
    assert data.splitlines() == [data]


@pytest.mark.parametrize("act", [gives(None), streams([])])
async def test_nothing_is_no_event(world: World, act: Any) -> None:
    world.schema(INPUT, WORDS)
    async with playing(world, act) as (gateway, _):
        made = await create(gateway)
        got = parsed((await read(made["urls"]["stream"])).text)
    assert got == [("done", "0:0", "{}")]


async def test_a_reader_that_was_cut_off_goes_on_from_its_last_event(world: World) -> None:
    async with playing(world, streams(["a", "b", "c"], "log\n")) as (gateway, _):
        made = await create(gateway)
        url = made["urls"]["stream"] + "&logs=true"
        whole = parsed((await read(url)).text)
        assert [each[0] for each in whole].count("output") == 3
        for position, (_, identity, _) in enumerate(whole[:-1]):
            rest = await read(url, **{"Last-Event-ID": identity})
            assert parsed(rest.text) == whole[position + 1 :]
        strange = await read(url, **{"Last-Event-ID": "1690212292:0"})
        assert [each[0] for each in parsed(strange.text)] != []


async def test_the_log_is_there_for_who_asks(world: World) -> None:
    async with playing(world, streams(["a"], "line\n")) as (gateway, _):
        made = await create(gateway)
        got = parsed((await read(made["urls"]["stream"])).text)
        assert got == [("output", "1:0", "a"), ("done", "1:0", "{}")]
        got = parsed((await read(made["urls"]["stream"] + "&logs=true")).text)
        assert got == [("logs", "0:5", "line\n"), ("output", "1:5", "a"), ("done", "1:5", "{}")]


async def test_an_error_is_json_with_its_detail(world: World) -> None:
    async with playing(world, fails('ValueError: no "luck"')) as (gateway, _):
        made = await create(gateway)
        got = parsed((await read(made["urls"]["stream"])).text)
    assert [event for event, _, _ in got] == ["error", "done"]
    assert json.loads(got[0][2]) == {"detail": 'ValueError: no "luck"'}
    assert got[1][2] == '{"reason": "error"}'


async def test_the_end_of_a_cancelled_run_says_so(world: World) -> None:
    end = {"outcome": "canceled", "reason": "Canceled", "error": "Cancelled.", "outputJSON": None}
    async with playing(world, streams(["a"], **end)) as (gateway, _):
        made = await create(gateway)
        got = parsed((await read(made["urls"]["stream"])).text)
    assert got == [("output", "1:0", "a"), ("done", "1:0", '{"reason": "canceled"}')]


async def test_an_item_comes_before_the_run_ends(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(BUILDER) as caller:
            url = (await caller.get(f"/v1/predictions/{run.id}")).json()["urls"]["stream"]
        async with (
            httpx.AsyncClient(timeout=20) as anybody,
            anybody.stream("GET", url) as response,
        ):
            lines = response.aiter_lines()
            await agent.say("output", index=0, value="first")
            while await anext(lines) != "data: first":
                pass
            await agent.say("output", index=1, value="second")
            while await anext(lines) != "data: second":
                pass


async def test_a_stream_ends_when_the_gateway_stops(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway:
        async with gateway.client(BUILDER) as caller:
            url = (await caller.get(f"/v1/predictions/{run.id}")).json()["urls"]["stream"]
        reading = asyncio.create_task(read(url))
        await asyncio.sleep(0.3)
        assert not reading.done()
    assert "done" not in (await reading).text


async def test_a_wrong_or_old_link_reads_nothing(world: World) -> None:
    run, other = world.run(), world.run("other")
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        url = (await caller.get(f"/v1/predictions/{run.id}")).json()["urls"]["stream"]
        for wrong in (url.replace(run.id, other.id), url[:-1], url.partition("?")[0]):
            got = await read(wrong)
            assert got.status_code == 403
            assert "link is not valid" in got.json()["detail"]
        world.clock.ahead = timedelta(hours=26)
        assert (await read(url)).status_code == 403
