"""`mayfly open` as a program, against a gateway."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from support.gateway.world import READER, World

from mayfly.cli.web import has_display


def environment_of(url: str, token: str = READER) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MAYFLY_URL": url,
        "MAYFLY_TOKEN": token,
        "DISPLAY": ":9",
    }


async def opened(url: str, *words: str, token: str = READER) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mayfly", "open", *words),
        env=environment_of(url, token),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


@pytest.mark.parametrize("words", [(), ("--print",)])
async def test_the_link_alone_is_on_the_standard_output_and_signs_in(
    world: World, words: tuple[str, ...]
) -> None:
    async with world.gateway() as gateway, gateway.client(None) as browser:
        code, out, error = await opened(gateway.url, *words)
        assert code == 0, error
        assert out.startswith(f"{gateway.url}/ui/sign-in#")
        assert "Valid once, until 20" in error
        sign_in = {"code": out.strip().partition("#")[2]}
        assert (await browser.post("/ui/session", json=sign_in)).json()["name"] == "reader"


@pytest.mark.parametrize("words", [(), ("--print",)])
async def test_a_browser_is_opened_at_a_terminal_with_a_display(
    world: World, tmp_path: Path, words: tuple[str, ...]
) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o700)
    here, there = os.openpty()
    async with world.gateway() as gateway:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mayfly", "open", *words),
            env={**environment_of(gateway.url), "BROWSER": f"{browser} %s"},
            stdout=there,
            stderr=asyncio.subprocess.DEVNULL,
        )
        os.close(there)
        assert await process.wait() == 0
    said = os.read(here, 65536).decode()
    os.close(here)
    assert seen.exists() is (not words)
    if not words:
        assert seen.read_text().strip() == said.strip()


async def test_what_is_wrong_is_said_in_words(world: World) -> None:
    async with world.gateway() as gateway:
        code, out, error = await opened(gateway.url, token="wrong")
        assert (code, out) == (1, "")
        assert "The token is not valid" in error
    code, out, error = await opened("")
    assert (code, out) == (2, "")
    assert "MAYFLY_URL is not set" in error


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_where_a_browser_has_a_screen(environment: dict, platform: str, there: bool) -> None:
    assert has_display(environment, platform) is there
