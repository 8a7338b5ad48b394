"""Every page of the web UI: for everybody, at each width, below a path, in many tabs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect
from support.browser import Watched, watched
from support.gateway.proxy import stripping
from support.gateway.serve import ADMIN, STRANGER, serving
from support.gateway.world import NAMESPACE, READER, Running

from localcluster.builds import web

PAGES = (
    "runs",
    "models",
    f"models/{NAMESPACE}/draw",
    f"models/{NAMESPACE}/draw?tab=versions",
    f"models/{NAMESPACE}/draw?tab=api",
    f"models/{NAMESPACE}/draw?tab=runs",
    f"models/{NAMESPACE}/draw?tab=about",
    "new",
    f"models/{NAMESPACE}/draw/edit",
    "usage",
    "pools",
    "me",
    "nowhere",
)
TABS = ("", "?tab=log", "?tab=tree", "?tab=source", "?tab=bill")
OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setenv("MAYFLY_WEB", str(web.dist()))
    async with serving(tmp_path, 0) as running:
        yield running


async def sign_in(page: Page, url: str, token: str = READER) -> None:
    """Sign in with a token, as somebody who has one."""
    await page.goto(f"{url}/ui/")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("link", name="Runs", exact=True)).to_be_visible()


async def runs(gateway: Running) -> list[str]:
    """The ids of the runs that are there."""
    async with gateway.client() as reader:
        listed = (await reader.get(f"/ns/{NAMESPACE}/v1/predictions/summaries")).json()
    return [each["id"] for each in listed["results"]]


async def settle(page: Page) -> None:
    await expect(page.get_by_role("heading", level=1).first).to_be_visible()
    await expect(page.locator(".loading")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_page_is_for_everybody(
    gateway: Running, chromium: Browser, theme: str, width: int
) -> None:
    size = {"width": width, "height": 800}
    async with watched(chromium, viewport=size, color_scheme=theme) as seen:
        seen.expected.append("404 .*/versions/")  # that of the furnished runs is not there
        page = seen.page
        await page.goto(f"{gateway.url}/ui/")
        found = [*await faults(seen, "sign-in")]
        await sign_in(page, gateway.url)
        one = [f"predictions/{each}{tab}" for each in (await runs(gateway))[-2:] for tab in TABS]
        for path in (*PAGES, *one):
            await page.goto(f"{gateway.url}/ui/{path}")
            await settle(page)
            found += await faults(seen, path)
    assert found == []


async def faults(seen: Watched, path: str) -> list[str]:
    """What is wrong with a page for somebody who can't see it, or has little room."""
    found = [f"{path}: {each}" for each in await seen.accessibility()]
    if await seen.page.evaluate(OVERFLOWS):
        found.append(f"{path}: wider than the screen")
    return found


async def test_somebody_without_rights_sees_nothing_and_is_told(
    gateway: Running, chromium: Browser
) -> None:
    (identity, *_) = await runs(gateway)
    async with watched(chromium) as seen:
        seen.expected += ["status of 403", "status of 404"]
        page = seen.page
        await sign_in(page, gateway.url, STRANGER)
        for path in ("runs", "models", "usage", f"predictions/{identity}"):
            await page.goto(f"{gateway.url}/ui/{path}")
            await expect(page.locator("main")).not_to_be_empty()
            await expect(page.locator(".loading")).to_have_count(0)
            assert await page.locator(f'main a[href*="{identity}"]').count() == 0
        await page.goto(f"{gateway.url}/ui/me")
        await expect(page.get_by_text("kubectl create rolebinding").first).to_be_visible()


async def test_all_namespaces(gateway: Running, chromium: Browser) -> None:
    async with watched(chromium) as seen:
        page = seen.page
        await sign_in(page, gateway.url, ADMIN)
        await page.get_by_label("Namespace").select_option("*")
        await expect(page.get_by_role("table").get_by_role("row").nth(1)).to_be_visible()
        assert "ns=*" in page.url or "ns=%2A" in page.url


async def test_below_a_path_of_a_shared_host(gateway: Running, chromium: Browser) -> None:
    async with stripping(gateway.url, "/tools/mayfly") as url, watched(chromium) as seen:
        page = seen.page
        await sign_in(page, url)
        await page.get_by_role("link", name="Pipelines", exact=True).click()
        await expect(page.get_by_role("link", name=re.compile("draw")).first).to_be_visible()
        assert page.url.startswith(f"{url}/ui/models")
        await page.reload()
        await settle(page)
        await page.goto(f"{url}/ui/predictions/{(await runs(gateway))[0]}?tab=log")
        await settle(page)


async def test_eight_tabs_at_once(gateway: Running, chromium: Browser) -> None:
    async with watched(chromium) as seen:
        seen.expected.append("404 .*/versions/")  # that of the furnished runs is not there
        await sign_in(seen.page, gateway.url)
        identity = (await runs(gateway))[0]
        tabs = [await seen.page.context.new_page() for _ in range(8)]
        for number, tab in enumerate(tabs):
            path = "runs" if number % 2 else f"predictions/{identity}"
            await tab.goto(f"{gateway.url}/ui/{path}")
            await settle(tab)


async def test_a_stream_that_is_cut_goes_on_without_loss_or_repeat(
    gateway: Running, chromium: Browser
) -> None:
    async with (
        stripping(gateway.url, "/cut") as url,
        gateway.client() as reader,
        watched(chromium) as seen,
    ):
        seen.expected.append("net::ERR_")
        page = seen.page
        await sign_in(page, url)
        path = f"/v1/models/{NAMESPACE}/story/predictions"
        made = (await reader.post(path, json={"input": {"prompt": "a mayfly"}})).json()
        await page.goto(f"{url}/ui/predictions/{made['id']}?tab=log")
        for step in (2, 5, 8):
            await expect(page.get_by_text(f"Step {step} of")).to_be_visible()
            url.cut()
        await expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=60_000)
        log = (await reader.get(f"/v1/predictions/{made['id']}/logs")).text
        for line in log.splitlines():
            await expect(page.get_by_text(line, exact=True)).to_have_count(1)
