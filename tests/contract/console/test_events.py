"""The event stream of a console, followed from a run's start to its end, and resumed anywhere."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from support.gateway.listening import Event, Listening, listening, whole
from support.gateway.player import playing, streams
from support.gateway.world import BUILDER, NAMESPACE, READER, World
from support.waiting import looks

from mayfly.gateway.console.reader import Reader
from mayfly.kube.errors import Unavailable
from mayfly.kube.kinds import RUNS

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


async def test_an_ended_run_is_told_like_one_that_is_followed(world: World) -> None:
    run = world.claimed()
    world.limits["logBytes"] = 8
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.say("log", offset=0, data="one\ntwo\nthree\n")
            await agent.end(logBytes=14)
        await run.finished()
        async with gateway.client(BUILDER) as caller:
            logs = (await caller.get(f"/v1/predictions/{run.id}/logs")).text
        told = await whole(gateway, run.id)
        assert log_of(told) == logs == "one\ntwo\n[mayfly] 6 bytes of log were not kept\n"
        assert output_of(told) == []  # one value, not an iterator's items
        assert [each.name for each in told] == ["prediction", "log", "log", "end"]
        # The line about what was dropped comes once, too.
        assert log_of(await whole(gateway, run.id, after=told[1].id)) == told[2].data["text"]
        assert log_of(await whole(gateway, run.id, after=told[2].id)) == ""


async def test_output_that_was_never_streamed_comes_at_the_end(world: World) -> None:
    world.schema(INPUT, WORDS)
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.end(outputJSON='[ 1.00,"a" , {"b": [ ] }]')
        await run.finished()
        async with listening(gateway, of=run.id) as stream:
            await stream.end()
            assert output_of(stream.events) == [1.0, "a", {"b": []}]
            assert "1.00" in stream.text


async def test_a_list_tells_runs_that_are_made_start_and_end(world: World) -> None:
    old = world.run("old")
    async with world.gateway() as gateway, listening(gateway, list="true") as stream:
        await stream.until(lambda each: [row["id"] for row in each.rows()] == [old.id])
        run = world.run("new")
        await stream.until(lambda each: seen(each, run.id) == ["starting"])
        run.claim()
        async with run.working(gateway, written=True) as agent:
            await stream.until(lambda each: seen(each, run.id)[-1] == "processing")
            for number in range(5):
                await agent.say("log", offset=number, data="x")
            await agent.end(logBytes=5)
        await stream.until(lambda each: seen(each, run.id)[-1] == "succeeded")
        await run.finished()
        # What only logs has not changed, and is not told again.
        assert len(seen(stream, run.id)) <= 5
        assert seen(stream, old.id) == ["starting"]
        assert {each.name for each in stream.events} == {"rows"}


def seen(stream: Listening, identity: str) -> list[str]:
    return [each["status"] for each in stream.rows() if each["id"] == identity]


async def test_a_list_has_the_callers_namespace_alone(world: World) -> None:
    world.cluster.allowed.add(("reader", ""))
    async with (
        world.gateway() as gateway,
        listening(gateway, f"/ns/{NAMESPACE}/v1/events", READER, list="true") as mine,
        listening(gateway, token=READER, list="true") as every,
    ):
        spec = {"pipelineRef": {"name": "answer"}, "input": {}}
        metadata = {"name": "other", "namespace": "other"}
        world.cluster.add(RUNS, {"metadata": metadata, "spec": spec})
        await every.until(lambda each: each.rows())
        own = world.run("own")
        await mine.until(lambda each: each.rows())
        assert {row["id"] for row in mine.rows()} == {own.id}


async def test_a_tree_is_told_whole_and_then_what_changes(world: World) -> None:
    top, other = world.claimed("top"), world.run("other")
    async with world.gateway() as gateway, top.working(gateway, written=True) as agent:
        middle = world.child(top, "middle")
        middle.claim()
        async with middle.working(gateway, written=True) as second:
            low = world.child(middle, "low")
            async with (
                listening(gateway, of=top.id) as whole_tree,
                listening(gateway, of=middle.id, list="true") as part,
            ):
                await whole_tree.until(lambda each: tree(each) >= {middle.id, low.id})
                await part.until(lambda each: tree(each) >= {low.id})
                late = world.child(middle, "late")
                for each in (whole_tree, part):
                    await each.until(lambda stream: late.id in tree(stream))
                beside = world.child(top, "beside")
                await whole_tree.until(lambda each: beside.id in tree(each))
                await second.end()
                await whole_tree.until(
                    lambda each: (
                        ("succeeded", middle.id)
                        in {(row["status"], row["id"]) for row in each.rows("tree")}
                    )
                )
                # Its end is not the end: what is below it goes on, and is told.
                await part.until(lambda each: each.of("prediction")[-1]["status"] == "succeeded")
                for child in (low, late, beside):
                    assert part.of("end") == []
                    child.end_by_controller("Canceled")
                await part.until(lambda each: each.of("end"))
                await part.until(lambda each: beside.id in {row["id"] for row in each.rows()})
                assert tree(part) == {low.id, late.id}
                assert tree(whole_tree) == {middle.id, low.id, late.id, beside.id}
                assert other.id not in tree(whole_tree)
                await agent.end()
                await whole_tree.end()
                assert whole_tree.events[-1].name == "end"
                assert not part.ended


def tree(stream: Listening) -> set[str]:
    return {each["id"] for each in stream.rows("tree")}


async def test_a_run_reads_its_own_tree_alone(world: World) -> None:
    run, other = world.claimed("run"), world.run("other")
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        token = (await agent.start())["token"]
        async with listening(gateway, token=token, list="true") as stream:
            child = world.child(run)
            await stream.until(lambda each: child.id in {row["id"] for row in each.rows()})
            assert other.id not in {row["id"] for row in stream.rows()}
        async with gateway.client(token) as caller:
            answer = await caller.get("/v1/events", params={"of": other.id})
            assert answer.status_code == 404


@pytest.mark.parametrize("query", [{"list": "true"}, {"of": "run"}])
async def test_who_loses_the_right_is_told_nothing_more(
    world: World, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mayfly.gateway.console.events.HEARTBEAT_SECONDS", 0.3)
    run = world.run()
    if "of" in query:
        query = {"of": run.id}
    async with world.gateway() as gateway, listening(gateway, **query) as stream:
        await stream.until(lambda each: each.events)
        world.clock.ahead = timedelta(seconds=61)
        await stream.until(lambda each: each.text.count(": waiting") > 2)
        world.cluster.allowed.clear()
        world.clock.ahead = timedelta(seconds=122)
        await stream.end()
        assert "end" not in {each.name for each in stream.events}


async def test_a_stream_lives_while_nobody_can_tell_its_rights(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mayfly.gateway.console.events.HEARTBEAT_SECONDS", 0.2)

    async def away(*_: Any) -> Any:
        raise Unavailable(0, "no answer")

    async with world.gateway() as gateway, listening(gateway, list="true") as stream:
        await stream.until(lambda each: ": waiting" in each.text)
        with monkeypatch.context() as patch:
            patch.setattr(world.cluster, "subject_access_review", away)
            patch.setattr(world.cluster, "token_review", away)
            world.clock.ahead = timedelta(seconds=61)
            before = stream.text.count(": waiting")
            await stream.until(lambda each: each.text.count(": waiting") > before + 3)
        assert not stream.ended


async def test_a_stream_ends_when_the_gateway_stops(world: World) -> None:
    run = world.run()
    async with (
        world.gateway() as gateway,
        listening(gateway, list="true") as rows,
        listening(gateway, of=run.id) as one,
    ):
        await rows.until(lambda each: each.events)
        await one.until(lambda each: each.events)
        gateway.gateway.stop()
        await rows.end(3)
        await one.end(3)


async def test_a_quiet_stream_says_that_it_is_there_and_reads_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mayfly.gateway.console.events.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("mayfly.gateway.console.feed.POLL_SECONDS", 60.0)
    asked: list[Any] = []
    by_uids = Reader.by_uids

    async def counted(self: Reader, uids: Any) -> Any:
        asked.append(uids)
        return await by_uids(self, uids)

    monkeypatch.setattr(Reader, "by_uids", counted)
    async with world.gateway() as gateway, listening(gateway, list="true") as stream:
        await stream.until(lambda each: each.text.count(": waiting") > 5)
        assert asked == []
        world.run()
        await stream.until(lambda each: each.rows())
        assert len(asked) <= 2


async def test_who_does_not_read_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mayfly.gateway.console.server_sent.SLOW_SECONDS", 0.5)
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            for number in range(9):
                piece = f"{number}" * (1024 * 1024)
                await agent.say("log", offset=number * len(piece), data=piece)
            await agent.end(logBytes=9 * 1024 * 1024)
        await run.finished()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
        head = f"GET /v1/events?list=true&of={run.id} HTTP/1.1\r\nHost: x\r\n"
        writer.write(f"{head}Authorization: Bearer {BUILDER}\r\n\r\n".encode())
        feed = gateway.gateway.console.feed
        async for _ in looks():
            if len(feed) == 1:
                break
        async for _ in looks():
            if len(feed) == 0:
                break
        writer.transport.abort()
        del reader
        # Whoever comes back goes on.
        assert len(log_of(await whole(gateway, run.id))) == 9 * 1024 * 1024


@pytest.mark.parametrize("bound", ["PENDING", "WAITING"])
async def test_more_than_can_wait_for_a_stream_ends_it(
    world: World, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"mayfly.gateway.console.feed.{bound}", 3)
    async with world.gateway() as gateway, listening(gateway, list="true") as stream:
        for number in range(8):
            world.run(f"run-{number}")
        await stream.end()
    assert len(gateway.gateway.console.feed) == 0


ID = "0" * 26


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"list": "false"}, 422),
        ({"list": "maybe"}, 422),
        ({"of": ""}, 422),
        ({"of": "x" * 27}, 422),
        ({"of": "u" * 26}, 422),
        ({"of": ID}, 404),
        ({"of": ID, "list": "true"}, 404),
        ({"list": "true", "from": "x"}, 422),
        ({"list": "true", "from": "1"}, 422),
        ({"list": "true", "from": "1.2.3"}, 422),
        ({"list": "true", "from": "-1.0"}, 422),
        ({"list": "true", "from": "1" * 16 + ".0"}, 422),
        ({"list": "true", "from": "0." + "1" * 13}, 422),
    ],
)
async def test_what_is_asked_wrongly_is_refused(
    world: World, query: dict[str, str], status: int
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.get("/v1/events", params=query)
    assert answer.status_code == status, answer.text


async def test_who_may_not_list_or_is_nobody_gets_no_stream(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway:
        for token, query, status in (
            (None, {"list": "true"}, 401),
            (READER, {"list": "true"}, 403),  # of all namespaces
            (READER, {"of": run.id}, 200),
        ):
            async with (
                gateway.client(token) as caller,
                caller.stream("GET", "/v1/events", params=query) as answer,
            ):
                assert answer.status_code == status


async def test_a_position_beyond_everything_is_no_error(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        async with run.working(gateway) as agent:
            await agent.say("log", offset=0, data="one\n")
            await agent.end(logBytes=4)
        await run.finished()
        beyond = await whole(gateway, run.id, after="9" * 15 + "." + "9" * 12)
        assert log_of(beyond) == ""
        strange = await whole(gateway, run.id, after="1690212292:0")
        assert log_of(strange) == "one\n"


async def test_a_child_that_is_deleted_does_not_keep_a_stream_open(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mayfly.gateway.console.events.FOLLOW_SECONDS", 0.3)
    run = world.claimed()
    async with world.gateway() as gateway, listening(gateway, of=run.id) as stream:
        async with run.working(gateway, written=True) as agent:
            child = world.child(run)
            await stream.until(lambda each: child.id in tree(each))
            await agent.end()
        await run.finished()
        await stream.until(lambda each: each.of("prediction")[-1]["status"] == "succeeded")
        assert stream.of("end") == []
        child.delete()
        await stream.end()
        assert stream.events[-1].name == "end"


async def test_a_tree_that_is_too_large_is_told_up_to_the_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("reader", "events"):
        monkeypatch.setattr(f"mayfly.gateway.console.{module}.TREE_LIMIT", 3)
        monkeypatch.setattr(f"mayfly.gateway.console.{module}.PIECE", 2)
    top = world.claimed("top")
    for number in range(5):
        world.child(top, f"child-{number}")
    async with world.gateway() as gateway, listening(gateway, of=top.id) as stream:
        await stream.until(lambda each: len(tree(each)) == 3)
        world.child(top, "late")
        await asyncio.sleep(1)
        assert len(tree(stream)) == 3
        assert max(map(len, stream.of("tree"))) <= 2
