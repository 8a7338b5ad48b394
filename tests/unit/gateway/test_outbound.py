"""The client for addresses that users give: what it refuses, and how failures are told apart."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_network

import httpcore
import pytest

from mayfly.gateway.http.outbound import (
    Forbidden,
    Outbound,
    Ranges,
    TooLong,
    Unanswered,
    Unsent,
)

LOOPBACK = (ip_network("127.0.0.0/8"),)
CONNECT = httpcore.AnyIOBackend.connect_tcp


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server on a free port, whose connections are all closed at its end."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*served)


@asynccontextmanager
async def server(*answers: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers each connection with bytes, or with an end where there are none."""
    heads: list[bytes] = []
    rest = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        answer = rest.pop(0)
        if answer is not None:
            writer.write(answer)
            await writer.drain()

    async with listening(serve) as port:
        yield port, heads


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.1.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_refused(address: str) -> None:
    assert not Ranges((), ()).holds(ip_address(address))


def test_public_addresses_are_not_but_for_the_clusters() -> None:
    assert Ranges((), ()).holds(ip_address("8.8.8.8"))
    assert Ranges((), ()).holds(ip_address("2606:4700::1"))
    assert not Ranges((), (ip_network("8.8.8.0/24"),)).holds(ip_address("8.8.8.8"))
    assert Ranges(LOOPBACK, ()).holds(ip_address("::ffff:127.0.0.1"))


async def test_a_refused_address_is_told_and_never_connected() -> None:
    client = Outbound()
    async with server(b"") as (port, heads):
        with pytest.raises(Forbidden, match=r"127\.0\.0\.1.*outbound\.allowCIDRs"):
            await client.request("GET", f"http://127.0.0.1:{port}/")
    assert heads == []
    await client.close()


async def test_a_name_is_resolved_once_and_its_address_pinned() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["169.254.169.254"]

    client = Outbound(allowed=LOOPBACK, resolve=rebinding)
    async with listening(_hello, "127.0.0.2") as port:
        answer = await client.request("GET", f"http://model.example:{port}/x")
        assert (answer.status, answer.text) == (200, f"model.example:{port}")
        assert asked == ["model.example"]
        with pytest.raises(Forbidden):
            await client.request("GET", f"http://model.example:{port}/x")
    await client.close()


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    host = next(line[6:] for line in head.splitlines() if line.lower().startswith("host: "))
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(host)}\r\n\r\n{host}".encode())
    await writer.drain()


async def test_a_service_of_the_models_own_namespace_may_be_private() -> None:
    async def cluster(host: str, port: int) -> Sequence[str]:
        assert host == "model.team.svc"
        return ["127.0.0.1"]

    client = Outbound(resolve=cluster)
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as (port, _):
        answer = await client.request("GET", f"http://model.team.svc:{port}/", inside=True)
    assert answer.text == "ok"
    await client.close()


async def test_no_redirect_is_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    client = Outbound(allowed=LOOPBACK)
    async with server(moved) as (port, heads):
        answer = await client.request("GET", f"http://127.0.0.1:{port}/")
    assert (answer.status, len(heads)) == (302, 1)
    await client.close()


async def test_what_was_not_sent_is_told_apart_from_what_was_not_answered() -> None:
    client = Outbound(allowed=LOOPBACK)
    async with server(None) as (port, heads):
        with pytest.raises(Unanswered):
            await client.request("POST", f"http://127.0.0.1:{port}/", content=b"x")
        assert len(heads) == 1
    with pytest.raises(Unsent, match="can't be reached"):
        await client.request("POST", f"http://127.0.0.1:{port}/", content=b"x")
    with pytest.raises(Unsent, match="can't be resolved"):
        await client.request("GET", "http://nobody.invalid/")
    await client.close()


async def test_an_answer_is_bounded_in_bytes_and_time() -> None:
    client = Outbound(allowed=LOOPBACK)
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 5000
    async with server(endless) as (port, _):
        with pytest.raises(TooLong, match="more than 1000 bytes"):
            await client.request("GET", f"http://127.0.0.1:{port}/", limit=1000)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as port:
        with pytest.raises(Unanswered, match="does not answer within"):
            await client.request("GET", f"http://127.0.0.1:{port}/", seconds=0.2)
    await client.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[::1/x", "the URL's host can't be read"),
        ("http://a..b/x", "the URL's host has an empty part"),
        (f"http://{'a' * 64}.example/x", "more than 63 characters"),
        ("http://h:99999/x", "the URL's port is not between 1 and 65535"),
        ("http://bot:s3cret@h:99999/x", "the URL's port is not between 1 and 65535"),
        ("ftp://bot:s3cret@h/x", "ftp://h/x is not an http"),
        ("http://h/\ud800", "the URL is not Unicode"),
    ],
)
async def test_a_url_that_names_no_server_is_told_and_not_tried_again(url: str, words: str) -> None:
    client = Outbound()
    with pytest.raises(Forbidden, match=words) as failure:
        await client.request("POST", url, content=b"x")
    assert "s3cret" not in str(failure.value)
    await client.close()


async def head_of(url: str, monkeypatch: pytest.MonkeyPatch, **headers: str) -> list[str]:
    """The lines that a server gets for a URL, whatever its host and port are."""
    asked: list[str] = []

    async def public(host: str, port: int) -> Sequence[str]:
        asked.append(f"{host}:{port}")
        return ["8.8.8.8"]

    client = Outbound(resolve=public)
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, heads):

        async def near(self: httpcore.AnyIOBackend, *_: object) -> httpcore.AsyncNetworkStream:
            return await CONNECT(self, "127.0.0.1", port)

        monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", near)
        await client.request("GET", url, headers=headers)
    await client.close()
    return [*asked, *heads[0].decode("latin-1").split("\r\n")]


@pytest.mark.parametrize(
    ("url", "place", "host"),
    [
        ("http://h.example/x", "h.example:80", "h.example"),
        ("http://h.example:80/x", "h.example:80", "h.example"),
        ("HTTP://H.example:8080/x", "h.example:8080", "h.example:8080"),
        ("http://bücher.example/x", "xn--bcher-kva.example:80", "xn--bcher-kva.example"),
        ("http://bot:s3cret@h.example/x", "h.example:80", "h.example"),
    ],
)
async def test_the_host_header_is_without_the_default_port_and_credentials(
    url: str, place: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, first, *lines = await head_of(url, monkeypatch)
    assert (asked, first) == (place, "GET /x HTTP/1.1")
    assert [line for line in lines if line.lower().startswith("host:")] == [f"Host: {host}"]


async def test_a_path_is_percent_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, first, *_ = await head_of("http://h.example/köln/k%C3%B6ln?q=ü b", monkeypatch)
    assert first == "GET /k%C3%B6ln/k%C3%B6ln?q=%C3%BC%20b HTTP/1.1"


async def test_credentials_of_a_url_are_sent_unless_the_caller_has_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = await head_of("http://bot:s3cret@h.example/x", monkeypatch)
    assert "Authorization: Basic Ym90OnMzY3JldA==" in lines
    url = "http://bot:s3cret@h.example/x"
    lines = await head_of(url, monkeypatch, Authorization="Bearer t")
    assert [line for line in lines if "Authorization" in line] == ["Authorization: Bearer t"]


async def test_words_of_an_error_have_no_path_or_query() -> None:
    client = Outbound()
    with pytest.raises(Unsent) as failure:
        await client.request("GET", "http://127.0.0.1:1/secret?signature=abc")
    assert "secret" not in str(failure.value)
    assert "abc" not in str(failure.value)
    await client.close()


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP proxy: its URL, and the first line of each request that it got."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        asked.append(first)
        status = b"403 Forbidden" if first.startswith("CONNECT") else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}", asked


async def unknown(host: str, _port: int) -> Sequence[str]:
    """Resolves addresses to themselves, and no name."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        raise OSError("no such name") from None


def known(**names: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Resolves these names, and addresses to themselves."""

    async def resolve(host: str, _port: int) -> Sequence[str]:
        return [names.get(host.partition(".")[0], host)]

    return resolve


async def test_public_addresses_are_called_through_the_proxy() -> None:
    async with proxy() as (url, asked):
        client = Outbound(proxy=url, resolve=known(receiver="1.1.1.1"))
        answer = await client.request("POST", "http://receiver.example/a?b=c", content=b"{}")
        assert (answer.status, answer.text) == (200, "hi")
        with pytest.raises(Unsent, match=r"receiver\.example can't be reached: the proxy says 403"):
            await client.request("GET", "https://receiver.example/a")
        await client.close()
    assert asked == [
        "POST http://receiver.example:80/a?b=c HTTP/1.1",
        "CONNECT receiver.example:443 HTTP/1.1",
    ]


async def test_an_ipv6_address_is_in_brackets_before_the_proxy() -> None:
    async with proxy() as (url, asked):
        client = Outbound(proxy=url, resolve=unknown)
        assert (await client.request("GET", "http://[2606:4700::1111]/a")).text == "hi"
        with pytest.raises(Unsent, match="the proxy says 403"):
            await client.request("GET", "https://[2606:4700::1111]:8443/a")
        await client.close()
    assert asked == [
        "GET http://[2606:4700::1111]:80/a HTTP/1.1",
        "CONNECT [2606:4700::1111]:8443 HTTP/1.1",
    ]


async def test_a_name_that_only_the_proxy_knows_is_left_to_it() -> None:
    async with proxy() as (url, asked):
        client = Outbound(proxy=url, resolve=unknown)
        assert (await client.request("GET", "http://elsewhere.example/")).text == "hi"
        await client.close()
    assert asked == ["GET http://elsewhere.example:80/ HTTP/1.1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.example", "[::1]", "169.254.169.254"])
async def test_a_private_address_is_refused_before_the_proxy_hears_of_it(host: str) -> None:
    async with proxy() as (url, asked):
        client = Outbound(proxy=url, resolve=known(inside="10.0.0.8"))
        with pytest.raises(Forbidden, match=r"outbound\.allowCIDRs"):
            await client.request("GET", f"http://{host}/")
        await client.close()
    assert asked == []


@pytest.mark.parametrize("host", ["010.0.0.1", "0127.1", "4294967297", "0x7f.1", "a.localhost"])
async def test_what_a_proxy_could_read_differently_is_refused(host: str) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        if host != "010.0.0.1":
            raise OSError("no such name")
        return ["8.0.0.1"]

    async with proxy() as (url, asked):
        client = Outbound(proxy=url, resolve=resolve)
        with pytest.raises(Forbidden, match="proxies read differently"):
            await client.request("GET", f"http://{host}/")
        await client.close()
    assert asked == []


async def test_what_the_installation_allows_and_services_are_called_directly() -> None:
    async with (
        proxy() as (url, asked),
        server(*[b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect"] * 2) as (port, heads),
    ):
        near = Outbound(allowed=LOOPBACK, proxy=url, resolve=known(near="127.0.0.1"))
        assert (await near.request("GET", f"http://near.example:{port}/")).text == "direct"
        service = Outbound(proxy=url, resolve=known(service="127.0.0.1"))
        got = await service.request("GET", f"http://service.team.svc:{port}/", inside=True)
        assert got.text == "direct"
        await near.close()
        await service.close()
    assert len(heads) == 2
    assert asked == []
