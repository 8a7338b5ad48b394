"""A file of the store has its own name in the pod: the agent's fetcher against the real gateway."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aiohttp import web
from contract.agent import fake_gateway
from support.gateway.world import BUILDER, NAMESPACE, Run, Running, World

from mayfly.gateway.calls.outputs import Outputs
from mayfly_runtime.agent.fetch import Fetcher, safe_name
from mayfly_runtime.agent.gateway import Address, Gateway

NAMES = ["k.png", "köln b.png", "日本.wav", "a;b,c.tar.gz", "100%.txt", "noting"]
COMPARED = ("content-disposition", "content-type", "content-length")


async def fetched(gateway: Running, run: Run, reference: str, folder: Path) -> Path:
    """A file as main() of a run gets it."""
    (folder / "pod").mkdir()
    (folder / "token").write_text(run.pod_token)
    own = Gateway(Address.of(gateway.url), None, folder / "token", run.secret)
    fetcher = Fetcher(
        gateway=own,
        context=ssl.create_default_context,
        allowed=(),
        folder=folder / "pod",
        max_bytes=10_000,
        left_s=lambda: 30.0,
    )
    return await asyncio.to_thread(fetcher.fetch, reference)


def given(world: World, reference: str) -> Run:
    """A run whose input is a file."""
    return world.claimed("reader", inputJSON=json.dumps({"f": reference}))


async def upload(caller: httpx.AsyncClient, name: str) -> dict[str, Any]:
    made = await caller.post("/v1/files", files={"content": (name, b"data", "image/png")})
    assert made.status_code == 201, made.text
    assert made.json()["name"] == name
    return dict(made.json())


@pytest.mark.parametrize("name", NAMES)
async def test_of_an_upload(world: World, tmp_path: Path, name: str) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        reference = f"mayfly-file:{(await upload(caller, name))['id']}"
        run = given(world, reference)
        async with run.working(gateway):
            file = await fetched(gateway, run, reference, tmp_path)
    assert (file.name, file.read_bytes()) == (safe_name(name), b"data")
    assert file.suffix == Path(name).suffix


@pytest.mark.parametrize("name", NAMES)
async def test_of_an_output_of_another_prediction(world: World, tmp_path: Path, name: str) -> None:
    async with world.gateway() as gateway, gateway.client(None) as pod:
        maker = world.claimed("maker")
        async with maker.working(gateway):
            path = f"/agent/v1/files/{quote(name, safe='')}"
            put = await pod.put(path, content=b"data", headers=maker.headers())
            assert put.status_code == 201, put.text
        run = given(world, put.json()["id"])
        async with run.working(gateway):
            file = await fetched(gateway, run, put.json()["id"], tmp_path)
    assert (file.name, file.read_bytes()) == (safe_name(name), b"data")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("data:audio/wav;BASE64,ZGF0YQ", "output.wav"),
        ("DATA:image/png;name=k%C3%B6ln.png;base64,ZGF0YQ==", "köln.png"),
        ("data:text/plain,data", "output.txt"),
    ],
)
async def test_of_a_models_output(world: World, tmp_path: Path, url: str, name: str) -> None:
    async with world.gateway() as gateway:
        outputs = Outputs(gateway.gateway.files.store, None)  # type: ignore[arg-type]
        text = await outputs.stored(json.dumps(url), namespace=NAMESPACE, uid="of-a-model")
        run = given(world, json.loads(text))
        async with run.working(gateway):
            file = await fetched(gateway, run, json.loads(text), tmp_path)
    assert (file.name, file.read_bytes()) == (name, b"data")


@pytest.mark.parametrize("text", ["data: none, so far", "data", "database:x,y", "the data:,x"])
async def test_words_of_a_model_are_no_file(world: World, text: str) -> None:
    async with world.gateway() as gateway:
        outputs = Outputs(gateway.gateway.files.store, None)  # type: ignore[arg-type]
        stored = await outputs.stored(json.dumps(text), namespace=NAMESPACE, uid="of-a-model")
    assert stored == json.dumps(text)


async def test_of_a_link_of_ours(world: World, tmp_path: Path) -> None:
    """As a run that kubectl made names it."""
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = await upload(caller, "köln.png")
        shown = await gateway.gateway.files.links.to_links(
            json.dumps(f"mayfly-file:{made['id']}"), NAMESPACE, gateway.url
        )
        run = given(world, json.loads(shown))
        async with run.working(gateway):
            file = await fetched(gateway, run, json.loads(shown), tmp_path)
    assert (file.name, file.read_bytes()) == ("köln.png", b"data")


@pytest.mark.parametrize("name", NAMES)
async def test_the_fake_gateway_of_the_agents_tests_answers_as_the_real_one(
    world: World, name: str
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        reference = f"mayfly-file:{(await upload(caller, name))['id']}"
        run = given(world, reference)
        async with run.working(gateway), gateway.client(None) as pod:
            path = f"/agent/v1/files/{reference}"
            real = await pod.get(path, headers=run.headers())
    fake = fake_gateway.Gateway()
    fake.files[reference], fake.names[reference] = b"data", name
    fake.types[reference] = "image/png"
    runner = web.AppRunner(fake.app(), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with httpx.AsyncClient(verify=False) as pod:
        told = await pod.get(f"http://127.0.0.1:{runner.addresses[0][1]}{path}")
    await runner.cleanup()
    assert (real.status_code, told.status_code) == (200, 200)
    assert real.content == told.content == b"data"
    assert {each: told.headers[each] for each in COMPARED} == {
        each: real.headers[each] for each in COMPARED
    }
