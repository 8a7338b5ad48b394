"""Models behind real Cog servers: what a caller sees, from a create to its end."""

import asyncio
import itertools
import json
from decimal import Decimal

import httpx
from support.gateway.models import ModelWorld, create, ended, read, until, usage
from support.gateway.world import KEY, NAMESPACE
from support.servers.postgresql import BOTH

from mayfly.gateway.access import run_tokens
from mayfly.kube.kinds import MODELS

pytestmark = BOTH

PRICE = [
    {"meter": "predictSeconds", "unitPrice": "0.001"},
    {"meter": "prediction", "unitPrice": "1"},
]


async def test_a_prediction_ends_with_its_output_log_time_and_bill(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"), price=PRICE)
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"text": "hello", "delay": 0.3})
        assert made["status"] == "starting"
        shown = await ended(caller, made["id"])
        assert (shown["status"], shown["output"], shown["error"]) == ("succeeded", "hello", None)
        assert shown["logs"] == "waiting 0.3 s\ndone\n"
        assert shown["model"] == f"{NAMESPACE}/model"
        predicted = shown["metrics"]["predict_time"]
        assert 0.3 <= predicted <= shown["metrics"]["total_time"]
        assert made["created_at"] <= shown["started_at"] <= shown["completed_at"]
        record = await usage(gateway, made["id"])
        assert record is not None
        assert (record["outcome"], record["started"]) == ("succeeded", True)
        assert record["cost"] == Decimal(1) + Decimal(str(predicted)) / 1000
        assert shown["cost"] == shown["total_cost"] == str(record["cost"])
        assert (shown["downstream_cost"], shown["final"]) == ("0", True)


async def test_a_waiting_create_is_answered_with_the_end(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        shown = await create(caller, {"text": "now"}, Prefer="wait")
    assert (shown["status"], shown["output"]) == ("succeeded", "now")


async def test_output_and_log_come_while_it_works(world: ModelWorld, cog) -> None:
    world.at(await cog("story"))
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"words": 8, "pause": 0.7})
        part = await until(caller, made["id"], lambda shown: len(shown["output"] or []) >= 2)
        assert part["status"] == "processing"
        assert part["output"][:2] == ["word0 ", "word1 "]
        assert part["logs"].startswith("word 0\nword 1\n")
        shown = await ended(caller, made["id"])
        assert shown["output"] == [f"word{number} " for number in range(8)]
        assert shown["logs"] == "".join(f"word {number}\n" for number in range(8))


async def test_files_go_in_and_come_out_as_links(world: ModelWorld, cog) -> None:
    world.at(await cog("picture"))
    async with world.gateway() as gateway, gateway.client() as caller:
        stored = await gateway.gateway.files.store.put_text("abc", namespace=NAMESPACE)
        made = await create(caller, {"size": 3, "seed": stored.reference})
        shown = await ended(caller, made["id"])
        assert shown["status"] == "succeeded", shown
        assert shown["output"].startswith(f"{gateway.url}/v1/files/")
        assert shown["input"]["seed"].startswith(f"{gateway.url}/v1/files/")
        picture = await caller.get(shown["output"], headers={"Authorization": ""})
        assert picture.status_code == 200
        assert picture.headers["content-type"] == "image/png"
        assert picture.content.startswith(b"\x89PNG")


async def test_a_model_that_fails_shows_its_words_and_its_log(world: ModelWorld, cog) -> None:
    world.at(await cog("fails"))
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"why": "the moon"})
        shown = await ended(caller, made["id"])
    assert (shown["status"], shown["reason"]) == ("failed", "UserError")
    assert "it fails: the moon" in shown["error"]
    assert shown["logs"].startswith("about to fail\n")


async def test_wrong_input_is_refused_before_anything_is_queued(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        await world.looked_at()
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/model/predictions", json={"input": {"delay": "x"}}
        )
        assert answer.status_code == 422
        told = {each["pointer"]: each["detail"] for each in answer.json()["errors"]}
        assert told == {
            "/input/text": "is required",
            "/input/delay": "must be a number, not a string",
        }
        listed = await caller.get(f"/ns/{NAMESPACE}/v1/predictions")
        assert listed.json()["results"] == []


async def test_a_cancel_of_a_waiting_prediction_ends_it_at_once_and_costs_nothing(
    world: ModelWorld, cog
) -> None:
    world.at(await cog("echo"), price=PRICE)
    async with world.gateway() as gateway, gateway.client() as caller:
        first = await create(caller, {"text": "a", "delay": 60})
        second = await create(caller, {"text": "b"})
        await until(caller, first["id"], lambda shown: shown["status"] == "processing")
        shown = (await caller.post(f"/v1/predictions/{second['id']}/cancel")).json()
        assert (shown["status"], shown["error"], shown["cost"]) == (
            "canceled",
            None,
            "0",
        )
        assert shown["started_at"] is None
        running = (await caller.post(f"/v1/predictions/{first['id']}/cancel")).json()
        assert running["status"] in {"canceled", "processing"}
        shown = await ended(caller, first["id"])
        assert (shown["status"], shown["reason"]) == ("canceled", "Canceled")
        record = await usage(gateway, first["id"])
        assert record is not None
        assert record["active_ms"] > 0


async def test_a_run_cancels_the_call_that_it_made_and_no_other_run_does(
    world: ModelWorld, cog
) -> None:
    world.at(await cog("echo"))
    parent, other = world.claimed("parent"), world.claimed("other")
    async with (
        world.gateway() as gateway,
        parent.working(gateway),
        other.working(gateway),
        gateway.client(run_tokens.mint(KEY, NAMESPACE, parent.uid)) as caller,
        gateway.client(run_tokens.mint(KEY, NAMESPACE, other.uid)) as stranger,
    ):
        made = await create(caller, {"text": "a", "delay": 60})
        await until(caller, made["id"], lambda shown: shown["status"] == "processing")
        path = f"/v1/predictions/{made['id']}/cancel"
        assert (await stranger.post(path)).status_code == 404
        assert (await caller.post(path)).status_code == 200
        assert (await ended(caller, made["id"]))["status"] == "canceled"


async def test_a_cancel_of_one_that_does_not_listen_ends_it_after_a_grace(
    world: ModelWorld, cog
) -> None:
    server = await cog("slow")
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"seconds": 12})
        await until(caller, made["id"], lambda shown: shown["status"] == "processing")
        await caller.post(f"/v1/predictions/{made['id']}/cancel")
        shown = await ended(caller, made["id"])
        assert shown["status"] == "canceled"
        # Its server is still at it: the next one waits, and is not lost by it.
        after = await create(caller, {"seconds": 0})
        assert (await ended(caller, after["id"]))["output"] == "slept"


async def test_a_timeout_is_told_with_its_length(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"), timeout="2s")
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"text": "a", "delay": 60})
        shown = await ended(caller, made["id"])
    assert (shown["status"], shown["reason"]) == ("failed", "TimedOut")
    assert shown["error"] == "The model took longer than 2s (spec.timeout of the Model)."


async def test_concurrency_of_one_works_one_after_the_other(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        made = [await create(caller, {"text": str(n), "delay": 0.2}) for n in range(4)]
        shown = [await ended(caller, each["id"]) for each in made]
    assert [each["output"] for each in shown] == ["0", "1", "2", "3"]
    for earlier, later in itertools.pairwise(shown):
        assert earlier["completed_at"] <= later["started_at"]


async def test_a_server_that_works_for_others_is_waited_for(world: ModelWorld, cog) -> None:
    server = await cog("echo")
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller, httpx.AsyncClient() as other:
        theirs = asyncio.create_task(
            other.post(
                f"{server.url}/predictions", json={"input": {"text": "x", "delay": 2}}, timeout=60
            )
        )
        await server.until_busy()
        made = await create(caller, {"text": "ours"})
        assert (await ended(caller, made["id"]))["output"] == "ours"
        assert (await theirs).json()["status"] == "succeeded"


async def test_the_status_of_a_model_says_what_its_server_says(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        ready = await world.looked_at()
        assert (ready["status"], ready["reason"]) == ("True", "Ready")
        status = world.cluster.now(MODELS, NAMESPACE, "model")["status"]
        assert status["observedGeneration"] == 1
        assert len(status["latestVersion"]) == 64
        shown = await caller.post(
            "/v1/predictions", json={"version": status["latestVersion"], "input": {"text": "v"}}
        )
        assert shown.status_code == 201, shown.text
        seen = await ended(caller, shown.json()["id"])
        assert (seen["output"], seen["version"]) == ("v", status["latestVersion"])
        written = world.cluster.writes["PATCH", "models"]
        gateway.gateway.calls.probe.look(NAMESPACE, "model")
        await asyncio.sleep(1)
        assert world.cluster.writes["PATCH", "models"] == written
    # The id of a version is the same after a restart, and finds its Model.
    async with world.gateway() as gateway, gateway.client() as caller:
        again = await caller.post(
            "/v1/predictions", json={"version": status["latestVersion"], "input": {"text": "w"}}
        )
        assert again.status_code == 201, again.text
        assert (await ended(caller, again.json()["id"]))["output"] == "w"


async def test_an_output_keeps_its_bytes(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"text": "é\u2028😀\\n\0end"})
        shown = await ended(caller, made["id"])
        raw = await caller.get(f"/v1/predictions/{made['id']}/output")
    assert json.loads(raw.text) == shown["output"] == "é\u2028😀\\n\0end"


async def test_a_create_that_comes_again_is_the_first(world: ModelWorld, cog) -> None:
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        headers = {"Idempotency-Key": "k"}
        both = await asyncio.gather(
            create(caller, {"text": "a"}, **headers), create(caller, {"text": "a"}, **headers)
        )
        assert both[0]["id"] == both[1]["id"]
        listed = (await caller.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
        assert len(listed) == 1
        assert (await read(caller, both[0]["id"]))["model"] == f"{NAMESPACE}/model"
