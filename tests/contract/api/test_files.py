"""Files that callers bring: uploaded, looked at, given as inputs, downloaded, deleted."""

import asyncio
import hashlib
import json
from typing import Any

import pytest
from support.gateway.player import echo, playing
from support.gateway.world import BUILDER, KEY, NAMESPACE, World
from support.tools.clients import Client

from mayfly.gateway.access import run_tokens
from mayfly.kube.kinds import RUNS

DATA = b"GIF89a" + bytes(range(256)) * 40


def content(data: bytes = DATA, name: str = "cat.gif", kind: str = "image/gif") -> Any:
    return {"content": (name, data, kind)}


def kept(world: World) -> list[str]:
    folder = world.folder / "files"
    return [each.name for each in folder.rglob("*") if each.is_file()] if folder.exists() else []


# -- by the real clients ---------------------------------------------------------------------


async def test_python_1_brings_looks_and_deletes(world: World, python_1_0: Client) -> None:
    code = """
import io, json, replicate
file = replicate.files.create(io.BytesIO(b"hello"), filename="a.txt", metadata={"k": [1]})
listed = replicate.files.list()
again = replicate.files.get(file.id)
print(json.dumps([
    file.name, file.content_type, file.size, file.metadata, file.checksums, file.etag != "",
    [each.id for each in listed] == [file.id], again.urls == file.urls,
    replicate.files.delete(file.id), replicate.files.list(),
]))
"""
    async with world.gateway() as gateway:
        shown = await python_1_0.run(gateway, code)
    sums = {
        "sha256": hashlib.sha256(b"hello").hexdigest(),
        "md5": hashlib.md5(b"hello").hexdigest(),
    }
    assert shown == ["a.txt", "text/plain", 5, {"k": [1]}, sums, True, True, True, True, []]
    assert kept(world) == []


async def test_python_2_brings_looks_and_deletes(world: World, python_2_0: Client) -> None:
    code = """
import json, replicate
client = replicate.Replicate()
file = client.files.create(
    content=b"hello", filename="h.txt", type="text/plain", metadata={"a": "b"}
)
again = client.files.get(file_id=file.id)
listed = [each.id for each in client.files.list()]
client.files.delete(file_id=file.id)
print(json.dumps([
    file.size, again.id == file.id, listed == [file.id],
    again.name, again.content_type, again.metadata,
]))
"""
    async with world.gateway() as gateway:
        shown = await python_2_0.run(gateway, code)
    assert shown == [5, True, True, "h.txt", "text/plain", {"a": "b"}]


async def test_javascript_brings_looks_and_deletes(world: World, javascript: Client) -> None:
    code = """
import Replicate from "replicate";
const replicate = new Replicate({ baseUrl: process.env.REPLICATE_BASE_URL });
const file = await replicate.files.create(Buffer.from("hello"), { k: "v" });
const again = await replicate.files.get(file.id);
const listed = (await replicate.files.list()).results.map((each) => each.id);
const gone = await replicate.files.delete(file.id);
console.log(JSON.stringify(
  [file.size, file.metadata, again.id === file.id, listed.length, gone]));
"""
    async with world.gateway() as gateway:
        assert await javascript.run(gateway, code) == [5, {"k": "v"}, True, 1, True]


async def test_a_file_that_was_brought_is_an_input_by_reference(
    world: World, python_1_1: Client
) -> None:
    world.schema(
        {"type": "object", "properties": {"image": {"type": "string", "format": "uri"}}},
        {"title": "Output"},
    )
    code = f"""
import json, pathlib, replicate, tempfile
path = pathlib.Path(tempfile.mkdtemp()) / "in.txt"
path.write_text("hello")
run = replicate.use("{NAMESPACE}/answer").create(image=path)
print(json.dumps(run.output()))
"""
    async with playing(world, echo) as (gateway, player), gateway.client() as caller:
        output = await python_1_1.run(gateway, code)
        (work,) = player.works
        assert json.loads(work["inputJSON"])["image"].startswith("mayfly-file:")
        # What comes out of the run is readable without a token.
        async with gateway.client(None) as anybody:
            got = await anybody.get(output["image"])
        assert (got.status_code, got.content) == (200, b"hello")
        assert (await caller.get(output["image"])).content == b"hello"


# -- by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "written"),
    [
        ("/", "\\/"),  # PHP
        ("http:", "HTTP:"),
        ("http:", "  http:"),
        ("http", "\\u0068ttp"),
        ("127.0.0.1", "bot@127.0.0.1"),
        ("/download", "/download#top"),
        ("/v1/", "/ns/team/v1/"),
    ],
)
async def test_a_link_of_ours_is_an_input_by_reference_however_it_is_written(
    world: World, plain: str, written: str
) -> None:
    world.schema({"type": "object", "properties": {"f": {"type": "string", "format": "uri"}}})
    async with playing(world, echo) as (gateway, player), gateway.client(BUILDER) as caller:
        made = (await caller.post("/v1/files", files=content())).json()
        link = json.dumps(made["urls"]["download"]).replace(plain, written)
        body = f'{{"input": {{"f": {link}, "n": 1.0}}}}'
        kind = {"Content-Type": "application/json", "Prefer": "wait"}
        path = f"/v1/models/{NAMESPACE}/answer/predictions"
        answer = await caller.post(path, content=body, headers=kind)
        assert answer.status_code == 201, answer.text
        (work,) = player.works
    assert work["inputJSON"] == f'{{"f": "mayfly-file:{made["id"]}", "n": 1.0}}'


@pytest.mark.parametrize("blob", [True, False])
async def test_a_large_file_streams_through_with_its_sums(world: World, blob: bool) -> None:
    data = bytes(range(256)) * 40_000
    described = (None, '{"a": 1}', "application/json") if blob else None
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        files = {**content(data, "big.bin", "application/octet-stream")}
        made = await caller.post(
            "/v1/files",
            files={"metadata": described, **files} if described else files,
            data={} if described else {"metadata": '{"a": 1}'},
        )
        assert made.status_code == 201, made.text
        shown = made.json()
        assert shown["checksums"]["md5"] == hashlib.md5(data).hexdigest()
        assert shown["checksums"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert shown["metadata"] == {"a": 1}
        assert shown["urls"]["get"] == f"{gateway.url}/v1/files/{shown['id']}"
        got = await caller.get(shown["urls"]["download"])
        assert got.content == data


def form(*parts: tuple[str, bytes]) -> dict[str, Any]:
    """A form of parts, each with its Content-Disposition as it is."""
    body = b"".join(
        b"--x\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
        for head, data in parts
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return {"content": body + b"--x--\r\n", "headers": kind}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename*=UTF-8''k%C3%B6ln.png", "k\u00f6ln.png"),
        ("filename*=utf-8'de'k%C3%B6ln.png", "k\u00f6ln.png"),
        ("filename*=iso-8859-1''k%F6ln.png", "k\u00f6ln.png"),
        ("filename=\"koeln.png\"; filename*=UTF-8''k%C3%B6ln.png", "k\u00f6ln.png"),
        ("filename=\"koeln.png\"; filename*=UTF-8''%FF", "koeln.png"),
        ('filename="k\u00f6ln.png"', "k\u00f6ln.png"),
        ("filename=k.png", "k.png"),
        ('filename="C:\\temp\\k.png"', "k.png"),
        ("filename*=UTF-8''..%2F..%2Fk.png", "k.png"),
    ],
)
async def test_a_name_is_read_as_any_client_writes_it(
    world: World, parameters: str, name: str
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = await caller.post("/v1/files", **form((f'name="content"; {parameters}', b"x")))
        assert made.status_code == 201, made.text
        assert made.json()["name"] == name


FILE = ('name="content"; filename="upload"', b"x")


@pytest.mark.parametrize("last", [True, False])
async def test_fields_say_what_the_file_is(world: World, last: bool) -> None:
    fields = [
        ('name="filename"', "h\u00e4.txt".encode()),
        ('name="type"', b"text/plain; charset=utf-8"),
        ('name="metadata[a]"', b"b"),
        ('name="metadata[deep][c]"', b"1"),
        ('name="metadata[many][]"', b"x"),
        ('name="metadata[many][]"', b"y"),
        ('name="something else"', b"z"),
    ]
    parts = [FILE, *fields] if last else [*fields, FILE]
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = await caller.post("/v1/files", **form(*parts))
        assert made.status_code == 201, made.text
        shown = (await caller.get(f"/v1/files/{made.json()['id']}")).json()
        got = await caller.get(shown["urls"]["download"])
    assert (shown["name"], shown["content_type"]) == ("h\u00e4.txt", "text/plain")
    assert shown["metadata"] == {"a": "b", "deep": {"c": "1"}, "many": ["x", "y"]}
    assert shown == made.json()
    assert got.headers["content-disposition"].endswith("h%C3%A4.txt")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ([('name="metadata[a]"', b"1"), ('name="metadata[a]"', b"2")], 422, "two values for a"),
        ([('name="metadata[a]"', b"1"), ('name="metadata[a][b]"', b"2")], 422, "two values for a"),
        ([('name="metadata[a][b]"', b"1"), ('name="metadata[a]"', b"2")], 422, "two values for a"),
        ([(f'name="metadata{"[a]" * 20}"', b"1")], 422, "nested more than"),
        ([('name="metadata[a]"', b"1" * 70_000)], 413, "may have at most"),
        ([('name="filename"', b"1" * 5_000)], 413, "may have at most"),
        (
            [('name="metadata[a]"', b"1" * 40_000), ('name="metadata[b]"', b"1" * 40_000)],
            413,
            "may have at most",
        ),
    ],
    ids=range(7),
)
async def test_wrong_fields_are_told_in_words_and_leave_nothing(
    world: World, fields: list[tuple[str, bytes]], status: int, words: str
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.post("/v1/files", **form(FILE, *fields))
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]
    assert kept(world) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\boot.ini", "a\u202egpj.exe", "."])
async def test_a_name_is_no_path(world: World, name: str) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = await caller.post("/v1/files", files=content(name=name))
        assert made.status_code == 201, made.text
        assert made.json()["name"] in {"passwd", "boot.ini", "agpj.exe", "file"}
        got = await caller.get(made.json()["urls"]["download"])
        assert got.content == DATA
    assert len(kept(world)) == 1


async def test_a_page_is_served_as_nothing_that_runs(world: World) -> None:
    page = b"<script>alert(1)</script>"
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = await caller.post("/v1/files", files=content(page, "x.html", "text/html"))
        got = await caller.get(made.json()["urls"]["download"])
    assert got.headers["content-disposition"].startswith("attachment")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"{}", "application/json", 422, "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x", 422, "ends too early"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", 422, "has no name"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "form"),
        (
            b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\nhello',
            "multipart/form-data; boundary=x",
            422,
            "ends too early",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nhello\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            422,
            "has no file content",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\nhello'
            b'\r\n--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n[1]\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            422,
            "metadata must be a JSON object",
        ),
    ],
    ids=range(7),
)
async def test_a_wrong_form_is_told_in_words_and_leaves_nothing(
    world: World, body: bytes, kind: str, status: int, words: str
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.post("/v1/files", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
        assert words in answer.json()["detail"]
    assert kept(world) == []


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(world: World) -> None:
    world.limits["fileBytes"] = 1_000_000
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.post("/v1/files", files=content(b"x" * 1_200_000))
        assert answer.status_code == 413, answer.text
        assert "1000000 bytes" in answer.json()["detail"]
    assert kept(world) == []


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(world: World) -> None:
    head = (
        b"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + BUILDER.encode() + b"\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 900000\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'
    )
    async with world.gateway() as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(head + b"x" * 300_000)
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.close()
        await writer.wait_closed()
        async with gateway.client(BUILDER) as caller:
            assert (await caller.get("/v1/files")).json()["results"] == []
    assert kept(world) == []


async def test_files_are_their_namespaces(world: World) -> None:
    world.cluster.tokens["stranger"] = (
        {"mayfly"},
        {"username": "system:serviceaccount:other:default", "groups": []},
    )
    world.cluster.allowed.add(("system:serviceaccount:other:default", "other"))
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = (await caller.post("/v1/files", files=content())).json()
        async with gateway.client("stranger") as stranger:
            for path in ("", "/download"):
                answer = await stranger.get(f"/v1/files/{made['id']}{path}")
                assert answer.status_code == 404
            assert (await stranger.delete(f"/v1/files/{made['id']}")).status_code == 404
            assert (await stranger.get("/v1/files")).json()["results"] == []
        async with gateway.client() as nowhere:
            answer = await nowhere.get("/v1/files")
            assert answer.status_code == 422
            assert "/ns/<namespace>" in answer.json()["detail"]
            assert (await nowhere.get(f"/ns/{NAMESPACE}/v1/files")).status_code == 200


async def test_a_run_brings_files_and_lists_its_own_trees(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(BUILDER) as person:
            theirs = (await person.post("/v1/files", files=content())).json()
        async with gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid)) as caller:
            made = (await caller.post("/v1/files", files=content())).json()
            listed = (await caller.get("/v1/files")).json()["results"]
            assert [each["id"] for each in listed] == [made["id"]]
            assert (await caller.delete(f"/v1/files/{theirs['id']}")).status_code == 403
            assert (await caller.delete(f"/v1/files/{made['id']}")).status_code == 204


async def test_a_predictions_own_file_is_not_deleted(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(None) as pod:
            stored = await pod.put("/agent/v1/files/a.txt", content=b"x", headers=run.headers())
        identity = stored.json()["id"].removeprefix("mayfly-file:")
        async with gateway.client(BUILDER) as caller:
            assert (await caller.get(f"/v1/files/{identity}")).json()["size"] == 1
            answer = await caller.delete(f"/v1/files/{identity}")
    assert answer.status_code == 403
    assert "belongs to a prediction" in answer.json()["detail"]


async def test_files_are_listed_in_pages(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        for _ in range(103):
            assert (await caller.post("/v1/files", files=content(b"x"))).status_code == 201
        seen: list[str] = []
        url: str | None = "/v1/files"
        while url:
            page = (await caller.get(url)).json()
            seen += [each["id"] for each in page["results"]]
            url = page["next"]
        assert len(seen) == len(set(seen)) == 103
    assert world.cluster.every(RUNS) == []
