"""Sign-in by a proxy: off by default, believed with its secret alone, and no more than that."""

from pathlib import Path

import pytest
from support.gateway.world import BUILDER, NAMESPACE, World

from mayfly.config import GatewayConfig, ProxyAuthConfig
from mayfly.gateway.access.proxy import ProxyAuth

SECRET = "a secret of the proxy's, long enough"
ASKER = {"x-mayfly-proxy-secret": SECRET, "x-forwarded-user": "anna@example.com"}
OWN = {"sec-fetch-site": "same-origin"}


class ProxiedWorld(World):
    """A world whose gateways believe a proxy."""

    def config(self) -> GatewayConfig:
        file = self.folder / "proxy"
        file.write_text(f"{SECRET}\n")
        proxy = ProxyAuthConfig(secret_file=str(file))
        return super().config().model_copy(update={"proxy_auth": proxy})


@pytest.fixture
async def proxied(tmp_path: Path, database_url: str) -> ProxiedWorld:
    world = ProxiedWorld(tmp_path, database_url)
    world.cluster.allowed.add(("anna@example.com", NAMESPACE))
    return world


async def test_by_default_nobody_is_believed(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        assert (await browser.get("/v1/me", headers=ASKER)).status_code == 401


async def test_the_user_and_the_groups_that_it_names(proxied: ProxiedWorld) -> None:
    groups = [("x-forwarded-groups", "a, b"), ("x-forwarded-groups", "c,,a")]
    async with proxied.gateway() as gateway, gateway.client(None) as browser:
        shown = (await browser.get("/v1/me", headers=[*ASKER.items(), *groups])).json()
        assert (shown["name"], shown["kind"], shown["signed_in"]) == (
            "anna@example.com",
            "user",
            "proxy",
        )
        assert shown["groups"] == ["a", "b", "c", "system:authenticated"]
        assert shown["home"] == NAMESPACE
        path = f"/v1/models/{NAMESPACE}/answer/predictions"
        made = await browser.post(path, json={"input": {}}, headers={**ASKER, **OWN})
        assert made.status_code == 201


@pytest.mark.parametrize(
    "changed",
    [
        {"x-mayfly-proxy-secret": "wrong"},
        {"x-mayfly-proxy-secret": SECRET.upper()},
        {"x-mayfly-proxy-secret": ""},
        {"x-forwarded-user": "system:admin"},
        {"x-forwarded-user": "system:serviceaccount:team:builder"},
        {"x-forwarded-groups": "people,system:masters"},
        {"x-forwarded-user": "a" * 1025},
        {"x-forwarded-user": ""},
    ],
)
async def test_who_is_not_believed(proxied: ProxiedWorld, changed: dict) -> None:
    async with proxied.gateway() as gateway, gateway.client(None) as browser:
        answer = await browser.get("/v1/me", headers={**ASKER, **changed})
    assert answer.status_code == 401
    assert SECRET not in answer.text


async def test_past_the_proxy_tokens_and_sessions_are_as_ever(proxied: ProxiedWorld) -> None:
    async with proxied.gateway() as gateway, gateway.client(BUILDER) as caller:
        shown = (await caller.get("/v1/me")).json()
        both = (await caller.get("/v1/me", headers=ASKER)).json()
        assert shown["signed_in"] == both["signed_in"] == "token"
        async with gateway.client(None) as browser:
            session = {"cookie": f"mayfly_session={BUILDER}"}
            kept = (await browser.get("/v1/me", headers=session)).json()
            assert kept["signed_in"] == "cookie"
            # Whom the proxy names counts before what a browser has kept.
            named = (await browser.get("/v1/me", headers={**session, **ASKER})).json()
            assert named["name"] == "anna@example.com"


async def test_other_sites_change_nothing(proxied: ProxiedWorld) -> None:
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    async with proxied.gateway() as gateway, gateway.client(None) as browser:
        for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            answer = await browser.post(path, json={}, headers={**ASKER, **headers})
            assert answer.status_code == 403
        links = await browser.post("/v1/sign-in-links", headers={**ASKER, **OWN})
        assert links.status_code == 403
        session = await browser.post(
            "/ui/session", json={"token": BUILDER}, headers={**ASKER, **OWN}
        )
        assert session.status_code == 422


async def test_each_user_has_a_rate(proxied: ProxiedWorld) -> None:
    proxied.rates = {"creates": 2, "others": 2}
    async with proxied.gateway() as gateway, gateway.client(None) as browser:
        statuses = [(await browser.get("/v1/me", headers=ASKER)).status_code for _ in range(3)]
        other = {**ASKER, "x-forwarded-user": "ben"}
        assert (await browser.get("/v1/me", headers=other)).status_code == 200
    assert statuses == [200, 200, 429]


def test_a_short_secret_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short\n")
    with pytest.raises(ValueError, match="fewer than 16 bytes"):
        ProxyAuth(None, config=ProxyAuthConfig(secret_file=str(tmp_path / "short")))  # type: ignore[arg-type]
