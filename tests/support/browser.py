"""A real browser: Debian's Chromium, by Playwright; what a page does wrong fails its test."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    async_playwright,
)

from localcluster.builds import web

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox",  # tests run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.effectiveDirective} blocks ${event.blockedURI}`));
"""
SECONDS = 15.0
OF_THE_MACHINE = r"net::ERR_NETWORK_CHANGED"
"""Chromium drops requests when an interface comes or goes, as each pod's does. Pages ask again."""


class Watched:
    """A page of the web UI, and what went wrong on it and on what it opened.

    Attributes:
        page: Playwright's page.
        expected: patterns of what a test provokes.
    """

    page: Page

    def __init__(self, session: BrowserContext) -> None:
        self.expected: list[str] = [OF_THE_MACHINE]
        self._wrong: list[str] = []
        self._session = session
        session.on("console", self._said)
        session.on("weberror", lambda error: self._wrong.append(f"uncaught: {error.error}"))
        session.on("requestfailed", self._failed)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._wrong.append(f"{message.text} ({message.location.get('url', '')})")

    def _failed(self, request: Request) -> None:
        # A page that is left, or that closes its stream, aborts its own requests.
        if request.failure != "net::ERR_ABORTED":
            self._wrong.append(f"Failed to load resource: {request.failure} ({request.url})")

    async def open(self, url: str) -> None:
        """Go to a URL, again if the machine's network changed meanwhile."""
        for _ in range(5):
            try:
                await self.page.goto(url)
            except Error as error:
                if OF_THE_MACHINE not in str(error) and "chrome-error:" not in str(error):
                    raise
                await asyncio.sleep(0.5)  # Chromium is on its way to its own page of the error
            else:
                return
        raise AssertionError(f"{url} could not be opened: the network changed each time")

    async def settle(self) -> None:
        """Wait until the pages have told what has happened on them so far."""
        for page in self._session.pages:
            with suppress(Error):  # it was closed, or is just being left
                await page.evaluate("new Promise((done) => setTimeout(done))")

    def wrong(self) -> list[str]:
        """What was not expected of console errors, uncaught errors, failed requests and violations
        of the content security policy.
        """
        return [
            each
            for each in self._wrong
            if not any(re.search(pattern, each) for pattern in self.expected)
        ]

    async def accessibility(self) -> list[str]:
        """What axe finds, of any weight."""
        axe = web.modules() / "axe-core" / "axe.min.js"
        await self.page.evaluate(axe.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = await self.page.evaluate(
            "async () => (await axe.run(document)).violations"
        )
        return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found]


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser, ended with the block."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        try:
            yield started
        finally:
            await started.close()


@asynccontextmanager
async def watched(started: Browser, **context: Any) -> AsyncIterator[Watched]:
    """A page in a session of its own; at its end, nothing has gone wrong on it.

    Args:
        started: the browser.
        context: Playwright's options of a context.
    """
    assert "bypass_csp" not in context, "with bypass_csp no test would show what the policy forbids"
    options = {"viewport": {"width": 1280, "height": 900}, "ignore_https_errors": True, **context}
    session = await started.new_context(**options)
    try:
        session.set_default_timeout(SECONDS * 1000)
        await session.add_init_script(TELL_VIOLATIONS)
        seen = Watched(session)
        seen.page = await session.new_page()
        try:
            yield seen
        except BaseException as error:
            error.add_note(f"on the page: {seen.wrong()}")
            raise
        await seen.settle()
        wrong = seen.wrong()
        assert not wrong, wrong
    finally:
        await session.close()
