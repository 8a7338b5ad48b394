"""A real browser: Debian's Chromium, by Playwright; what a page does wrong fails its test."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

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
    """A page of the web UI, and what went wrong on it.

    Attributes:
        page: Playwright's page.
        expected: patterns of console errors that a test provokes.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.expected: list[str] = [OF_THE_MACHINE]
        self._wrong: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._wrong.append(f"uncaught: {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._wrong.append(f"{message.text} ({message.location.get('url', '')})")

    def wrong(self) -> list[str]:
        """Console errors, uncaught errors and violations of the content security policy."""
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
    options = {"viewport": {"width": 1280, "height": 900}, "ignore_https_errors": True, **context}
    session = await started.new_context(**options)
    try:
        session.set_default_timeout(SECONDS * 1000)
        await session.add_init_script(TELL_VIOLATIONS)
        page = Watched(await session.new_page())
        yield page
        wrong = page.wrong()
        assert not wrong, wrong
    finally:
        await session.close()
