"""The web UI's files: types, encodings, caches, and that nothing else can be had by their path."""

import gzip
import os
from pathlib import Path

import httpx
import pytest
from support.gateway.world import World

INDEX = """<!doctype html>
<html><head>
<meta name="mayfly-base" content="" />
<link rel="stylesheet" href="./assets/index-a1.css">
<script type="module" crossorigin src="./assets/index-a1.js"></script>
</head></html>
"""
SCRIPT = b"export const answer = 42;\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    built = tmp_path / "secret" / "web"
    (built / "assets").mkdir(parents=True)
    (built.parent / "key").write_text("secret")
    (built / "index.html").write_text(INDEX)
    assets = built / "assets"
    (assets / "index-a1.js").write_bytes(SCRIPT)
    (assets / "index-a1.js.gz").write_bytes(gzip.compress(SCRIPT))
    (assets / "index-a1.js.br").write_bytes(b"brotli")
    (assets / "index-a1.css").write_text("a {}")
    (assets / "wings-a1.svg").write_text("<svg/>")
    (assets / "data-a1.bin").write_bytes(b"\0")
    (assets / "out.js").symlink_to(built.parent / "key")
    (assets / "same.js").symlink_to("index-a1.js")
    (built / "robots.txt").write_text("User-agent: *\nDisallow: /\n")
    monkeypatch.setenv("MAYFLY_WEB", str(built))
    return built


def raw(path: str, gateway_url: str) -> httpx.Request:
    """A request whose path is sent as it is."""
    request = httpx.Request("GET", gateway_url)
    request.url = request.url.copy_with(raw_path=path.encode())
    return request


async def test_every_page_is_the_index(world: World, folder: Path) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        for path in ("", "runs", "predictions/abc", "models/a/b.c/edit", "index.html"):
            answer = await browser.get(f"/ui/{path}")
            assert answer.status_code == 200, path
            assert 'src="/ui/assets/index-a1.js"' in answer.text
            assert 'href="/ui/assets/index-a1.css"' in answer.text
            assert '<meta name="mayfly-base" content="" />' in answer.text
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
        head = await browser.head("/ui/runs")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(INDEX) + 2 * len("/ui") - 2)
        bare = await browser.get("/ui")
        assert (bare.status_code, bare.headers["location"]) == (308, "/ui/")
        assert (await browser.post("/ui/runs")).status_code == 405


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("assets/index-a1.js", "text/javascript; charset=utf-8"),
        ("assets/index-a1.css", "text/css; charset=utf-8"),
        ("assets/wings-a1.svg", "image/svg+xml"),
        ("assets/data-a1.bin", "application/octet-stream"),
        ("assets/same.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_assets_have_their_type_and_never_change(
    world: World, folder: Path, path: str, content_type: str
) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        answer = await browser.get(f"/ui/{path}")
        assert answer.content == (folder / path).read_bytes()
        assert answer.headers["content-type"] == content_type
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        known = {"if-none-match": f'"x", W/{answer.headers["etag"]}'}
        again = await browser.get(f"/ui/{path}", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        head = await browser.head(f"/ui/{path}")
        assert head.headers["content-length"] == answer.headers["content-length"]


async def test_other_files_are_asked_for_again(world: World, folder: Path) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        answer = await browser.get("/ui/robots.txt")
        assert answer.headers["cache-control"] == "no-cache"
        known = {"if-none-match": answer.headers["etag"]}
        assert (await browser.get("/ui/robots.txt", headers=known)).status_code == 304


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br; q=0", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("identity", None),
        ("br;q=x", None),
        ("", None),
    ],
)
async def test_the_best_encoding_that_is_accepted(
    world: World, folder: Path, accepted: str, encoding: str | None
) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        path = "/ui/assets/index-a1.js"
        request = browser.build_request("GET", path, headers={"accept-encoding": accepted})
        answer = await browser.send(request, stream=True)
        got = b"".join([piece async for piece in answer.aiter_raw()])
        plain = await browser.get(path, headers={"accept-encoding": "identity"})
    assert answer.headers.get("content-encoding") == encoding
    suffix = {None: "", "br": ".br", "gzip": ".gz"}[encoding]
    assert got == (folder / f"assets/index-a1.js{suffix}").read_bytes()
    assert (answer.headers["etag"] == plain.headers["etag"]) is (encoding is None)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/assets/%2e%2e/%2e%2e/key",
        "/ui/assets/..%2f..%2fkey",
        "/ui/assets/....//key",
        "/ui/assets/%00",
        "/ui/assets//etc/passwd",
        "/ui/assets/out.js",
        "/ui/assets/",
        "/ui/assets/index-a1.js.gz",
        "/ui/assets/index-b2.js",
    ],
)
async def test_what_is_no_file_of_ours_is_not_found(world: World, folder: Path, path: str) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        answer = await browser.send(raw(path, gateway.url))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/ui/%2e%2e/key", "/ui/..%2fkey", "/ui//key"])
async def test_a_path_that_climbs_is_a_page_like_any_other(
    world: World, folder: Path, path: str
) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        answer = await browser.send(raw(path, gateway.url))
    assert "mayfly-base" in answer.text
    assert "secret" not in answer.text


async def test_a_missing_folder_says_so_and_may_come_later(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "later"
    monkeypatch.setenv("MAYFLY_WEB", str(built))
    async with world.gateway() as gateway, gateway.client(None) as browser:
        for path in ("/ui/", "/ui/runs", "/ui/assets/x.js"):
            answer = await browser.get(path)
            assert answer.status_code == 404
            assert "The web UI is not installed here" in answer.json()["detail"]
        front = await browser.get("/", headers={"accept": "text/html"})
        assert (front.status_code, front.json()["name"]) == (200, "Mayfly")
        built.mkdir()
        (built / "index.html").write_text(INDEX)
        assert (await browser.get("/ui/")).status_code == 200
        (built / "index.html").write_text(INDEX.replace("a1", "b2"))
        os.utime(built / "index.html", (1, 1))
        assert "index-b2.js" in (await browser.get("/ui/")).text


async def test_browsers_are_led_to_the_pages_and_programs_are_not(
    world: World, folder: Path
) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        accept = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        led = await anybody.get("/", headers=accept)
        assert (led.status_code, led.headers["location"]) == (303, "/ui/")
        assert led.headers["vary"] == "Accept"
        below = await anybody.get("/", headers={**accept, "x-forwarded-prefix": "/ml"})
        assert below.headers["location"] == "/ml/ui/"
        for other in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
            assert (await anybody.get("/", headers=other)).json()["name"] == "Mayfly"
        assert (await anybody.get("/v1", headers=accept)).json()["name"] == "Mayfly"
