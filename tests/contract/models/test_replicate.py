"""Models of another installation: a second gateway of ours, with a real Cog server, upstream."""

import base64
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.gateway.models import ModelWorld, create, ended, until, usage
from support.gateway.world import BUILDER, NAMESPACE, Running
from support.servers.plain_server import PlainServer, Request, reply
from support.waiting import looks
from typing_extensions import override

from mayfly.gateway.catalog import schemas
from mayfly.kube.kinds import SECRETS

SECRET = {"name": "upstream", "key": "token"}


class Toll(PlainServer):
    """Stands before an upstream: answers some creates itself, lets the others through."""

    def __init__(self, upstream: str, *answers: tuple[int, str] | None) -> None:
        super().__init__()
        self.upstream = upstream
        self.answers = list(answers)
        self.seen: Counter[str] = Counter()

    @override
    async def answer(self, request: Request) -> bytes | None:
        self.seen[request.method] += 1
        if request.method == "POST" and self.answers:
            given = self.answers.pop(0)
            return given and reply(given[0], given[1].encode(), Retry_After="1")
        async with httpx.AsyncClient() as client:
            named = ("authorization", "content-type")
            got = await client.request(
                request.method,
                self.upstream + request.path,
                headers={name: request.headers[name] for name in named if name in request.headers},
                content=request.body,
                timeout=60,
            )
        return reply(got.status_code, got.content)


class Undecided(Toll):
    """Learns the version of its model between the answer about that and the list of versions."""

    @override
    async def answer(self, request: Request) -> bytes | None:
        answer = await super().answer(request)
        if answer is None or not request.path.endswith(f"/models/{NAMESPACE}/model"):
            return answer
        shown = json.loads(answer.partition(b"\r\n\r\n")[2])
        shown["latest_version"]["id"] = schemas.NO_VERSION
        return reply(200, json.dumps(shown).encode())


@pytest.fixture
async def upstream(tmp_path: Path) -> ModelWorld:
    (tmp_path / "upstream").mkdir()
    return ModelWorld(tmp_path / "upstream")


@asynccontextmanager
async def serving(upstream: ModelWorld) -> AsyncIterator[Running]:
    """The upstream's gateway, once it knows what its model is."""
    async with upstream.gateway() as above, above.client() as reader:
        async for _ in looks():
            shown = (await reader.get(f"/v1/models/{NAMESPACE}/model")).json()
            if (shown.get("latest_version") or {}).get("id") not in {None, schemas.NO_VERSION}:
                break
        yield above


def behind(world: ModelWorld, url: str, **spec: Any) -> None:
    """A Model of the upstream, with its token in a Secret that the gateway may read.

    The token is a ServiceAccount's, so files have a namespace to be uploaded to.
    """
    data = {"token": base64.b64encode(BUILDER.encode()).decode()}
    world.cluster.add(
        SECRETS, {"metadata": {"name": "upstream", "namespace": NAMESPACE}, "data": data}
    )
    world.cluster.readable.add((NAMESPACE, "upstream"))
    replicate = {"model": f"{NAMESPACE}/model", "baseURL": f"{url}/v1", "tokenSecretRef": SECRET}
    world.model("model", replicate=replicate, **spec)


async def test_output_log_and_time_come_through_two_installations(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("story"))
    async with serving(upstream) as above:
        behind(world, above.url, price=[{"meter": "predictSeconds", "unitPrice": "1"}])
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller, {"words": 6, "pause": 0.5})
            part = await until(caller, made["id"], lambda shown: len(shown["output"] or []) >= 1)
            assert part["status"] == "processing"
            shown = await ended(caller, made["id"])
            assert shown["output"] == [f"word{number} " for number in range(6)]
            assert shown["logs"] == "".join(f"word {number}\n" for number in range(6))
            record = await usage(gateway, made["id"])
            assert record is not None
            assert record["active_ms"] >= 2500


async def test_files_of_an_output_are_brought_into_our_own_store(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("picture"))
    async with serving(upstream) as above:
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, (await create(caller, {"size": 3}))["id"])
            assert shown["output"].startswith(f"{gateway.url}/v1/files/"), shown
        # Its own store: it is there when the upstream is not.
    async with world.gateway() as gateway, gateway.client() as caller:
        again = (await caller.get(f"/v1/predictions/{shown['id']}")).json()
        picture = await caller.get(again["output"])
        assert picture.content.startswith(b"\x89PNG")


async def test_a_cancel_reaches_the_upstream(world: ModelWorld, upstream: ModelWorld, cog) -> None:
    upstream.at(await cog("echo"))
    async with serving(upstream) as above:
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller, {"text": "x", "delay": 120})
            await until(caller, made["id"], lambda shown: shown["status"] == "processing")
            await caller.post(f"/v1/predictions/{made['id']}/cancel")
            assert (await ended(caller, made["id"]))["status"] == "canceled"
            assert await last_of(above) == "canceled"


async def last_of(above: Running) -> str:
    async with above.client() as caller:
        listed = (await caller.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
        return str((await ended(caller, listed[0]["id"]))["status"])


async def test_a_failure_upstream_is_told_in_its_words(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("fails"))
    async with serving(upstream) as above:
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, (await create(caller, {"why": "rain"}))["id"])
    assert (shown["status"], shown["reason"]) == ("failed", "UserError")
    assert "it fails: rain" in shown["error"]


async def test_input_that_the_upstream_refuses_is_told_in_its_words(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("echo"))
    upstream.limits["inputBytes"] = 1024
    async with serving(upstream) as above:
        await upstream.looked_at()
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller, {"text": "long " * 400})
            shown = await ended(caller, made["id"])
    assert (shown["status"], shown["reason"]) == ("failed", "InvalidInput")
    assert "1024 bytes" in shown["error"]


async def test_input_that_the_upstreams_schema_refuses_never_gets_there(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("echo"))
    async with serving(upstream) as above:
        await upstream.looked_at()
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            await world.looked_at()
            path = f"/v1/models/{NAMESPACE}/model/predictions"
            answer = await caller.post(path, json={"input": {"delay": 0}})
        async with above.client() as reader:
            sent = (await reader.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
    assert answer.status_code == 422
    assert answer.json()["detail"] == "text: is required"
    assert sent == []


async def test_a_token_that_may_not_be_read_is_told_with_what_helps(
    world: ModelWorld, upstream: ModelWorld
) -> None:
    async with upstream.gateway() as above:
        behind(world, above.url)
        world.cluster.readable.clear()
        async with world.gateway() as gateway, gateway.client() as caller:
            ready = await world.looked_at()
            assert (ready["status"], ready["reason"]) == ("False", "SecretUnavailable")
            assert "kubectl create role" in ready["message"]
            shown = await ended(caller, (await create(caller))["id"])
    assert (shown["status"], shown["reason"]) == ("failed", "SecretUnavailable")
    assert "kubectl create role" in shown["error"]


@pytest.mark.parametrize("status", [429, 503])
async def test_an_upstream_that_takes_nothing_now_is_tried_again(
    world: ModelWorld, upstream: ModelWorld, cog, status: int
) -> None:
    world.models["patienceSeconds"] = 60  # two refusals on a slow machine are no standstill
    upstream.at(await cog("echo"))
    async with serving(upstream) as above:
        refusal = (status, '{"detail": "later"}')
        async with Toll(above.url, refusal, refusal).serving() as toll:
            behind(world, toll.url)
            async with world.gateway() as gateway, gateway.client() as caller:
                shown = await ended(caller, (await create(caller, {"text": "x"}))["id"])
                assert shown["output"] == "x"
            assert toll.seen["POST"] == 3


async def test_an_upstream_whose_version_is_not_in_its_list_is_called_by_name(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("echo"))
    async with serving(upstream) as above, Undecided(above.url).serving() as between:
        behind(world, between.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, (await create(caller, {"text": "x"}))["id"])
    assert (shown["status"], shown["output"]) == ("succeeded", "x")


@pytest.mark.parametrize("answer", [(500, "oops"), (502, ""), (201, "<html>"), None])
async def test_a_create_of_which_nobody_knows_is_not_sent_again_and_fails_in_words(
    world: ModelWorld, upstream: ModelWorld, cog, answer: Any
) -> None:
    upstream.at(await cog("echo"))
    async with upstream.gateway() as above, Toll(above.url, answer).serving() as toll:
        behind(world, toll.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, (await create(caller, {"text": "x"}))["id"])
            assert (shown["status"], shown["reason"]) == ("failed", "Lost")
            assert shown["error"] == (
                "The outcome of the prediction is unknown: it is unknown whether it arrived. "
                "It was not sent again."
            )
            assert (shown["started_at"], shown["cost"]) == (None, "0")
        assert toll.seen["POST"] == 1


async def test_a_gateway_that_stops_finds_the_end_at_the_upstream(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("story"))
    async with serving(upstream) as above:
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            made = await create(caller, {"words": 5, "pause": 0.3})
            await until(caller, made["id"], lambda shown: shown["status"] == "processing")
        async with world.gateway() as gateway, gateway.client() as caller:
            shown = await ended(caller, made["id"])
            assert shown["output"] == [f"word{number} " for number in range(5)]
        async with above.client() as caller:
            listed = (await caller.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
            assert len(listed) == 1


async def upload(caller: httpx.AsyncClient, data: bytes, name: str = "seed.bin") -> str:
    """Bring a file; its URL."""
    made = await caller.post(
        f"/ns/{NAMESPACE}/v1/files", files={"content": (name, data, "image/x-seed")}
    )
    assert made.status_code == 201, made.text
    return str(made.json()["urls"]["get"])


async def uploaded_to(above: Running) -> list[dict[str, Any]]:
    """The uploads of an upstream, without what differs each time."""
    async with above.client() as caller:
        listed = (await caller.get(f"/ns/{NAMESPACE}/v1/files")).json()["results"]
        for each in listed:
            each["bytes"] = (await caller.get(each["urls"]["download"])).content
    return [
        {name: each[name] for name in ("name", "content_type", "size", "bytes")} for each in listed
    ]


async def test_a_file_of_an_input_is_brought_to_the_upstream_and_one_of_an_output_back(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("picture"))
    data = b"\xff\x00\x80" + b"x" * 300_000
    async with serving(upstream) as above:
        await upstream.looked_at()
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            await world.looked_at()
            url = await upload(caller, data, 'sé"ed.bin')
            made = await create(caller, {"size": 2, "seed": url})
            shown = await ended(caller, made["id"])
            assert shown["status"] == "succeeded", shown
            # Ours is shown with our file, and theirs was given their own.
            assert shown["input"]["seed"].startswith(f"{gateway.url}/v1/files/")
            assert (await caller.get(shown["input"]["seed"])).content == data
            picture = (await caller.get(shown["output"])).content
        (brought,) = await uploaded_to(above)
        assert (brought["size"], brought["bytes"]) == (len(data), data)
        assert brought["content_type"] == "image/x-seed"
        async with above.client() as caller:
            (theirs,) = (await caller.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
            assert theirs["input"]["seed"].startswith(f"{above.url}/v1/files/")
            assert (await caller.get(theirs["output"])).content == picture
    # The colour is the file's first bytes: the model has read it.
    pixels = zlib.decompress(picture[picture.index(b"IDAT") + 4 : -16])
    assert pixels == (b"\x00" + data[:3] * 2) * 2


async def test_an_output_of_one_model_is_brought_to_the_upstream_of_the_next(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("picture"))
    async with serving(upstream) as above:
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            first = await ended(caller, (await create(caller, {"size": 2}))["id"])
            again = {"size": 2, "seed": first["output"]}
            second = await ended(caller, (await create(caller, again))["id"])
            assert second["status"] == "succeeded", second
            seed = (await caller.get(first["output"])).content
        (brought,) = await uploaded_to(above)
    assert (brought["name"], brought["bytes"]) == ("output.png", seed)


@pytest.mark.parametrize("status", [429, 502])
async def test_an_upstream_that_takes_no_file_now_is_tried_again(
    world: ModelWorld, upstream: ModelWorld, cog, status: int
) -> None:
    world.models["patienceSeconds"] = 60
    upstream.at(await cog("picture"))
    refusal = (status, '{"detail": "later"}')
    async with upstream.gateway() as above, Toll(above.url, refusal).serving() as toll:
        behind(world, toll.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            given = {"size": 2, "seed": await upload(caller, b"abc")}
            shown = await ended(caller, (await create(caller, given))["id"])
            assert shown["status"] == "succeeded", shown
        # The file twice, the prediction once.
        assert toll.seen["POST"] == 3


async def test_a_file_that_the_upstream_refuses_is_told_in_its_words(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("picture"))
    upstream.limits["fileBytes"] = 1000
    async with serving(upstream) as above:
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            given = {"size": 2, "seed": await upload(caller, b"x" * 2000)}
            shown = await ended(caller, (await create(caller, given))["id"])
        async with above.client() as reader:
            sent = (await reader.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
    assert (shown["status"], shown["reason"]) == ("failed", "InputFetchFailed")
    assert 'The file "seed.bin" can\'t be uploaded to 127.0.0.1' in shown["error"]
    assert "at most 1000 bytes" in shown["error"]
    assert sent == []


async def test_a_secret_of_an_input_reaches_the_upstreams_server_and_is_shown_by_neither(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    source = (
        "from cog import Secret\n\n\n"
        "def run(key: Secret) -> str:\n    return key.get_secret_value()[::-1]\n"
    )
    upstream.at(await cog("key", source))
    async with serving(upstream) as above:
        await upstream.looked_at()
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            await world.looked_at()
            shown = await ended(caller, (await create(caller, {"key": "hunter2"}))["id"])
            assert shown["output"] == "2retnuh"
            assert shown["input"] == {"key": "[redacted]"}
        async with above.client() as reader:
            (theirs,) = (await reader.get(f"/ns/{NAMESPACE}/v1/predictions")).json()["results"]
    assert theirs["input"] == {"key": "[redacted]"}
    for each in (world, upstream):
        stored = b"".join(file.read_bytes() for file in each.folder.glob("mayfly.db*"))
        assert b"hunter2" not in stored


async def test_the_schema_is_the_upstreams_and_what_is_made_of_it_too(
    world: ModelWorld, upstream: ModelWorld, cog
) -> None:
    upstream.at(await cog("story"))
    model = f"/v1/models/{NAMESPACE}/model"
    async with serving(upstream) as above:
        await upstream.looked_at()
        behind(world, above.url)
        async with world.gateway() as gateway, gateway.client() as caller:
            await world.looked_at()
            directory = gateway.gateway.cache.directory
            entry = directory.model(NAMESPACE, "model")
            assert entry is not None
            schema = schemas.of_model(directory, entry)
            async with above.client() as reader:
                theirs = (await reader.get(model)).json()["latest_version"]
            assert schema == theirs["openapi_schema"]
            shown = (await caller.get(model)).json()["latest_version"]
            assert shown["openapi_schema"] == schema
            assert shown["cog_version"]
            # Another Model's version, though of the same schema.
            assert shown["id"] != theirs["id"]
            # It is what makes an iterator of the output, for whoever reads it as a stream.
            made = await create(caller, {"words": 2, "pause": 0.0})
            told = (await caller.get(made["urls"]["stream"])).text
            assert told.count("event: output") == 2
    # It is kept: a gateway that starts while the upstream is away has it.
    async with world.gateway() as gateway, gateway.client() as caller:
        async for _ in looks():
            kept = (await caller.get(model)).json()["latest_version"]
            if kept["openapi_schema"] == schema:
                break
        assert kept["id"] == shown["id"]


async def test_before_the_upstream_was_seen_the_schema_allows_anything(
    world: ModelWorld,
) -> None:
    behind(world, "http://127.0.0.1:9")
    async with world.gateway() as gateway:
        assert (await world.looked_at())["reason"] == "Unreachable"
        directory = gateway.gateway.cache.directory
        entry = directory.model(NAMESPACE, "model")
        assert entry is not None
        schema = schemas.of_model(directory, entry)
    assert schema["components"]["schemas"]["Input"]["additionalProperties"] is True
    assert schema["components"]["schemas"]["Output"] == {"title": "Output"}
