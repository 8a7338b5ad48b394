"""What a person does in the web UI, in a real browser: by labels and roles."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.async_api import Browser, Page, expect
from support.browser import Watched, browser, watched
from support.cluster.example_models import Person
from support.cluster.installation import Namespace

PICTURES = os.environ.get("MAYFLY_PICTURES")
"""A folder for the pictures of README and docs."""

URL = os.environ.get("MAYFLY_URL", "")
STATUS_MS = 60_000
WORDS = "One day is long enough for a mayfly"

STORY = """
import time

from cog import ConcatenateIterator, Input


def main(
    text: str = Input(description="What to say, word by word."),
    pause: float = Input(description="Seconds between two words.", default=0.3, ge=0, le=5),
) -> ConcatenateIterator[str]:
    for number, word in enumerate(text.split(), 1):
        print(f"word {number}: {word}")
        time.sleep(pause)
        yield f"{word} "
"""
SMALLER = """
from cog import Input, Path
from PIL import Image


def main(image: Path = Input(description="A picture."), width: int = 20) -> Path:
    picture = Image.open(image)
    picture.resize((width, width)).save("smaller.png")
    return Path("smaller.png")
"""
SLEEP = """
import time

def main() -> str:
    time.sleep(120)
    return "woke up"
"""
PARENT = """
import replicate

def main() -> str:
    return replicate.run("{namespace}/sleeper", input={{}})
"""
FAILS = """
def main(name: str) -> str:
    print("looking for", name)
    raise LookupError(f"there is no {name}")
"""
ECHO = """
import json
from typing import Any, Literal, Optional

from cog import Input


def main(
    text: str,
    number: float,
    whole: int = Input(ge=0, le=90071992547409930, default=3),
    switch: bool = False,
    choice: Literal["one", "two"] = "one",
    words: list[str] = Input(default=["a"]),
    maybe: Optional[str] = None,
    anything: Any = None,
) -> dict:
    return {
        "text": text, "number": number, "whole": whole, "switch": switch, "choice": choice,
        "words": words, "maybe": maybe, "anything": anything,
    }
"""  # fmt: skip

FILES = """
from typing import Any

from cog import Input, Path, Secret


def main(
    key: Secret,
    pages: list[Path],
    words: list[str],
    anything: Any = Input(description="Anything."),
) -> dict:
    read = [page.read_text() for page in pages]
    return {"key": len(key.get_secret_value()), "pages": read, "words": words, "anything": anything}
"""


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as started:
        yield started


@pytest.fixture
def somebody(namespace: Namespace) -> Person:
    return Person(namespace)


@asynccontextmanager
async def signed_in(chromium: Browser, person: Person, **context: object) -> AsyncIterator[Watched]:
    """A page of somebody who has opened a one-time link."""
    link = await asyncio.to_thread(person.request, "POST", "/v1/sign-in-links")
    async with watched(chromium, **context) as seen:
        await seen.open(link["url"])
        await expect(seen.page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
        yield seen


async def publish(person: Person, name: str, source: str) -> None:
    """A pipeline that is ready to be called."""
    body = {"owner": person.namespace.name, "name": name, "visibility": "private", "source": source}
    await asyncio.to_thread(person.request, "POST", "/v1/models", body)


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES, f"{name}.png"))


async def ended(page: Page, state: str) -> None:
    await expect(page.get_by_text(state, exact=True).first).to_be_visible(timeout=STATUS_MS)


async def test_write_run_stream_rerun_and_read_the_bill(
    chromium: Browser, somebody: Person
) -> None:
    namespace = somebody.namespace.name
    async with signed_in(chromium, somebody) as seen:
        page = seen.page
        await page.get_by_role("link", name="New pipeline").first.click()
        await page.get_by_label("Name", exact=True).fill("story")
        editor = page.get_by_role("textbox", name=re.compile("main.py|Source|source"))
        await editor.click()
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text(STORY.lstrip())
        await page.get_by_text("Form", exact=True).click()
        await expect(page.get_by_text("What to say, word by word.").first).to_be_visible()
        await picture(page, "editor")
        await page.get_by_role("button", name="Save and run").click()
        await page.get_by_label("Text", exact=True).fill(WORDS)
        await page.get_by_role("button", name="Run", exact=True).click()
        shown = page.get_by_role("region", name="Output")
        await expect(shown.get_by_text("One day")).to_be_visible(timeout=STATUS_MS)
        assert "mayfly" not in await shown.inner_text(), "the text comes word by word"
        await ended(page, "Succeeded")
        await expect(shown.get_by_text(WORDS)).to_be_visible()
        await picture(page, "run")
        await page.get_by_role("link", name="Open the run").click()
        await page.get_by_role("link", name="Log", exact=True).click()
        await expect(page.get_by_text("word 8: mayfly")).to_be_visible()
        await page.get_by_role("link", name="Bill", exact=True).click()
        await expect(page.get_by_text("predictSeconds").first).to_be_visible()
        # Again, with another text: the form has what was given.
        await page.get_by_role("link", name="Rerun").click()
        await expect(page.get_by_label("Text", exact=True)).to_have_value(WORDS)
        await page.get_by_label("Text", exact=True).fill("And again")
        await page.get_by_role("button", name="Run", exact=True).click()
        await expect(shown.get_by_text("And again")).to_be_visible(timeout=STATUS_MS)
        await ended(page, "Succeeded")
        await page.get_by_role("link", name="Usage", exact=True).click()
        await expect(page.get_by_role("region", name="Report")).to_contain_text("Predictions")
        await page.get_by_role("link", name="Runs", exact=True).click()
        await expect(page.get_by_role("row")).to_have_count(3)
        await page.get_by_role("link", name=re.compile("^Me")).click()
        await expect(
            page.get_by_text(f"system:serviceaccount:{namespace}:person").first
        ).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        await seen.open(f"{URL}/ui/runs")
        await expect(page.get_by_label("Token")).to_be_visible()


async def test_a_file_goes_in_and_a_picture_comes_out(chromium: Browser, somebody: Person) -> None:
    await publish(somebody, "smaller", SMALLER)
    made = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(made, "PNG")
    async with signed_in(chromium, somebody) as seen:
        page = seen.page
        await seen.open(f"{URL}/ui/models/{somebody.namespace.name}/smaller")
        given = {"name": "teal.png", "mimeType": "image/png", "buffer": made.getvalue()}
        await page.locator("input[type=file]").first.set_input_files(given)
        await page.get_by_role("button", name="Run", exact=True).click()
        await ended(page, "Succeeded")
        image = page.get_by_role("region", name="Output").get_by_role("img")
        await expect(image).to_be_visible()
        assert await image.evaluate("each => each.decode().then(() => each.naturalWidth)") == 20


async def test_a_cancel_shows_what_it_will_end_and_what_became_of_it(
    chromium: Browser, somebody: Person
) -> None:
    namespace = somebody.namespace.name
    await publish(somebody, "sleeper", SLEEP)
    await publish(somebody, "parent", PARENT.format(namespace=namespace))
    async with signed_in(chromium, somebody) as seen:
        page = seen.page
        await seen.open(f"{URL}/ui/models/{namespace}/parent")
        await page.get_by_role("button", name="Run", exact=True).click()
        await page.get_by_role("link", name="Open the run").click(timeout=STATUS_MS)
        await page.get_by_role("link", name="Tree", exact=True).click()
        await expect(page.get_by_text("sleeper").first).to_be_visible(timeout=STATUS_MS)
        await picture(page, "tree")
        await page.get_by_role("button", name=re.compile("^Cancel")).first.click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("sleeper")
        await dialog.get_by_role("button", name=re.compile("Cancel")).last.click()
        await expect(dialog.get_by_text("Canceled").first).to_be_visible(timeout=STATUS_MS)
        await page.keyboard.press("Escape")
        await ended(page, "Canceled")


async def test_a_failed_run_says_first_what_failed(chromium: Browser, somebody: Person) -> None:
    await publish(somebody, "fails", FAILS)
    asked = {"input": {"name": "moon"}}
    path = f"/v1/models/{somebody.namespace.name}/fails/predictions"
    made = await asyncio.to_thread(somebody.request, "POST", path, asked)
    async with signed_in(chromium, somebody) as seen:
        page = seen.page
        await seen.open(f"{URL}/ui/predictions/{made['id']}")
        why = page.get_by_role("region", name="Why it failed")
        await expect(why).to_contain_text("there is no moon", timeout=STATUS_MS)


async def test_what_a_form_is_given_comes_to_main_and_back_exactly(
    chromium: Browser, somebody: Person
) -> None:
    await publish(somebody, "echo", ECHO)
    text = 'q"uo\\te é 🦋 <b>&amp;'
    async with signed_in(chromium, somebody) as seen:
        page = seen.page
        await seen.open(f"{URL}/ui/models/{somebody.namespace.name}/echo")
        await page.get_by_label("Text", exact=True).fill(text)
        await page.get_by_label("Number", exact=True).fill("0.1")
        await page.get_by_label("Whole", exact=True).fill("9007199254740993")
        await page.get_by_label("Switch", exact=True).check()
        await page.get_by_label("two", exact=True).check()
        await page.get_by_role("button", name="Run", exact=True).click()
        await ended(page, "Succeeded")
        await page.get_by_role("link", name="Open the run").click()
        await page.wait_for_url("**/predictions/**")
        told = await output(page, somebody)
    assert json.loads(told) == {
        "text": text,
        "number": 0.1,
        "whole": 9007199254740993,
        "switch": True,
        "choice": "two",
        "words": ["a"],
        "maybe": None,
        "anything": None,
    }


async def output(page: Page, person: Person) -> str:
    """The output of the run whose page is open, byte for byte."""
    identity = page.url.partition("/predictions/")[2].partition("?")[0]
    headers = {"Authorization": f"Bearer {person.token}"}

    def asked() -> str:
        client: httpx.Client = person.namespace.api
        return client.get(f"/v1/predictions/{identity}/output", headers=headers).text

    return await asyncio.to_thread(asked)


async def test_files_a_secret_and_raw_json_come_to_main(
    chromium: Browser, somebody: Person
) -> None:
    await publish(somebody, "files", FILES)
    async with signed_in(chromium, somebody) as seen:
        page = seen.page
        await seen.open(f"{URL}/ui/models/{somebody.namespace.name}/files")
        await page.get_by_label("Key", exact=True).fill("hunter2-hunter2")
        for number, words in enumerate(("first", "second")):
            await page.get_by_role("button", name="Add a file").click()
            given = {"name": f"{words}.txt", "mimeType": "text/plain", "buffer": words.encode()}
            await page.locator("input[type=file]").nth(number).set_input_files(given)
            await expect(page.get_by_label(f"Pages {number + 1}", exact=True).last).to_have_value(
                re.compile("http")
            )
        for number, words in enumerate(("one", "two"), 1):
            await page.get_by_role("button", name="Add an item").click()
            await page.get_by_label(f"Words {number}", exact=True).last.fill(words)
        await page.get_by_label("Anything", exact=True).fill('{"deep": [1, 2.50, null]}')
        await page.get_by_role("button", name="Run", exact=True).click()
        await ended(page, "Succeeded")
        await page.get_by_role("link", name="Open the run").click()
        await page.wait_for_url("**/predictions/**")
        told = await output(page, somebody)
        assert "hunter2" not in await page.locator("body").inner_text()
    assert json.loads(told) == {
        "key": 15,
        "pages": ["first", "second"],
        "words": ["one", "two"],
        "anything": {"deep": [1, 2.5, None]},
    }


async def test_somebody_without_rights_is_told_what_to_do(
    chromium: Browser, namespace: Namespace
) -> None:
    api = namespace.kubectl.api
    api.create("serviceaccount", {"metadata": {"name": "stranger"}}, namespace.name)
    token = api.token(namespace.name, "stranger", "mayfly")
    async with watched(chromium) as seen:
        seen.expected.append("status of 403")
        page = seen.page
        await seen.open(f"{URL}/ui/")
        await page.get_by_label("Token").fill("wrong")
        seen.expected.append("status of 401")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("kubectl create token")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("link", name=re.compile("^Me")).click()
        await expect(page.get_by_text("kubectl create rolebinding").first).to_be_visible()
