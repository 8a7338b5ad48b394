"""What else clients ask for, what is not here, and how often one may ask."""

import asyncio
import logging

import pytest
from support.gateway.player import gives, playing
from support.gateway.world import BUILDER, KEY, NAMESPACE, World
from support.tools.clients import Client

from mayfly.gateway.access import run_tokens
from mayfly.kube.kinds import RUNS

PREDICTIONS = f"/v1/models/{NAMESPACE}/answer/predictions"


async def test_python_1_reads_account_and_lists(world: World, python_1_0: Client) -> None:
    code = """
import asyncio
import json, replicate
missing = []
for call in (lambda: replicate.deployments.get("a/b"), lambda: replicate.trainings.get("x"),
             lambda: replicate.collections.get("x"), lambda: replicate.models.get("a/b")):
    try:
        call()
    except replicate.exceptions.ReplicateError as error:
        missing.append(error.status)
account = replicate.Client().accounts.current()
print(json.dumps([
    account.type, account.username, [each.sku for each in replicate.hardware.list()],
    replicate.collections.list().results, replicate.trainings.list().results,
    replicate.deployments.list().results, missing]))
"""
    async with world.gateway() as gateway:
        shown = await python_1_0.run(gateway, code)
    assert shown == ["user", NAMESPACE, ["default"], [], [], [], [404] * 4]


async def test_python_2_reads_account_and_lists(world: World, python_2_0: Client) -> None:
    code = """
import json, replicate
client = replicate.Replicate()
missing = []
for call in (lambda: client.deployments.get(deployment_owner="a", deployment_name="b"),
             lambda: client.trainings.get(training_id="x"),
             lambda: client.collections.get(collection_slug="x"),
             lambda: client.models.get(model_owner="a", model_name="b")):
    try:
        call()
    except replicate.NotFoundError as error:
        missing.append(error.status_code)
print(json.dumps([
    client.account.get().username, [each.sku for each in client.hardware.list()],
    list(client.collections.list()), list(client.trainings.list()),
    list(client.deployments.list()), client.webhooks.default.secret.get().key[:6], missing]))
"""
    async with world.gateway() as gateway:
        shown = await python_2_0.run(gateway, code)
    assert shown == [NAMESPACE, ["default"], [], [], [], "whsec_", [404] * 4]


async def test_javascript_reads_account_and_lists(world: World, javascript: Client) -> None:
    code = """
import Replicate from "replicate";
const replicate = new Replicate({ baseUrl: process.env.REPLICATE_BASE_URL });
const missing = await replicate.deployments.get("a", "b").catch((error) => error.response.status);
console.log(JSON.stringify([
  (await replicate.accounts.current()).username,
  (await replicate.hardware.list()).map((each) => each.sku),
  (await replicate.collections.list()).results, (await replicate.trainings.list()).results,
  (await replicate.deployments.list()).results, missing]));
"""
    async with world.gateway() as gateway:
        assert await javascript.run(gateway, code) == [NAMESPACE, ["default"], [], [], [], 404]


@pytest.mark.parametrize("name", ["python_1_0", "python_1_1", "python_2_0"])
async def test_python_runs_waits_lists_and_cancels(
    world: World, request: pytest.FixtureRequest, name: str
) -> None:
    world.schema({"type": "object", "properties": {}}, {"type": "string", "title": "Output"})
    client: Client = request.getfixturevalue(name)
    code = f"""
import json, replicate
output = replicate.run("{NAMESPACE}/answer", input={{"n": 1}})
first = replicate.predictions.list()
results = list(first.results if hasattr(first, "results") else first)
one = results[0]
print(json.dumps([output, len(results), one.status, one.id == results[0].id]))
"""
    async with playing(world, gives("word")) as (gateway, _):
        assert await client.run(gateway, code) == ["word", 1, "succeeded", True]


async def test_javascript_runs(world: World, javascript: Client) -> None:
    code = f"""
import Replicate from "replicate";
const replicate = new Replicate({{ baseUrl: process.env.REPLICATE_BASE_URL }});
console.log(JSON.stringify(await replicate.run("{NAMESPACE}/answer", {{ input: {{}} }})));
"""
    async with playing(world, gives({"a": [1]})) as (gateway, _):
        assert await javascript.run(gateway, code) == {"a": [1]}


# -- clients that leave ----------------------------------------------------------------------


async def test_a_client_that_leaves_while_it_waits_leaves_its_run(
    world: World, python_1_0: Client
) -> None:
    code = f'import replicate; replicate.run("{NAMESPACE}/answer", input={{}})'
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        process = await python_1_0.start(gateway, code)
        run = await world.cluster.first(RUNS)
        process.kill()
        await process.communicate()
        listed = (await caller.get("/v1/predictions")).json()["results"]
        assert [each["status"] for each in listed] == ["starting"]
    assert "cancel" not in run["spec"]


async def test_a_create_that_the_client_repeats_after_its_time_out_is_one_run(
    world: World, python_2_0: Client
) -> None:
    code = f"""
import json, replicate
client = replicate.Replicate(timeout=0.5, max_retries=2)
try:
    client.predictions.create(version="{NAMESPACE}/answer", input={{"n": 1}}, prefer="wait=5")
except replicate.APITimeoutError:
    print(json.dumps("timed out"))
"""
    async with world.gateway() as gateway:
        assert await python_2_0.run(gateway, code) == "timed out"
    assert len(world.cluster.every(RUNS)) == 1


async def test_creates_of_one_key_that_come_at_once_are_one_run(world: World) -> None:
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        headers = {"Idempotency-Key": "one"}
        made = await asyncio.gather(
            *(caller.post(path, json={"input": {}}, headers=headers) for _ in range(10))
        )
        # Alike, and no repeat: the same thing is wanted twice.
        others = await asyncio.gather(*(caller.post(path, json={"input": {}}) for _ in range(2)))
    assert {each.status_code for each in (*made, *others)} == {201}
    assert len({each.json()["id"] for each in made}) == 1
    assert len({each.json()["id"] for each in others}) == 2
    assert len(world.cluster.every(RUNS)) == 3


# -- what is not there -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/ns/team/v1/nothing", "/v1/models/x"])
async def test_an_unknown_path_is_a_problem_and_in_the_log(
    world: World, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="mayfly.gateway.http.errors"):
        async with world.gateway() as gateway, gateway.client() as caller:
            answer = await caller.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"There is nothing at GET {path}."
    assert [record.path for record in caplog.records if record.msg == "no such path"] == [path]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/deployments"),
        ("POST", "/v1/deployments/a/b/predictions"),
        ("PATCH", "/v1/deployments/a/b"),
        ("POST", "/v1/trainings/x/cancel"),
        ("POST", f"/v1/models/{NAMESPACE}/answer/versions/x/trainings"),
    ],
)
async def test_what_is_not_offered_says_so(world: World, method: str, path: str) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.request(method, path, json={})
        assert answer.status_code == 404
        assert answer.json()["title"] == "Not found"
    async with world.gateway() as gateway, gateway.client(None) as nobody:
        assert (await nobody.request(method, path, json={})).status_code == 401


# -- rates -----------------------------------------------------------------------------------


async def test_every_answer_says_what_is_left(world: World) -> None:
    world.rates = {"creates": 600, "others": 3000}
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        read = await caller.get("/v1/account")
        made = await caller.post(PREDICTIONS, json={})
        probe = await caller.get("/healthz")
    assert (read.headers["ratelimit-limit"], read.headers["ratelimit-remaining"]) == (
        "3000",
        "2999",
    )
    assert (made.headers["ratelimit-limit"], made.headers["ratelimit-remaining"]) == ("600", "599")
    assert int(made.headers["ratelimit-reset"]) >= 1
    assert "ratelimit-limit" not in probe.headers


async def test_too_many_is_a_429_that_says_when(world: World) -> None:
    world.rates = {"creates": 2, "others": 5}
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        creates = [await caller.post(PREDICTIONS, json={}) for _ in range(3)]
        assert [each.status_code for each in creates] == [201, 201, 429]
        over = creates[-1]
        assert over.json()["title"] == "Too many requests"
        assert 1 <= int(over.headers["retry-after"]) <= 30
        assert over.headers["ratelimit-remaining"] == "0"
        # Reading, and other callers, have their own.
        assert (await caller.get("/v1/account")).status_code == 200
        async with gateway.client() as other:
            assert (await other.post(PREDICTIONS, json={})).status_code == 201
    assert len(world.cluster.every(RUNS)) == 3


async def test_the_runs_of_a_tree_share_a_larger_one(world: World) -> None:
    world.rates = {"creates": 1, "others": 1, "runCreates": 3, "runOthers": 100}
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid)) as caller:
            made = [await caller.post(PREDICTIONS, json={}) for _ in range(4)]
            reads = [await caller.get("/v1/account") for _ in range(20)]
    assert [each.status_code for each in made] == [201, 201, 201, 429]
    assert {each.status_code for each in reads} == {200}


async def test_a_python_1_client_waits_when_it_is_told_to(world: World, python_1_0: Client) -> None:
    world.rates = {"creates": 100, "others": 60}
    code = """
import json, replicate
print(json.dumps([replicate.Client().accounts.current().username for _ in range(62)][-1]))
"""
    async with world.gateway() as gateway:
        assert await python_1_0.run(gateway, code) == NAMESPACE


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
async def test_the_root_says_what_this_is_and_how_to_begin(world: World, path: str) -> None:
    proxy = {"x-forwarded-host": "mayfly.example.com", "x-forwarded-proto": "https"}
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        answer = await anybody.get(path, headers=proxy)
        head = await anybody.head(path)
        described = await anybody.get("/openapi.json")
    shown = answer.json()
    assert (answer.status_code, head.status_code, described.status_code) == (200, 200, 200)
    assert (shown["name"], shown["version"]) == ("Mayfly", described.json()["info"]["version"])
    assert shown["openapi"] == "https://mayfly.example.com/openapi.json"
    assert "kubectl create token" in shown["token"]
    assert len(answer.content) < 1024
