"""What a cancel would do, the input as it is stored, and the bundle of a tree."""

import asyncio
import json
from typing import Any

import pytest
from support.gateway.player import playing
from support.gateway.world import BUILDER, NAMESPACE, READER, Run, Running, World
from support.waiting import looks


async def get(gateway: Running, path: str, token: str = BUILDER) -> Any:
    async with gateway.client(token) as caller:
        answer = await caller.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()


async def preview(gateway: Running, run: Run, token: str = BUILDER) -> Any:
    return await get(gateway, f"/v1/predictions/{run.id}/cancel", token)


def ids(part: Any) -> set[str]:
    assert part["count"] == len(part["results"])
    return {each["id"] for each in part["results"]}


async def test_a_cancel_ends_what_has_not_started_and_leaves_the_rest(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.working(gateway, written=True) as agent:
        started, loading, queued = (
            world.child(parent, name) for name in ("started", "loading", "queued")
        )
        started.claim()
        loading.claim()
        async with (
            started.working(gateway, written=True) as below,
            loading.dial(gateway) as loads,
        ):
            await loads.hello()
            await loads.accept()
            deep = world.child(started, "deep")
            await deep.until(lambda _: True)
            told = await preview(gateway, parent)
            while len(ids(told["runs_on"])) < 2:  # the watch has not told of the last one yet
                told = await preview(gateway, parent)
            assert (told["may"], told["why_not"]) == (True, None)
            assert ids(told["cancels"]) == {parent.id, loading.id, queued.id}
            # What is below one that goes on is not reached, though it has not started.
            assert ids(told["runs_on"]) == {started.id, deep.id}
            parent.cancel()
            await agent.expect("cancel")
            await loads.expect("cancel")
            await loads.end_unstarted()
            queued.end_by_controller("Canceled")
            await parent.accepted_cancel()
            again = await preview(gateway, parent)
            assert (again["may"], again["why_not"]) == (
                False,
                "Its cancel was requested already.",
            )
            async for _ in looks():  # until the ends of the others are recorded
                again = await preview(gateway, parent)
                if ids(again["runs_on"]) == {started.id, deep.id}:
                    break
            await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)
            await below.end()
        assert (await loading.finished())["phase"] == "Canceled"
        assert (await started.finished())["phase"] == "Succeeded"
        await parent.finished()
        after = await preview(gateway, parent)
        assert (after["may"], ids(after["cancels"])) == (False, set())
        assert after["why_not"] == "It has ended already; a cancel changes nothing."


async def test_a_queued_run_is_all_that_its_cancel_ends(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway:
        told = await preview(gateway, run)
    assert (told["may"], ids(told["cancels"]), ids(told["runs_on"])) == (True, {run.id}, set())


@pytest.mark.parametrize("state", ["queued", "claimed", "accepted", "started", "ended"])
async def test_a_run_in_any_state_is_told_what_its_cancel_then_does(
    world: World, state: str
) -> None:
    run = world.run() if state == "queued" else world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        if state not in {"queued", "claimed"}:
            await agent.hello()
            await agent.accept()
        if state in {"started", "ended"}:
            await agent.say("started", attempt=1, at="2026-01-01T00:00:00Z")
            await run.until(lambda each: each["status"].get("phase") == "Processing")
        if state == "ended":
            await agent.end()
            await run.finished()
        told = await preview(gateway, run)
        assert told["may"] == (state != "ended")
        assert ids(told["cancels"]) == (set() if state == "ended" else {run.id})
        async with gateway.client(BUILDER) as caller:
            asked = asyncio.create_task(caller.post(f"/v1/predictions/{run.id}/cancel"))
            if state == "ended":
                assert (await asked).json()["status"] == "succeeded"
                return
            await run.until(lambda each: each["spec"].get("cancel") is True)
            assert (await preview(gateway, run))["may"] is False
            assert (await asked).status_code == 200


async def test_who_may_only_read_is_told_why_it_may_not_cancel(world: World) -> None:
    run = world.run()
    world.cluster.denied.add(("reader", "patch", "pipelineruns"))
    async with world.gateway() as gateway:
        told = await preview(gateway, run, READER)
    assert told["may"] is False
    assert "patch" in told["why_not"]


@pytest.mark.parametrize("part", ["cancel", "input", "bundle"])
async def test_what_one_may_not_see_is_not_there(world: World, part: str) -> None:
    run = world.run()
    world.cluster.tokens["stranger"] = ({"mayfly"}, {"username": "stranger", "groups": []})
    async with world.gateway() as gateway, gateway.client("stranger") as caller:
        for identity in (run.id, "0" * 26, "x", "%00", "a" * 500):
            answer = await caller.get(f"/v1/predictions/{identity}/{part}")
            assert answer.status_code == 404


async def test_the_input_is_there_to_the_letter(world: World) -> None:
    text = '{"number": 1.00, "long": 12345678901234567890, "word": "\\u00e9"}'
    async with playing(world) as (gateway, _), gateway.client(BUILDER) as caller:
        path = f"/v1/models/{NAMESPACE}/answer/predictions"
        made = await caller.post(path, content=f'{{"input": {text}}}', headers={"Prefer": "wait"})
        answer = await caller.get(f"/v1/predictions/{made.json()['id']}/input")
    assert answer.text == text


async def test_a_bundle_has_the_whole_tree(world: World) -> None:
    top = world.claimed("top")
    async with world.gateway() as gateway, top.working(gateway, written=True) as first:
        await first.say("log", offset=0, data="a line\n")
        middle = world.child(top, "middle")
        middle.claim()
        async with middle.working(gateway, written=True) as second:
            low = world.child(middle, "low")
            low.claim()
            async with low.working(gateway, written=True) as third:
                await third.end()
            await low.finished()
            await second.end()
        await middle.finished()
        await first.end(logBytes=7)
        await top.finished()
        async with gateway.client(BUILDER) as caller:
            answer = await caller.get(f"/v1/predictions/{top.id}/bundle")
        assert answer.headers["content-disposition"] == (
            f'attachment; filename="prediction-{top.id}.json"'
        )
        found = json.loads(answer.text)
    assert found["format"] == 1
    assert found["prediction"]["id"] == top.id
    assert [each["depth"] for each in found["tree"]["results"]] == [1, 2, 3]
    assert found["tree"]["truncated"] is False
    assert (found["log"]["text"], found["log"]["truncated"]) == ("a line\n", False)
    assert found["usage"]["downstream_predictions"] == 2
