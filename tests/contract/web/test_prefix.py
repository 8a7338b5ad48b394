"""Below a path of a host: every link has it, whether the proxy strips it or not."""

import json
import re
from pathlib import Path

import pytest
from support.gateway.player import gives, playing
from support.gateway.world import BUILDER, NAMESPACE, World

from mayfly.config import GatewayConfig

STRIPPED = {"x-forwarded-prefix": "/tools/mayfly", "x-forwarded-host": "example.com"}


class BelowWorld(World):
    """A world whose gateways have the setting `path`."""

    path = "/tools/mayfly"

    def config(self) -> GatewayConfig:
        return super().config().model_copy(update={"path": self.path})


@pytest.fixture
async def below(tmp_path: Path, database_url: str) -> BelowWorld:
    return BelowWorld(tmp_path, database_url)


def links(text: str) -> list[str]:
    return re.findall(r'"(http://[^"]+)"', text)


async def test_every_link_has_the_prefix(world: World) -> None:
    world.schema({"type": "object"}, {"type": "string", "format": "uri"})
    async with playing(world, gives("word")) as (gateway, _), gateway.client(BUILDER) as caller:
        path = f"/models/{NAMESPACE}/answer/predictions"
        headers = {**STRIPPED, "prefer": "wait=5"}
        for base in ("/v1", f"/ns/{NAMESPACE}/v1"):
            answers = [await caller.post(base + path, json={"input": {}}, headers=headers)]
            identity = answers[0].json()["id"]
            form = {"content": ("x.txt", b"x", "text/plain")}
            answers.append(await caller.post(f"{base}/files", files=form, headers=STRIPPED))
            paths = ("/predictions", "/models", "/files", f"/models/{NAMESPACE}/answer")
            for each in (f"/predictions/{identity}", *paths):
                answers += [await caller.get(base + each, headers=STRIPPED)]
            answers.append(await caller.post("/v1/sign-in-links", headers=STRIPPED))
            for answer in answers:
                assert answer.status_code < 300, answer.text
                found = links(answer.text)
                assert found, answer.request.url
                for link in found:
                    assert link.startswith("http://example.com/tools/mayfly/"), link
            own = answers[0].json()["urls"]
            assert own["web"] == f"http://example.com/tools/mayfly/ui/predictions/{identity}"
            space = base.removesuffix("/v1")
            assert own["get"].startswith(f"http://example.com/tools/mayfly{space}/v1/pred")
        front = (await caller.get("/", headers=STRIPPED)).json()
        described = (await caller.get("/openapi.json", headers=STRIPPED)).json()
    assert front["openapi"] == "http://example.com/tools/mayfly/openapi.json"
    assert described["servers"] == [{"url": "/tools/mayfly"}]


async def test_pages_lead_on_below_it(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        for number in range(101):
            form = {"content": (f"{number}.txt", b"x", "text/plain")}
            assert (await caller.post("/v1/files", files=form)).status_code == 201
        first = (await caller.get("/v1/files", headers=STRIPPED)).json()
    assert first["next"].startswith("http://example.com/tools/mayfly/v1/files?cursor=")


@pytest.mark.parametrize(
    "prefix",
    ["//evil.example", "/a//b", "/a/../b", "/..", "a", "/a?b", '/"><script>', "/a b", "/ns/team",
     "/a/ns/team", "https://evil.example", "/" + "a" * 64, "/a" * 9, "/é", "\\\\evil"],
)  # fmt: skip
async def test_what_is_no_path_is_ignored(world: World, prefix: str) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        headers = {"x-forwarded-prefix": prefix.encode()}
        shown = (await anybody.get("/", headers=headers)).json()
    assert shown["api"] == f"{gateway.url}/v1"


@pytest.mark.parametrize("prefix", ["/ml/", "/ml, /other", "/ml/ ,/other"])
async def test_how_proxies_write_it(world: World, prefix: str) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        shown = (await anybody.get("/", headers={"x-forwarded-prefix": prefix})).json()
    assert shown["api"] == f"{gateway.url}/ml/v1"


async def test_a_path_that_the_proxy_passes_on(below: BelowWorld) -> None:
    async with below.gateway() as gateway, gateway.client(BUILDER) as caller:
        for path in ("/tools/mayfly", "/tools/mayfly/", "/tools/mayfly/v1"):
            shown = (await caller.get(path)).json()
            assert shown["api"] == f"{gateway.url}/tools/mayfly/v1"
        made = await caller.post(
            f"/tools/mayfly/v1/models/{NAMESPACE}/answer/predictions", json={"input": {}}
        )
        assert made.status_code == 201
        for link in links(made.text):
            assert link.startswith(f"{gateway.url}/tools/mayfly/")
        again = await caller.get(made.json()["urls"]["get"])
        assert again.json()["id"] == made.json()["id"]
        # Pods of the cluster come without it, and get links without it.
        inside = await caller.get("/v1/predictions")
        assert links(json.dumps(inside.json()))[0].startswith(f"{gateway.url}/v1/")
        assert (await caller.get("/tools/mayfly2/v1/predictions")).status_code == 404
        assert (await caller.get("/tools/mayfly/healthz")).status_code == 200
        # What the proxy says itself is the whole truth.
        both = await caller.get("/tools/mayfly", headers={"x-forwarded-prefix": "/other"})
        assert both.json()["api"] == f"{gateway.url}/other/v1"


async def test_a_signed_link_holds_below_it(below: BelowWorld) -> None:
    async with below.gateway() as gateway, gateway.client(None) as anybody:
        below.rates = {"creates": 1, "others": 1}
        answer = await anybody.get("/tools/mayfly/v1/files/" + "0" * 26 + "/download/x")
        assert answer.status_code == 403
        assert "ratelimit-limit" not in answer.headers
