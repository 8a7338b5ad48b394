"""Models as clients see them: found, made, changed, deleted, with their versions."""

import asyncio
import io
import json
import tarfile
from typing import Any

import pytest
from support.gateway.player import gives, playing
from support.gateway.world import BUILDER, KEY, NAMESPACE, World
from support.tools.clients import Client

from mayfly.gateway.access import run_tokens
from mayfly.kube.errors import Refused
from mayfly.kube.kinds import MODELS, PIPELINES, RUNS, VERSIONS
from mayfly.reconcile.pipeline import NO_SOURCE

VERSION = "c" * 64
MODELS_PATH = "/v1/models"
ANSWER = f"{MODELS_PATH}/{NAMESPACE}/answer"
SOURCE = "def main(n: int = 1) -> int:\n    return n\n"


def archive(files: dict[str, bytes], **kinds: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, kind in kinds.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    return out.getvalue()


# -- by the real clients ---------------------------------------------------------------------


async def test_python_1_finds_models_and_versions(world: World, python_1_0: Client) -> None:
    async with world.gateway() as gateway:
        shown = await python_1_0.run(
            gateway,
            f"""
import json, replicate
model = replicate.models.get("{NAMESPACE}/answer")
versions = model.versions.list().results
print(json.dumps({{
    "latest": model.latest_version.id, "count": model.run_count,
    "versions": [each.id for each in versions],
    "one": model.versions.get(versions[0].id).cog_version,
    "schema": sorted(versions[0].openapi_schema),
    "listed": [each.name for page in replicate.paginate(replicate.models.list) for each in page],
    "found": [each.name for each in replicate.models.search("answer").results],
    "none": [each.name for each in replicate.models.search("nothing at all").results],
}}))
""",
        )
    assert shown == {
        "latest": VERSION,
        "count": 0,
        "versions": [VERSION],
        "one": "0.23.1",
        "schema": ["components", "openapi"],
        "listed": ["answer"],
        "found": ["answer"],
        "none": [],
    }


async def test_python_2_finds_models_and_versions(world: World, python_2_0: Client) -> None:
    async with world.gateway() as gateway:
        shown = await python_2_0.run(
            gateway,
            f"""
import json, replicate
client = replicate.Replicate()
one = dict(model_owner="{NAMESPACE}", model_name="answer")
print(json.dumps({{
    "latest": client.models.get(**one).latest_version.id,
    "versions": [each.id for each in client.models.versions.list(**one)],
    "listed": [each.name for each in client.models.list()],
    "found": [each.name for each in client.models.search(body="answer")],
    "search": [each.model.name for each in client.search(query="answer").models],
    "readme": client.models.readme.get(**one),
    "examples": [each for each in client.models.examples.list(**one)],
}}))
""",
        )
    assert shown == {
        "latest": VERSION,
        "versions": [VERSION],
        "listed": ["answer"],
        "found": ["answer"],
        "search": ["answer"],
        "readme": "# answer\n\n\n",
        "examples": [],
    }


async def test_javascript_finds_models_and_versions(world: World, javascript: Client) -> None:
    async with world.gateway() as gateway:
        shown = await javascript.run(
            gateway,
            f"""
import Replicate from "replicate";
const replicate = new Replicate({{ baseUrl: process.env.REPLICATE_BASE_URL }});
const model = await replicate.models.get("{NAMESPACE}", "answer");
const versions = await replicate.models.versions.list("{NAMESPACE}", "answer");
const listed = [];
for await (const page of replicate.paginate(replicate.models.list)) listed.push(...page);
console.log(JSON.stringify({{
  latest: model.latest_version.id,
  versions: versions.results.map((each) => each.id),
  listed: listed.map((each) => each.name),
  found: (await replicate.models.search("answer")).results.map((each) => each.name),
}}));
""",
        )
    assert shown == {
        "latest": VERSION,
        "versions": [VERSION],
        "listed": ["answer"],
        "found": ["answer"],
    }


@pytest.mark.parametrize("pin", ["", f":{VERSION}"])
async def test_use_runs_a_pipeline_like_a_function(
    world: World, python_1_1: Client, pin: str
) -> None:
    output = {"type": "array", "items": {"type": "integer"}, "title": "Output"}
    world.schema({"type": "object", "properties": {"n": {"type": "integer"}}}, output)
    code = f"""
import json, replicate
answer = replicate.use("{NAMESPACE}/answer{pin}")
first = answer(n=1)
run = answer.create(n=2)
print(json.dumps([first, run.output(), run.logs()]))
"""
    async with playing(world, gives([4, 2])) as (gateway, player):
        assert await python_1_1.run(gateway, code) == [[4, 2], [4, 2], ""]
    assert [json.loads(work["inputJSON"]) for work in player.works] == [{"n": 1}, {"n": 2}]


async def test_use_of_the_2_line_runs_it_too(world: World, python_2_0: Client) -> None:
    world.schema({"type": "object", "properties": {}}, {"type": "string", "title": "Output"})
    code = f"""
import json, replicate
print(json.dumps(replicate.use("{NAMESPACE}/answer")()))
"""
    async with playing(world, gives("word")) as (gateway, _):
        assert await python_2_0.run(gateway, code) == "word"


async def test_python_1_deletes_a_model(world: World, python_1_0: Client) -> None:
    code = f"""
import json, replicate
print(json.dumps(replicate.models.delete("{NAMESPACE}/answer") is None))
"""
    async with world.gateway() as gateway:
        await python_1_0.run(gateway, code)
    assert world.cluster.every(PIPELINES) == []


# -- made and changed ------------------------------------------------------------------------


CREATES = {
    "python_1_0": f"""
import json, replicate
made = replicate.models.create("{NAMESPACE}", "mine", visibility="private", hardware="cpu")
print(json.dumps([made.owner, made.name, made.visibility, made.latest_version]))
""",
    "python_2_0": f"""
import json, replicate
made = replicate.models.create(
    owner="{NAMESPACE}", name="mine", visibility="private", hardware="cpu"
)
print(json.dumps([made.owner, made.name, made.visibility, made.latest_version]))
""",
    "javascript": f"""
import Replicate from "replicate";
const replicate = new Replicate({{ baseUrl: process.env.REPLICATE_BASE_URL }});
const made = await replicate.models.create("{NAMESPACE}", "mine", {{
  visibility: "private", hardware: "cpu"
}});
console.log(JSON.stringify([made.owner, made.name, made.visibility, made.latest_version]));
""",
}


@pytest.mark.parametrize("client", CREATES)
async def test_a_model_made_without_source_is_filled_by_a_later_version(
    world: World, client: str, request: pytest.FixtureRequest
) -> None:
    path = f"{MODELS_PATH}/{NAMESPACE}/mine"
    used: Client = request.getfixturevalue(client)
    async with playing(world) as (gateway, _), gateway.client(BUILDER) as caller:
        assert await used.run(gateway, CREATES[client]) == [NAMESPACE, "mine", "private", None]
        again = await caller.post(MODELS_PATH, json={"owner": NAMESPACE, "name": "mine"})
        assert again.status_code == 409
        assert (await caller.get(f"{path}/versions")).json()["results"] == []
        assert (await caller.get(path)).json()["problem"] == NO_SOURCE
        called = await caller.post(f"{path}/predictions", json={"input": {}})
        assert (called.status_code, NO_SOURCE in called.json()["detail"]) == (422, True)
        pushed = await caller.post(f"{path}/versions", json={"source": SOURCE})
        assert pushed.status_code == 201, pushed.text
        shown = (await caller.get(path)).json()
        assert (shown["latest_version"]["id"], shown["problem"]) == (pushed.json()["id"], None)
        ran = await caller.post(f"{path}/predictions", json={"input": {}})
        assert ran.status_code == 201, ran.text
    stored = world.cluster.now(PIPELINES, NAMESPACE, "mine")["spec"]
    assert stored == {"visibility": "private", "source": {"inline": SOURCE}}


@pytest.mark.parametrize("field", ["alias", "concurrency", "price"])
async def test_a_model_without_its_server_is_told_what_to_send(world: World, field: str) -> None:
    values = {"alias": "a/b", "concurrency": 2, "price": []}
    body = {"owner": NAMESPACE, "name": "mine", field: values[field]}
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(MODELS_PATH, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert '"endpoint"' in answer.json()["detail"]


async def test_python_1_deletes_a_version_that_nothing_uses(
    world: World, python_1_0: Client
) -> None:
    code = """
import json, replicate
model = replicate.models.get("{namespace}/mine")
model.versions.delete("{old}")
print(json.dumps([each.id for each in model.versions.list()]))
"""
    body = {"owner": NAMESPACE, "name": "mine", "source": SOURCE}
    async with playing(world) as (gateway, _), gateway.client() as caller:
        old = (await caller.post(MODELS_PATH, json=body)).json()["latest_version"]["id"]
        path = f"{MODELS_PATH}/{NAMESPACE}/mine"
        changed = await caller.patch(path, json={"source": SOURCE + "# more\n"})
        left = await python_1_0.run(gateway, code.format(namespace=NAMESPACE, old=old))
        assert left == [changed.json()["latest_version"]["id"]]
        assert old not in {each["spec"]["id"] for each in world.cluster.every(VERSIONS)}
        again = await caller.delete(f"{path}/versions/{old}")
        assert again.status_code == 404


async def test_a_version_that_something_uses_stays(world: World) -> None:
    run = world.claimed()
    path = f"{ANSWER}/versions/{VERSION}"
    async with world.gateway() as gateway, gateway.client() as caller:
        latest = await caller.delete(path)
        world.cluster.edit(
            PIPELINES, NAMESPACE, "answer", lambda body: body["status"].update(latestVersion=None)
        )
        for _ in range(100):
            if (await caller.get(ANSWER)).json()["latest_version"] is None:
                break
            await asyncio.sleep(0.02)
        used = await caller.delete(path)
        missing = await caller.delete(f"{ANSWER}/versions/{'d' * 64}")
    assert (latest.status_code, used.status_code, missing.status_code) == (409, 409, 404)
    assert "push another one first" in latest.json()["detail"]
    assert f'"{NAMESPACE}/{run.name}" uses this version' in used.json()["detail"]
    assert VERSION in {each["spec"]["id"] for each in world.cluster.every(VERSIONS)}


async def test_a_pipeline_is_made_of_its_source(world: World) -> None:
    body = {"owner": NAMESPACE, "name": "mine", "visibility": "public", "hardware": "cpu"}
    async with playing(world) as (gateway, _), gateway.client(BUILDER) as caller:
        made = await caller.post(MODELS_PATH, json={**body, "source": SOURCE})
        assert made.status_code == 201, made.text
        shown = made.json()
        assert (shown["owner"], shown["name"], shown["visibility"]) == (NAMESPACE, "mine", "public")
        assert len(shown["latest_version"]["id"]) == 64
        ran = await caller.post("/v1/predictions", json={"version": shown["latest_version"]["id"]})
        assert ran.status_code == 201, ran.text
        again = await caller.post(MODELS_PATH, json={**body, "source": SOURCE})
        assert again.status_code == 409
        assert "exists already" in again.json()["detail"]
        run = await world.cluster.first(RUNS)
        await gateway.closed(run["metadata"]["uid"])
        counted = (await caller.get(f"{MODELS_PATH}/{NAMESPACE}/mine")).json()
        listed = (await caller.get(MODELS_PATH)).json()["results"]
    assert counted["run_count"] == 1
    assert [each["name"] for each in listed] == ["mine", "answer"]
    stored = world.cluster.now(PIPELINES, NAMESPACE, "mine")["spec"]
    assert stored == {"visibility": "public", "source": {"inline": SOURCE}}


async def test_a_model_is_made_of_its_server(world: World) -> None:
    body = {
        "owner": NAMESPACE,
        "name": "llama",
        "endpoint": {"service": {"name": "llama"}},
        "alias": "meta/llama",
        "hardware": "gpu-l40s",
    }
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await caller.post(MODELS_PATH, json=body)
        assert made.status_code == 201, made.text
        # Its alias holds in its own namespace.
        found = await caller.get(f"/ns/{NAMESPACE}/v1/models/meta/llama")
        assert (found.json()["owner"], found.json()["name"]) == ("meta", "llama")
    stored = world.cluster.now(MODELS, NAMESPACE, "llama")["spec"]
    assert stored["endpoint"] == {"service": {"name": "llama", "port": 5000}}
    assert stored["alias"] == "meta/llama"


async def test_a_secret_that_one_may_not_read_makes_no_model(world: World) -> None:
    world.cluster.denied.add(("reader", "get", "secrets"))
    body = {
        "owner": NAMESPACE,
        "name": "llama",
        "replicate": {"model": "meta/llama", "tokenSecretRef": {"name": "token", "key": "key"}},
    }
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await caller.post(MODELS_PATH, json=body)
    assert made.status_code == 403
    assert "may not get secrets token in the namespace" in made.json()["detail"]
    assert world.cluster.every(MODELS) == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "mine", "source": "def main(:\n"}, 422, "main.py"),
        ({"name": "mine", "source": "x = 1\n"}, 422, "main"),
        ({"name": "mine", "source": SOURCE, "files": {"main.py": SOURCE}}, 422, "one of source"),
        ({"name": "mine", "source": SOURCE, "visibility": "secret"}, 422, "visibility"),
        ({"name": "mine", "source": SOURCE, "hardware": "gpu-t4"}, 422, "there is: default"),
        ({"name": "mine", "source": "#" * 200_000}, 422, "source"),
        ({"source": SOURCE}, 422, "name is missing"),
        ([], 422, "JSON"),
    ],
)
async def test_a_wrong_model_is_told_in_words(
    world: World, body: Any, status: int, words: str
) -> None:
    body = {"owner": NAMESPACE, **body} if isinstance(body, dict) else body
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(MODELS_PATH, json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert len(world.cluster.every(PIPELINES)) == 1


@pytest.mark.parametrize(("code", "status"), [(422, 422), (403, 403)])
async def test_what_the_cluster_refuses_is_told_in_its_words(
    world: World, code: int, status: int
) -> None:
    def refuse(verb: str, _body: Any) -> None:
        if verb == "POST":
            raise Refused(code, 'Pipeline "x" is invalid: the policy says no')

    body = {"owner": NAMESPACE, "name": "x", "source": SOURCE}
    async with world.gateway() as gateway, gateway.client() as caller:
        world.cluster.on_write = refuse
        answer = await caller.post(MODELS_PATH, json=body)
    assert answer.status_code == status
    assert "the policy says no" in answer.json()["detail"]


async def test_a_change_replaces_the_files_and_makes_a_version(world: World) -> None:
    body = {"owner": NAMESPACE, "name": "mine", "files": {"main.py": SOURCE, "old.py": ""}}
    async with playing(world) as (gateway, _), gateway.client() as caller:
        first = (await caller.post(MODELS_PATH, json=body)).json()
        path = f"{MODELS_PATH}/{NAMESPACE}/mine"
        changed = await caller.patch(
            path, json={"files": {"main.py": SOURCE, "README.md": "# Hi"}, "description": "Mine"}
        )
        assert changed.status_code == 200, changed.text
        second = changed.json()
        assert second["description"] == "Mine"
        assert second["latest_version"]["id"] != first["latest_version"]["id"]
        listed = (await caller.get(f"{path}/versions")).json()["results"]
        assert [each["id"] for each in listed] == [
            second["latest_version"]["id"],
            first["latest_version"]["id"],
        ]
        readme = await caller.get(f"{path}/readme")
        assert (readme.text, readme.headers["content-type"]) == (
            "# Hi",
            "text/plain; charset=utf-8",
        )
        tar = await caller.get(f"{path}/versions/{second['latest_version']['id']}/source")
        with tarfile.open(fileobj=io.BytesIO(tar.content)) as source:
            assert source.getnames() == ["README.md", "main.py"]
    stored = world.cluster.now(PIPELINES, NAMESPACE, "mine")["spec"]["source"]
    assert stored == {"files": {"main.py": SOURCE, "README.md": "# Hi"}}


async def test_nobody_without_the_right_changes_anything(world: World) -> None:
    for verb in ("create", "patch", "delete"):
        world.cluster.denied.add(("reader", verb, "pipelines"))
    body = {"owner": NAMESPACE, "name": "mine", "source": SOURCE}
    async with world.gateway() as gateway, gateway.client() as caller:
        answers = [
            await caller.post(MODELS_PATH, json=body),
            await caller.patch(ANSWER, json={"description": "x"}),
            await caller.delete(ANSWER),
            await caller.post(f"{ANSWER}/versions", json={"source": SOURCE}),
            await caller.delete(f"{ANSWER}/versions/{VERSION}"),
        ]
    assert [each.status_code for each in answers] == [403] * 5
    assert answers[1].json()["detail"] == (
        '"reader" may not patch pipelines in the namespace "team". Who administers it can allow '
        "that: kubectl create rolebinding mayfly-edit -n team --clusterrole=edit --user=reader"
    )
    assert sum(count for (_, plural), count in world.cluster.writes.items()) == 0


async def test_a_runs_token_reads_models_and_changes_none(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid)) as caller:
            assert (await caller.get(ANSWER)).status_code == 200
            assert len((await caller.get(MODELS_PATH)).json()["results"]) == 1
            body = {"owner": NAMESPACE, "name": "mine", "source": SOURCE}
            answers = [
                await caller.post(MODELS_PATH, json=body),
                await caller.patch(ANSWER, json={"description": "x"}),
                await caller.delete(ANSWER),
                await caller.delete(f"{ANSWER}/versions/{VERSION}"),
                await caller.get(f"{ANSWER}/versions/{VERSION}/source"),
            ]
    assert [each.status_code for each in answers] == [403] * 5
    assert "run's token may not" in answers[0].json()["detail"]


async def test_a_stranger_sees_public_pipelines_alone(world: World) -> None:
    world.cluster.tokens["stranger"] = ({"mayfly"}, {"username": "stranger", "groups": []})
    async with world.gateway() as gateway, gateway.client("stranger") as caller:
        assert (await caller.get(MODELS_PATH)).json()["results"] == []
        assert (await caller.get(ANSWER)).status_code == 404
        world.cluster.edit(
            PIPELINES, NAMESPACE, "answer", lambda body: body["spec"].update(visibility="public")
        )
        for _ in range(100):
            shown = (await caller.get(MODELS_PATH)).json()["results"]
            if shown:
                break
        assert [each["name"] for each in shown] == ["answer"]
        assert (await caller.get(ANSWER)).status_code == 200


async def test_models_are_listed_in_pages(world: World) -> None:
    for number in range(150):
        body = {
            "metadata": {"name": f"p{number}", "namespace": NAMESPACE},
            "spec": {"source": {"inline": SOURCE}},
        }
        world.cluster.add(PIPELINES, body)
    names: list[str] = []
    async with world.gateway() as gateway, gateway.client() as caller:
        await gateway.gateway.cache.directory.synced()
        url: str | None = f"/ns/{NAMESPACE}/v1/models"
        while url:
            page = (await caller.get(url)).json()
            names += [each["name"] for each in page["results"]]
            url = page["next"]
            assert url is None or url.startswith(f"{gateway.url}/ns/{NAMESPACE}/v1/models?cursor=")
    assert len(names) == len(set(names)) == 151


# -- pushed ----------------------------------------------------------------------------------


async def test_an_old_cog_push_makes_and_releases_a_version(world: World) -> None:
    files = {
        "./main.py": b"def run() -> str:\n    return 'x'\n",
        "cog.yaml": b'build:\n  python_version: "3.13"\npredict: "main.py:run"\n',
        ".git/config": b"\xff\xfe",
        "__pycache__/main.pyc": b"\x00",
    }
    path = f"{MODELS_PATH}/{NAMESPACE}/pushed"
    async with playing(world) as (gateway, _), gateway.client() as caller:
        made = await caller.post(
            f"{path}/versions",
            data={"openapi_schema": "{}"},
            files={"source_archive": ("source_archive.tar.gz", archive(files))},
        )
        assert made.status_code == 201, made.text
        released = await caller.post(f"{path}/releases", json={"version": made.json()["id"]})
        assert released.status_code == 204
        older = await caller.post(f"{path}/releases", json={"version": "d" * 64})
        assert older.status_code == 409
    spec = world.cluster.now(PIPELINES, NAMESPACE, "pushed")["spec"]
    assert set(spec["source"]["files"]) == {"main.py", "cog.yaml"}
    assert spec["entrypoint"] == "main.py:run"


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"no gzip", 422, "is not a gzip file"),
        (archive({"main.py": b"x"})[:-20], 422, "truncated"),
        (archive({"../main.py": b"x"}), 422, "is not a relative path"),
        (archive({"/etc/main.py": b"x"}), 422, "is not a relative path"),
        (archive({"main.py": b"\xff\x00"}), 422, "is not text"),
        (archive({"main.py": b"x" * 140_000}), 413, "131072 bytes"),
        (archive({"main.py": b"\0" * 9_000_000}), 413, "unpacks to more than"),
        (archive({f"f{n}.py": b"" for n in range(70)}), 413, "64 files"),
        (archive({}, link=tarfile.SYMTYPE), 422, "is not a regular file"),
        (archive({}, device=tarfile.CHRTYPE), 422, "is not a regular file"),
        (archive({}), 422, "has no source file"),
    ],
    ids=range(11),
)
async def test_a_wrong_archive_is_told_in_words(
    world: World, data: bytes, status: int, words: str
) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(
            f"{ANSWER}/versions", files={"source_archive": ("source_archive.tar.gz", data)}
        )
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert world.cluster.writes["PATCH", "pipelines"] == 0
