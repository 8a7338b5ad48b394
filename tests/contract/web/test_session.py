"""Sessions of browsers: the cookie, who may send it, and one-time links."""

import asyncio
import base64
import json
import logging
from datetime import timedelta

import httpx
import pytest
from support.gateway.world import BUILDER, KEY, NAMESPACE, READER, Running, World
from support.servers.postgresql import BOTH
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from mayfly.gateway.access import run_tokens
from mayfly.gateway.access.sign_in import SignInCodes, sign_in_codes
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.files.links import file_link
from mayfly.gateway.server import new_id

OWN = {"sec-fetch-site": "same-origin"}
SESSION = {"cookie": f"mayfly_session={READER}"}
OTHER = "other-token"


def jwt(claims: dict) -> str:
    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


async def link(gateway: Running, token: str = READER) -> str:
    """A sign-in link."""
    async with gateway.client(token) as caller:
        made = await caller.post("/v1/sign-in-links")
    assert made.status_code == 201, made.text
    return made.json()["url"]


async def enter(gateway: Running, **by: str) -> httpx.Response:
    async with gateway.client(None) as anybody:
        return await anybody.post("/ui/session", json=by)


# -- the cookie ------------------------------------------------------------------------------


async def test_a_token_becomes_a_cookie_that_no_script_reads(world: World) -> None:
    async with world.gateway() as gateway:
        answer = await enter(gateway, token=f"  Bearer {READER}\n")
        assert answer.status_code == 200
        assert answer.headers["set-cookie"] == (
            f"mayfly_session={READER}; Path=/; HttpOnly; SameSite=Strict"
        )
        assert answer.headers["cache-control"] == "no-store"
        assert (answer.json()["name"], answer.json()["signed_in"]) == ("reader", "cookie")
        async with gateway.client(None) as browser:
            browser.cookies = answer.cookies
            me = await browser.get("/v1/me")
    assert (me.json()["name"], me.json()["signed_in"]) == ("reader", "cookie")


@pytest.mark.parametrize(
    ("headers", "name", "attributes"),
    [
        (
            {"x-forwarded-proto": "https"},
            "__Host-mayfly_session",
            "Path=/; HttpOnly; SameSite=Strict; Secure",
        ),
        (
            {"x-forwarded-proto": "https", "x-forwarded-prefix": "/tools/mayfly"},
            "mayfly_session",
            "Path=/tools/mayfly/; HttpOnly; SameSite=Strict; Secure",
        ),
    ],
)
async def test_the_cookie_is_bound_to_tls_host_and_path(
    world: World, headers: dict, name: str, attributes: str
) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        made = await browser.post("/ui/session", json={"token": READER}, headers=headers)
        assert made.headers["set-cookie"] == f"{name}={READER}; {attributes}"
        sent = {**headers, **OWN, "cookie": f"{name}={READER}"}
        assert (await browser.get("/v1/me", headers=sent)).status_code == 200
        ended = await browser.delete("/ui/session", headers=sent)
        assert ended.status_code == 204
        assert ended.headers["set-cookie"] == f"{name}=; {attributes}; Max-Age=0"


async def test_a_cookie_of_another_name_or_shape_is_none(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        for cookie, headers in (
            (f"__Host-mayfly_session={READER}", {}),
            (f"mayfly_session={READER}", {"x-forwarded-proto": "https"}),
            (f'mayfly_session="{READER}"', {}),
            (f"mayfly_session={READER}\\", {}),
            (f"x=1; mayfly_session=wrong; mayfly_session={READER}", {}),
            ("mayfly_session=", {}),
        ):
            answer = await browser.get("/v1/me", headers={**headers, "cookie": cookie})
            assert answer.status_code == 401, cookie
        found = await browser.get("/v1/me", headers={"cookie": f"a=b; mayfly_session={READER}"})
        assert found.status_code == 200


async def test_a_cookie_lives_as_long_as_its_token(world: World) -> None:
    expires = int((world.clock() + timedelta(hours=8)).timestamp())
    token = jwt({"exp": expires})
    world.cluster.tokens[token] = world.cluster.tokens[READER]
    async with world.gateway() as gateway:
        answer = await enter(gateway, token=token)
    age = int(answer.headers["set-cookie"].partition("Max-Age=")[2])
    assert 8 * 3600 - 60 < age <= 8 * 3600
    assert answer.json()["expires_at"] is not None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"token": "wrong"}, 401),
        ({"token": ""}, 401),
        ({"token": "two words"}, 401),
        ({"token": "naïve"}, 401),
        ({"token": "a\u0000b"}, 401),
        ({"token": 'a"b'}, 422),
        ({"token": "a;b"}, 422),
        ({"token": "a" * 3801}, 422),
        ({"token": READER, "code": "x"}, 422),
        ({"token": None}, 422),
        ({"name": "x"}, 422),
        ([READER], 422),
    ],
)
async def test_what_is_no_token_says_so(world: World, body: object, status: int) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        answer = await anybody.post("/ui/session", json=body)
        assert (await anybody.post("/ui/session", content=b"[" * 9999)).status_code == 422
        assert (await anybody.post("/ui/session", content=b"a" * 70_000)).status_code == 413
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    if status == 401:
        assert "kubectl create token" in answer.json()["detail"]


# -- what the cookie changes -----------------------------------------------------------------

NO_SITE = None
SITES = ("same-origin", "same-site", "cross-site", "none", NO_SITE)
ORIGINS = ("own", "http://evil.example", "null", None)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
async def test_only_our_own_pages_change_something_with_a_cookie(world: World, method: str) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        for site in SITES:
            for origin in ORIGINS:
                headers = dict(SESSION)
                if site is not None:
                    headers["sec-fetch-site"] = site
                if origin is not None:
                    headers["origin"] = gateway.url if origin == "own" else origin
                answer = await browser.request(method, "/v1/predictions/x/cancel", headers=headers)
                counts = site == "same-origin" or (site is None and origin == "own")
                forged = answer.status_code == 403 and "own pages" in answer.json()["detail"]
                assert forged is not counts, (site, origin)


async def test_reading_needs_no_page_of_ours(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        for site in ("none", "cross-site"):
            headers = {**SESSION, "sec-fetch-site": site}
            for path in (f"/ns/{NAMESPACE}/v1/predictions", "/v1/account"):
                assert (await browser.get(path, headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "http://evil"}])
async def test_another_site_signs_nobody_in(world: World, headers: dict) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        answer = await browser.post("/ui/session", json={"token": READER}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_header_counts_before_the_cookie(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        me = (await caller.get("/v1/me", headers=SESSION)).json()
        assert (me["namespace"], me["signed_in"]) == (NAMESPACE, "token")
        # No page of another site can send that header, so nothing is asked of the sender.
        forged = {**SESSION, "sec-fetch-site": "cross-site"}
        assert (await caller.post("/v1/sign-in-links", headers=forged)).status_code == 201
        for other in ("Bearer wrong", "Basic cmVhZGVy", ""):
            answer = await caller.get("/v1/me", headers={**SESSION, "authorization": other})
            assert answer.status_code == 401, other


async def test_a_session_has_the_rate_of_its_token(world: World) -> None:
    world.rates = {"creates": 100, "others": 5}
    async with world.gateway() as gateway, gateway.client(None) as browser:
        statuses = [(await browser.get("/v1/me", headers=SESSION)).status_code for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        async with gateway.client(READER) as caller:
            assert (await caller.get("/v1/me")).status_code == 429
        # Who has no session yet, and what pages load, is not counted with it.
        assert (await browser.get("/v1/me")).status_code == 401
        for _ in range(9):
            assert (await browser.get("/ui/assets/x.js")).status_code == 404


async def test_agents_have_no_session(world: World) -> None:
    run = world.claimed()
    cookie = {"cookie": f"mayfly_session={run.pod_token}", "mayfly-session": run.secret, **OWN}
    async with world.gateway() as gateway, gateway.client(None) as browser:
        path = "/agent/v1/session/anything"
        without = await browser.get(path)
        assert (await browser.get(path, headers=cookie)).status_code == without.status_code
        address = f"ws://127.0.0.1:{gateway.port}/agent/v1/session"
        with pytest.raises(ConnectionClosed) as closed:
            async with connect(address, additional_headers=cookie) as connection:
                await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_signed_links_need_no_cookie_and_run_nothing(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        form = {"content": ("x.html", b"<script>alert(1)</script>", "text/html")}
        stored = (await caller.post("/v1/files", files=form)).json()
        link_to = file_link(KEY, gateway.url, stored["id"], "x.html", world.clock())
        async with gateway.client(None) as browser:
            answers = [
                await browser.get(link_to, headers=headers)
                for headers in ({}, SESSION, {"cookie": "mayfly_session=expired"})
            ]
        answers.append(await caller.get(f"/v1/files/{stored['id']}/download"))
    for sent in answers:
        assert sent.status_code == 200
        assert sent.headers["content-disposition"].startswith("attachment")
        assert sent.headers["x-content-type-options"] == "nosniff"
        assert sent.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert "access-control-allow-credentials" not in sent.headers


# -- links -----------------------------------------------------------------------------------


@BOTH
async def test_a_link_signs_in_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with world.gateway() as gateway, world.gateway() as another:
            url = await link(gateway)
            base, _, code = url.partition("#")
            assert base == f"{gateway.url}/ui/sign-in"
            assert READER not in url
            # With several gateways, any of them.
            first = await enter(another, code=code)
            assert (first.status_code, first.json()["name"]) == (200, "reader")
            assert f"mayfly_session={READER};" in first.headers["set-cookie"]
            for each in (gateway, another):
                again = await enter(each, code=code)
                assert again.status_code == 401
                assert "was used already" in again.json()["detail"]
                assert "set-cookie" not in again.headers
    ours = [each for each in caplog.records if not each.name.startswith("http")]
    said = "\n".join(f"{each.getMessage()} {vars(each)}" for each in ours)
    assert ours
    assert code not in said
    assert READER not in said


@BOTH
async def test_of_two_at_the_same_time_one_is_signed_in(world: World) -> None:
    async with world.gateway() as gateway, world.gateway() as another:
        code = (await link(gateway)).partition("#")[2]
        answers = await asyncio.gather(
            *(enter(each, code=code) for each in (gateway, another, gateway, another))
        )
    assert sorted(each.status_code for each in answers) == [200, 401, 401, 401]


async def test_a_link_expires_and_is_forgotten(world: World) -> None:
    async with world.gateway() as gateway:
        used, late = [(await link(gateway)).partition("#")[2] for _ in range(2)]
        assert (await enter(gateway, code=used)).status_code == 200
        world.clock.ahead = timedelta(minutes=5, seconds=1)
        answer = await enter(gateway, code=late)
        assert answer.status_code == 401
        assert "expired" in answer.json()["detail"]
        assert "expired" in (await enter(gateway, code=used)).json()["detail"]
        process = gateway.gateway.process
        async with process.database.read() as tx:
            assert (await tx.execute(sign_in_codes.select())).all() == []  # by their first use
        await link(gateway)
        world.clock.ahead *= 2
        await gateway.gateway.cleanup.sweep.once()
        async with process.database.read() as tx:
            assert (await tx.execute(sign_in_codes.select())).all() == []


async def test_a_code_of_another_gateway_or_of_nobody_is_refused(world: World) -> None:
    async with world.gateway() as gateway:
        process = gateway.gateway.process
        key = SigningKey(b"another installation's signing key")
        theirs = SignInCodes(database=process.database, key=key, clock=world.clock, new_id=new_id)
        await theirs.make(READER)
        good = (await link(gateway)).partition("#")[2]
        changed = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
        for code in (
            changed,
            good[:-1],
            good[:20],
            "",
            "é",
            "=",
            "A" * 50_000,
            "a b",
        ):
            answer = await enter(gateway, code=code)
            assert answer.status_code == 401, code
            assert "is not of this gateway" in answer.json()["detail"]
        assert (await enter(gateway, code=good)).status_code == 200


async def test_the_database_alone_gives_no_token_away(world: World) -> None:
    async with world.gateway() as gateway:
        code = (await link(gateway)).partition("#")[2]
        async with gateway.gateway.process.database.read() as tx:
            (row,) = (await tx.execute(sign_in_codes.select())).all()
    for secret in (code, READER):
        assert secret not in row.digest
        assert secret.encode() not in row.sealed


async def test_who_is_signed_in_is_no_error_for_nobody(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        nobody = await browser.get("/ui/session")
        somebody = await browser.get("/ui/session", headers=SESSION)
    assert (nobody.status_code, nobody.json()) == (200, None)
    assert somebody.json()["name"] == "reader"


async def test_a_link_whose_token_was_revoked_signs_nobody_in(world: World) -> None:
    world.cluster.tokens[OTHER] = world.cluster.tokens[READER]
    async with world.gateway() as gateway:
        code = (await link(gateway, OTHER)).partition("#")[2]
        del world.cluster.tokens[OTHER]
        world.clock.ahead = timedelta(seconds=30)  # answers of reviews are cached for less
        answer = await enter(gateway, code=code)
    assert answer.status_code == 401
    assert "kubectl create token" in answer.json()["detail"]


async def test_who_gets_no_link(world: World) -> None:
    run = world.claimed()
    long = "a" * 4000
    world.cluster.tokens[long] = world.cluster.tokens[READER]
    async with world.gateway() as gateway, run.working(gateway):
        async with gateway.client(None) as browser:
            assert (await browser.post("/v1/sign-in-links")).status_code == 401
            # A session stays in its browser: no script of a page can carry it away.
            kept = await browser.post("/v1/sign-in-links", headers={**SESSION, **OWN})
            assert kept.status_code == 403
        async with gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid)) as caller:
            assert (await caller.post("/v1/sign-in-links")).status_code == 403
        async with gateway.client(long) as caller:
            assert (await caller.post("/v1/sign-in-links")).status_code == 422
