from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser
from support.browser import browser
from support.gateway.world import World

from localcluster.builds import web


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("MAYFLY_WEB", str(web.dist()))
    return World(tmp_path)


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started
