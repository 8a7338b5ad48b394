"""The web UI with as much to show as it has to bear, in a real browser."""

import re

from playwright.async_api import Browser, Page, expect
from support.browser import watched
from support.gateway import filled
from support.gateway.world import READER, World
from support.lengths import length

from localcluster.builds import web

RUNS = length(20_000, 100_000)
LINES = length(50_000, 200_000)


async def sign_in(page: Page, url: str, token: str = READER) -> None:
    """Sign in with a token, as somebody who has one."""
    await page.goto(f"{url}/ui/")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("link", name="Runs", exact=True)).to_be_visible()


async def test_a_list_of_very_many_runs(world: World, chromium: Browser) -> None:
    async with world.gateway() as gateway, watched(chromium) as seen:
        rows = list(filled.ended_runs(RUNS))
        await filled.write(gateway.gateway.process.database, rows)
        page = seen.page
        await sign_in(page, gateway.url)
        table = page.get_by_role("table")
        await expect(table.get_by_role("link", name="run-0", exact=True)).to_be_visible()
        shown = await table.get_by_role("row").count()
        assert 50 <= shown <= 600
        await page.get_by_role("button", name="Older").click()
        await expect(table.get_by_role("link", name=f"run-{shown}", exact=True)).to_be_attached()
        # What is rare among them is found at once, and the URL says what is shown.
        await page.get_by_label(re.compile("Search")).fill(f"run-{RUNS - 7}")
        await expect(table.get_by_role("row")).to_have_count(2)
        assert f"q=run-{RUNS - 7}" in page.url
        await page.get_by_label(re.compile("Search")).fill("")
        await expect(table.get_by_role("row")).not_to_have_count(2)
        await page.get_by_role("group", name="Status").get_by_text("Failed").click()
        await expect(table.get_by_text("Succeeded")).to_have_count(0)
        assert "status=failed" in page.url
        await page.reload()
        await expect(table.get_by_text("Failed").first).to_be_visible()
        await expect(table.get_by_text("Succeeded")).to_have_count(0)


async def test_a_tree_of_three_thousand_in_250_levels(world: World, chromium: Browser) -> None:
    async with world.gateway() as gateway, watched(chromium) as seen:
        rows = list(filled.tree(3000, 250))
        await filled.write(gateway.gateway.process.database, rows)
        page = seen.page
        await sign_in(page, gateway.url)
        await page.goto(f"{gateway.url}/ui/predictions/{rows[0].id}?tab=tree")
        await expect(page.get_by_text("node-1", exact=True).first).to_be_visible()
        # A window of rows: the rest is there when one gets there.
        assert await page.locator("body *").count() < 4000
        await page.keyboard.press("Tab")
        assert (await page.evaluate("document.body.innerText")).count("node-") < 400


async def test_a_log_of_very_many_lines(world: World, chromium: Browser) -> None:
    async with world.gateway() as gateway, watched(chromium) as seen:
        database = gateway.gateway.process.database
        (row,) = filled.ended_runs(1)
        await filled.write(database, [row])
        await filled.write_log(database, row.uid, LINES)
        page = seen.page
        await sign_in(page, gateway.url)
        await page.goto(f"{gateway.url}/ui/predictions/{row.id}?tab=log")
        await expect(page.get_by_text(f"line {LINES - 1}:").first).to_be_attached(timeout=60_000)
        assert await page.locator("body *").count() < 150_000
        link = page.get_by_role("link", name="Download", exact=True)
        assert f"/v1/predictions/{row.id}/logs" in (await link.get_attribute("href") or "")


async def test_the_first_page_is_small(world: World, chromium: Browser) -> None:
    async with world.gateway() as gateway, watched(chromium) as seen:
        await sign_in(seen.page, gateway.url)
        loaded: list[int] = await seen.page.evaluate(
            "[...performance.getEntriesByType('resource'),"
            " ...performance.getEntriesByType('navigation')].map(each => each.encodedBodySize)"
        )
    assert 10_000 < sum(loaded) <= 100_000
    compressed = [path.stat().st_size for path in (web.dist() / "assets").glob("*.br")]
    assert sum(compressed) <= 300_000
