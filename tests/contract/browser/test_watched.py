"""What goes wrong on a page fails the test that has it open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, expect
from support.browser import Watched, watched
from support.servers.ports import free_port

POLICY = "default-src 'self'; script-src 'self'; connect-src 'self' http://127.0.0.1:*"
"""Like the gateway's: scripts are files of our own."""

INLINE = "<script>window.inline = true</script>"
STYLE = '<p style="color: red">styled</p>'


def page(script: str = "", body: str = "") -> dict[str, tuple[str, str]]:
    """The files of a site: a page with a script of its own."""
    shown = f"<!doctype html><link rel=icon href=/icon.svg>{body}<script src=/script.js></script>"
    return {
        "/": ("text/html", shown),
        "/script.js": ("text/javascript", script),
        "/icon.svg": ("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg"/>'),
        "/opened": ("text/html", f"<!doctype html>{INLINE}"),
    }


@asynccontextmanager
async def served(files: dict[str, tuple[str, str]]) -> AsyncIterator[str]:
    """A site on loopback with our policy; its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        kind, text = files.get(head.split()[1].decode(), ("", ""))
        writer.write(
            f"HTTP/1.1 {200 if kind else 404} Here\r\nContent-Type: {kind or 'text/plain'}\r\n"
            f"Content-Security-Policy: {POLICY}\r\nContent-Length: {len(text)}\r\n"
            f"Connection: close\r\n\r\n{text}".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


async def visit(
    chromium: Browser,
    files: dict[str, tuple[str, str]],
    do: Callable[[Watched], Awaitable[None]] | None = None,
) -> None:
    """A test that opens the page of a site, and does something there."""
    async with served(files) as url, watched(chromium) as seen:
        await seen.page.goto(url)
        if do is not None:
            await do(seen)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        pytest.param(page(body=INLINE), "CSP: script-src-elem blocks inline", id="script"),
        pytest.param(page(body=STYLE), "CSP: style-src-attr blocks inline", id="style"),
        pytest.param(page("try { eval('1') } catch {}"), "CSP: script-src blocks eval", id="eval"),
        pytest.param(
            page(body="<img src=http://other.invalid/a.png>"),
            "CSP: img-src blocks http://other.invalid/a.png",
            id="another host",
        ),
        pytest.param(page("console.error('this is bad')"), "this is bad", id="console"),
        pytest.param(page("nothing.at.all"), "uncaught: nothing is not defined", id="error"),
        pytest.param(
            page("Promise.reject(new Error('no one catches'))"), "no one catches", id="rejection"
        ),
        pytest.param(
            page("fetch('/missing')"), "status of 404", id="an answer that is an error"
        ),
    ],
)  # fmt: skip
async def test_it_fails_the_test(
    chromium: Browser, files: dict[str, tuple[str, str]], told: str
) -> None:
    with pytest.raises(AssertionError) as failed:
        await visit(chromium, files)
    assert told in str(failed.value)


async def test_a_request_that_fails_does(chromium: Browser) -> None:
    script = f"fetch('http://127.0.0.1:{free_port()}/').catch(() => document.title = 'failed')"

    async def wait(seen: Watched) -> None:
        await expect(seen.page).to_have_title("failed")

    with pytest.raises(AssertionError, match=r"Failed to load resource: net::ERR_CONNECTION_REF"):
        await visit(chromium, page(script), wait)


async def test_a_page_that_was_opened_is_watched_too(chromium: Browser) -> None:
    async def follow(seen: Watched) -> None:
        async with seen.page.expect_popup() as opened:
            await seen.page.get_by_role("link").click()
        await (await opened.value).wait_for_load_state()

    with pytest.raises(AssertionError, match="CSP: script-src-elem blocks inline"):
        await visit(chromium, page(body="<a href=/opened target=_blank>open</a>"), follow)


async def test_what_a_test_provokes_and_requests_that_a_page_aborts_are_none(
    chromium: Browser,
) -> None:
    script = """
      const stopped = new AbortController();
      fetch("/", { signal: stopped.signal }).catch(() => 0);
      stopped.abort();
      setTimeout(() => console.error("as expected"));
    """

    async def expected(seen: Watched) -> None:
        seen.expected.append("^as expected")

    await visit(chromium, page(script), expected)


async def test_a_failed_test_says_what_went_wrong_on_its_page(chromium: Browser) -> None:
    async def fail(seen: Watched) -> None:
        await seen.settle()
        raise LookupError

    with pytest.raises(LookupError) as failed:
        await visit(chromium, page("console.error('the reason')"), fail)
    assert "the reason" in failed.value.__notes__[0]


async def test_the_policy_is_not_switched_off(chromium: Browser) -> None:
    with pytest.raises(AssertionError, match="bypass_csp"):
        await watched(chromium, bypass_csp=True).__aenter__()
