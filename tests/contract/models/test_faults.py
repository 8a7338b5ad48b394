"""Models whose servers go wrong, and gateways that stop: what the caller is told and pays."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from support.gateway.models import ModelWorld, create, ended, until, usage
from support.gateway.world import KEY, NAMESPACE
from support.kube_memory import condition
from support.lengths import length
from support.servers.cog_server import CogServer
from support.servers.plain_server import PlainServer, Request, reply
from support.servers.ports import free_port
from support.servers.postgresql import BOTH
from support.tools.clients import python_client
from support.waiting import looks
from typing_extensions import override

from mayfly.api.v1alpha1.identity import CROCKFORD, run_id, uid_of
from mayfly.gateway.access import run_tokens
from mayfly.gateway.server import new_uid
from mayfly.kube.kinds import MODELS

pytestmark = BOTH
QUEUE = length(500, 5000)
READY = {"status": "READY", "setup": {"started_at": "2026-01-01T00:00:00Z"}}


class Crooked(PlainServer):
    """A server that speaks a Cog server's words wrongly; counts what it was sent."""

    def __init__(self, **answers: tuple[int, bytes] | None) -> None:
        super().__init__()
        self.answers = answers
        self.sent: Counter[str] = Counter()
        self.hooks: list[str] = []

    @override
    async def answer(self, request: Request) -> bytes | None:
        path = request.path.strip("/").partition(".")[0]
        name = "put" if request.method == "PUT" else path.replace("-", "_")
        self.sent[name] += 1
        if request.method == "PUT":
            self.hooks.append(json.loads(request.body)["webhook"])
        given = self.answers.get(name, (404, b"{}"))
        return given and reply(*given)

    @property
    def endpoint(self) -> dict[str, str]:
        return {"url": self.url}


def health(**fields: Any) -> tuple[int, bytes]:
    return 200, json.dumps({**READY, **fields}).encode()


# -- servers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[::1", "the URL's host can't be read"),
        ("http://h:99999", "the URL's port is not between 1 and 65535"),
        ("http://b\u00fccher.invalid", "xn--bcher-kva.invalid can't be reached"),
    ],
)
@pytest.mark.parametrize("upstream", [False, True])
async def test_a_url_that_names_no_server_is_told_on_the_model(
    world: ModelWorld, url: str, words: str, upstream: bool
) -> None:
    if upstream:
        world.model("model", replicate={"model": "a/b", "baseURL": url})
    else:
        world.model("model", endpoint={"url": url})
    async with world.gateway() as gateway, gateway.client() as caller:
        ready = await world.looked_at()
        assert (ready["status"], ready["reason"]) == ("False", "Unreachable")
        assert words in ready["message"]
        shown = await ended(caller, (await create(caller))["id"])
        assert (shown["status"], shown["reason"]) == ("failed", "Unreachable")
        assert words in shown["error"]


async def test_a_server_that_is_down_is_tried_for_a_while_then_the_caller_is_told(
    world: ModelWorld,
) -> None:
    world.model("model", endpoint={"url": f"http://127.0.0.1:{free_port()}"})
    async with world.gateway() as gateway, gateway.client() as caller:
        ready = await world.looked_at()
        assert (ready["status"], ready["reason"]) == ("False", "Unreachable")
        assert "can't be reached" in ready["message"]
        made = [await create(caller) for _ in range(3)]
        for each in made:
            shown = await ended(caller, each["id"])
            assert (shown["status"], shown["reason"]) == ("failed", "Unreachable")
            assert shown["error"].startswith("The model's server could not be used for ")
            assert shown["error"].endswith("Nothing was sent to it.")
            assert (shown["started_at"], shown["cost"]) == (None, "0")
            assert await usage(gateway, each["id"]) is not None


async def test_use_of_a_model_that_was_never_reached_hears_why_it_failed(world: ModelWorld) -> None:
    world.model("model", endpoint={"url": f"http://127.0.0.1:{free_port()}"})
    client = python_client("replicate-1.1", (3, 12))
    code = f"""
import json, replicate

try:
    replicate.use("{NAMESPACE}/model")(text="x")
except replicate.exceptions.ModelError as error:
    print(json.dumps(str(error)))
"""
    async with world.gateway() as gateway:
        told = await client.run(gateway, code)
        async with gateway.client() as caller:
            shown = (await caller.get(f"/v1/models/{NAMESPACE}/model/versions")).json()
    assert told.startswith("The model's server could not be used for ")
    assert shown["results"] == []


async def test_a_server_that_starts_after_its_model_is_soon_known(world: ModelWorld, cog) -> None:
    server: CogServer = await cog("echo")
    await server.kill()
    world.at(server)
    async with world.gateway():
        assert (await world.looked_at())["status"] == "False"
        await server.start()
        ready = await world.cluster.until(
            MODELS, NAMESPACE, "model", lambda each: condition(each, "Ready")["status"] == "True"
        )
        assert condition(ready, "Ready")["message"] == "The model can be called."


async def test_a_server_that_comes_back_in_time_gets_what_waited(world: ModelWorld, cog) -> None:
    server: CogServer = await cog("echo")
    await server.kill()
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        world.models["patienceSeconds"] = 60
        gateway.gateway.calls.dispatcher._config = world.config().models
        made = await create(caller, {"text": "late"})
        await asyncio.sleep(1)
        await server.start()
        assert (await ended(caller, made["id"]))["output"] == "late"


async def test_a_private_address_is_refused_and_the_caller_told_what_allows_it(
    world: ModelWorld, cog
) -> None:
    world.allowed_networks = []
    world.at(await cog("echo"))
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"text": "x"})
        shown = await ended(caller, made["id"])
    assert (shown["status"], shown["reason"]) == ("failed", "Unreachable")
    assert "outbound.allowCIDRs" in shown["error"]


async def test_a_server_that_dies_in_the_middle_loses_the_prediction_but_not_its_output(
    world: ModelWorld, cog
) -> None:
    server: CogServer = await cog("story")
    world.at(server, price=[{"meter": "predictSeconds", "unitPrice": "1"}])
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"words": 1000, "pause": 0.3})
        await until(caller, made["id"], lambda shown: len(shown["output"] or []) >= 2)
        await server.kill()
        shown = await ended(caller, made["id"])
        assert (shown["status"], shown["reason"]) == ("failed", "Lost")
        assert shown["error"].startswith("The outcome of the prediction is unknown: its server ")
        assert shown["error"].endswith("It was not sent again.")
        assert shown["output"][:2] == ["word0 ", "word1 "]
        assert shown["logs"].startswith("word 0\nword 1\n")
        record = await usage(gateway, made["id"])
        assert record is not None
        assert record["active_ms"] > 0


async def test_a_server_that_was_started_anew_has_lost_the_prediction(
    world: ModelWorld, cog
) -> None:
    server: CogServer = await cog("echo")
    world.at(server)
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller, {"text": "x", "delay": 300})
        await until(caller, made["id"], lambda shown: shown["status"] == "processing")
        await server.kill()
        await server.start()
        shown = await ended(caller, made["id"])
        assert (shown["status"], shown["reason"]) == ("failed", "Lost")
        after = await create(caller, {"text": "next"})
        assert (await ended(caller, after["id"]))["output"] == "next"


@pytest.mark.parametrize(
    ("put", "reason", "words", "times"),
    [
        (None, "Lost", "its server never confirmed that it has the prediction", 1),
        ((500, b"oops"), "Lost", "its server never confirmed that it has the prediction", 1),
        ((422, b'{"detail":[{"loc":["body","input","x"],"msg":"too odd"}]}'), "InvalidInput",
         "body.input.x: too odd", 1),
        ((404, b"<html>"), "UserError", "refuses the prediction (404): <html>", 1),
    ],
    ids=["no answer", "500", "422", "404"],
)  # fmt: skip
async def test_what_may_have_arrived_is_sent_once_and_the_caller_is_told(
    world: ModelWorld, put: Any, reason: str, words: str, times: int
) -> None:
    async with Crooked(health_check=health(), put=put).serving() as crooked:
        world.model("model", endpoint=crooked.endpoint)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller)
            shown = await ended(caller, made["id"])
            assert (shown["status"], shown["reason"]) == ("failed", reason)
            assert words in shown["error"]
            assert (shown["started_at"], shown["cost"]) == (None, "0")
        assert crooked.sent["put"] == times


async def test_a_server_that_answers_garbage_is_named_so(world: ModelWorld) -> None:
    async with Crooked(health_check=(200, b"<html>"), openapi=(200, b"[]")).serving() as crooked:
        world.model("model", endpoint=crooked.endpoint)
        async with world.gateway() as gateway, gateway.client() as caller:
            ready = await world.looked_at()
            assert ready["reason"] == "Unreachable"
            assert "no schema at /openapi.json" in ready["message"]
            shown = await ended(caller, (await create(caller))["id"])
        assert shown["reason"] == "Unreachable"
        assert "does not answer like a Cog server" in shown["error"]
        assert crooked.sent["put"] == 0


@pytest.mark.parametrize("body", [b"<html>", b'{"status":"great"}', b"\xff"])
async def test_a_callback_of_garbage_ends_the_prediction_in_words(
    world: ModelWorld, body: bytes
) -> None:
    async with Crooked(health_check=health(status="BUSY"), put=(202, b"{}")).serving() as crooked:
        world.model("model", endpoint=crooked.endpoint)
        async with world.gateway() as gateway, gateway.client() as caller:
            # It takes work once, though it says that it is busy ever after.
            crooked.answers["health_check"] = health()
            made = await create(caller)
            while not crooked.hooks:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0.05)
            (hook,) = crooked.hooks
            assert (await caller.post(hook[:-1] + "0" * 2, content=body)).status_code == 403
            assert (await caller.post(hook, content=body)).status_code == 422
            shown = await ended(caller, made["id"])
        assert (shown["status"], shown["reason"]) == ("failed", "UserError")
        assert shown["error"].startswith("The model's server does not behave like a Cog server")


async def test_what_a_server_says_after_the_end_changes_nothing(world: ModelWorld) -> None:
    async with Crooked(health_check=health(), put=(202, b"{}")).serving() as crooked:
        world.model("model", endpoint=crooked.endpoint)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller)
            while not crooked.hooks:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0.05)
            (hook,) = crooked.hooks
            first = {"status": "succeeded", "output": "1", "metrics": {"predict_time": 99999}}
            later = {"status": "failed", "error": "no"}
            for told in (first, later, first):
                assert (await caller.post(hook, json=told)).status_code == 200
            shown = await ended(caller, made["id"])
            assert (shown["status"], shown["output"]) == ("succeeded", "1")
            # A server can't bill for more than the time that we have waited.
            assert shown["metrics"]["predict_time"] <= shown["metrics"]["total_time"]


# -- gateways that stop --------------------------------------------------------------------------


async def test_a_gateway_that_stops_loses_nothing_queued_running_or_streaming(
    world: ModelWorld, cog
) -> None:
    world.models["fateSeconds"] = 30
    world.at(await cog("story"))
    async with world.gateway() as gateway, gateway.client() as caller:
        running = await create(caller, {"words": 12, "pause": 0.3})
        queued = [await create(caller, {"words": 1, "pause": 0}) for _ in range(3)]
        await until(caller, running["id"], lambda shown: len(shown["output"] or []) >= 2)
    # Words come while nobody listens.
    await asyncio.sleep(1)
    async with world.gateway() as gateway, gateway.client() as caller:
        shown = await ended(caller, running["id"])
        assert (shown["status"], shown["reason"], shown["error"]) == (
            "succeeded",
            "Succeeded",
            None,
        )
        assert shown["output"] == [f"word{number} " for number in range(12)]
        assert shown["logs"] == "".join(f"word {number}\n" for number in range(12))
        for each in queued:
            assert (await ended(caller, each["id"]))["output"] == ["word0 "]
            assert await usage(gateway, each["id"]) is not None


async def test_what_was_being_sent_when_the_gateway_stopped_is_not_sent_again(
    world: ModelWorld,
) -> None:
    async with Crooked(health_check=health(), put=None).serving() as crooked:
        world.models["fateSeconds"] = 5
        world.model("model", endpoint=crooked.endpoint)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller)
            while not crooked.hooks:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0.05)
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, made["id"])
            assert (shown["status"], shown["reason"]) == ("failed", "Lost")
            assert shown["error"].endswith("It was not sent again.")
        assert crooked.sent["put"] == 1


# -- queues --------------------------------------------------------------------------------------


async def test_a_full_queue_is_told_with_a_time_to_come_back(world: ModelWorld) -> None:
    world.models |= {"queue": 2, "patienceSeconds": 60}
    world.model("model", endpoint={"url": f"http://127.0.0.1:{free_port()}"})
    async with world.gateway() as gateway, gateway.client() as caller:
        for _ in range(2):
            await create(caller)
        path = f"/v1/models/{NAMESPACE}/model/predictions"
        answer = await caller.post(path, json={})
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["detail"] == (
            f'2 predictions wait for "{NAMESPACE}/model" already; try again later.'
        )


async def test_a_model_that_is_deleted_ends_what_waits_for_it(world: ModelWorld) -> None:
    world.models["patienceSeconds"] = 60
    world.model("model", endpoint={"url": f"http://127.0.0.1:{free_port()}"})
    async with world.gateway() as gateway, gateway.client() as caller:
        made = [await create(caller) for _ in range(3)]
        world.cluster.remove(MODELS, NAMESPACE, "model")
        for each in made:
            shown = await ended(caller, each["id"])
            assert (shown["status"], shown["reason"]) == ("failed", "NotFound")
            assert "was deleted" in shown["error"]


async def test_an_accepted_cancel_of_a_run_ends_its_waiting_calls_and_spares_the_others(
    world: ModelWorld, cog
) -> None:

    world.at(await cog("echo"))
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(run_tokens.mint(KEY, NAMESPACE, parent.uid)) as caller:
            started = await create(caller, {"text": "started", "delay": 3})
            await until(caller, started["id"], lambda shown: shown["status"] == "processing")
            waiting = await create(caller, {"text": "waiting"})
            assert waiting["parent"] == waiting["root"] == parent.id
            assert len(await gateway.gateway.calls.recorder.close_queue_of(parent.uid)) == 1
            shown = await ended(caller, waiting["id"])
            assert (shown["status"], shown["cost"]) == ("canceled", "0")
            late = await caller.post(
                f"/v1/models/{NAMESPACE}/model/predictions", json={"input": {"text": "x"}}
            )
            assert late.status_code == 403
            assert "was cancelled" in late.json()["detail"]
            assert (await ended(caller, started["id"]))["output"] == "started"
            tree = (await caller.get(f"/v1/predictions/{parent.id}/tree")).json()
            assert {each["id"] for each in tree["predictions"]} == {
                parent.id,
                started["id"],
                waiting["id"],
            }


@pytest.mark.parametrize("cancelled", ["the call", "the run that made it"])
async def test_what_its_server_does_not_take_is_not_queued_again_after_a_cancel(
    world: ModelWorld, cancelled: str
) -> None:
    class Busy(Crooked):
        """A server that says that it is busy, once somebody has cancelled what came."""

        @override
        async def answer(self, request: Request) -> bytes | None:
            if request.method == "PUT":
                calls = gateway.gateway.calls.recorder
                if cancelled == "the call":
                    assert not await calls.cancel(uid_of(made["id"]))
                else:
                    assert await calls.close_queue_of(parent.uid) == []
            return await super().answer(request)

    parent = world.claimed("parent")
    async with (
        Busy(health_check=health(), put=(503, b"{}")).serving() as server,
        world.gateway() as gateway,
        parent.working(gateway),
        gateway.client(run_tokens.mint(KEY, NAMESPACE, parent.uid)) as caller,
    ):
        world.model("model", endpoint=server.endpoint)
        await world.looked_at()
        made = await create(caller)
        shown = await ended(caller, made["id"])
        assert (shown["status"], shown["reason"]) == ("canceled", "Canceled")
        assert (shown["error"], shown["cost"]) == (None, "0")
        assert await usage(gateway, made["id"]) is not None
        dispatcher = gateway.gateway.calls.dispatcher
        async for _ in looks():
            if (dispatcher.queued, dispatcher.active) == (0, 0):
                break
        assert server.sent["put"] == 1


async def test_a_full_queue_waits_over_a_restart_and_the_next_is_told_to_come_back(
    world: ModelWorld,
) -> None:
    world.models |= {"queue": QUEUE, "patienceSeconds": 3600}
    world.model("model", endpoint={"url": f"http://127.0.0.1:{free_port()}"})
    path = f"/v1/models/{NAMESPACE}/model/predictions"
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await create(caller)
        row = await gateway.row(str(UUID(int=number_of(made["id"]))))
        assert row is not None
        found = await gateway.gateway.calls.recorder.find(row.uid)
        assert found is not None
        async with gateway.gateway.process.database.write() as tx:
            for _ in range(QUEUE - 11):
                uid = new_uid()
                await gateway.gateway.calls.recorder.create(
                    tx,
                    replace(found[0], uid=uid),
                    replace(row, uid=uid, id=run_id(uid), root_uid=uid),
                )
    async with world.gateway() as gateway, gateway.client() as caller:
        last = [await create(caller) for _ in range(10)][-1]
        assert (await caller.post(path, json={})).status_code == 429
        shown = (await caller.post(f"/v1/predictions/{last['id']}/cancel")).json()
        assert shown["status"] == "canceled"
        await create(caller)
        assert (await caller.post(path, json={})).status_code == 429
        # A call that waits is no task of its own.
        assert len(asyncio.all_tasks()) < 100


def number_of(identity: str) -> int:
    return sum(
        CROCKFORD.index(each) << shift
        for each, shift in zip(identity, range(125, -1, -5), strict=True)
    )
