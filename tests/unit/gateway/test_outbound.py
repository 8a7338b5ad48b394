"""The client of the gateway's own calls: judged addresses, one connection, no redirect."""

import asyncio
import ipaddress
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mayfly.gateway.outbound import Outbound, OutboundError, Refused, Walls

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Receiver:
    """An HTTP server that keeps what it gets and answers as told; None: never."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.port = 0
        self.open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.answer is None:
                await reader.read()  # until the client has had enough
            else:
                writer.write(self.answer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def receiver(
    answer: bytes | None = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Receiver]:
    there = Receiver(answer)
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0, ssl=tls)
    there.port = server.sockets[0].getsockname()[1]
    async with server:
        yield there
        await asyncio.gather(*there.open)


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
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_addresses_that_are_not_public_are_closed(address: str) -> None:
    assert not Walls().allow(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_open(address: str) -> None:
    assert Walls().allow(ipaddress.ip_address(address))


def test_an_administrator_opens_and_closes_ranges() -> None:
    walls = Walls(["10.1.0.0/16"], ["8.8.8.0/24"])
    assert walls.allow(ipaddress.ip_address("10.1.2.3"))
    assert walls.allow(ipaddress.ip_address("::ffff:10.1.2.3"))
    assert not walls.allow(ipaddress.ip_address("10.2.0.1"))
    assert not walls.allow(ipaddress.ip_address("8.8.8.8"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1"])
async def test_a_private_receiver_is_refused_before_anything_is_sent(host: str) -> None:
    client = Outbound(Walls())
    async with receiver() as there:
        with pytest.raises(OutboundError) as refused:
            await client.send("POST", f"http://{host}:{there.port}/", content=b"x", seconds=5)
        assert there.requests == []
    assert isinstance(refused.value, Refused), refused.value
    assert "outbound.allowCIDRs" in str(refused.value)
    await client.close()


async def test_an_allowed_receiver_gets_the_call_under_its_own_name() -> None:
    client = Outbound(Walls(LOOPBACK))
    async with receiver() as there:
        url = f"http://localhost:{there.port}/hook?a=1"
        got = await client.send("POST", url, content=b"{}", seconds=5)
        assert (got.status, got.body) == (200, b"ok")
        (head,) = there.requests
    assert head.startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert f"Host: localhost:{there.port}".encode() in head
    await client.close()


async def test_a_redirect_is_an_answer() -> None:
    client = Outbound(Walls(LOOPBACK))
    moved = b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    async with receiver(moved) as there:
        got = await client.send("GET", f"http://127.0.0.1:{there.port}/", seconds=5)
        assert got.status == 307
        assert len(there.requests) == 1
    await client.close()


async def test_an_answer_is_bounded_in_size() -> None:
    client = Outbound(Walls(LOOPBACK))
    async with receiver(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000) as there:
        url = f"http://127.0.0.1:{there.port}/"
        with pytest.raises(OutboundError, match="more than 1000 bytes"):
            await client.send("GET", url, seconds=5, limit=1000)
    await client.close()


async def test_an_answer_is_bounded_in_time() -> None:
    client = Outbound(Walls(LOOPBACK))
    async with receiver(None) as there:
        with pytest.raises(OutboundError, match="No answer"):
            await client.send("GET", f"http://127.0.0.1:{there.port}/", seconds=0.3)
    await client.close()


async def test_nobody_there_is_told_in_words() -> None:
    client = Outbound(Walls(LOOPBACK))
    async with receiver() as there:
        port = there.port
    with pytest.raises(OutboundError, match="The call failed"):
        await client.send("GET", f"http://127.0.0.1:{port}/", seconds=5)
    with pytest.raises(OutboundError, match="has no address"):
        await client.send("GET", "http://nothing.invalid/", seconds=5)
    await client.close()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += f" -keyout {key} -out {cert} -subj /CN={name} -addext subjectAltName=DNS:{name}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return key, cert


@pytest.mark.parametrize(("name", "good"), [("localhost", True), ("elsewhere.example", False)])
async def test_tls_is_checked_against_the_name(tmp_path: Path, name: str, good: bool) -> None:
    key, cert = certificate(tmp_path, name)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))
    client = Outbound(Walls(LOOPBACK), trusting)
    async with receiver(tls=server) as there:
        url = f"https://localhost:{there.port}/"
        if good:
            assert (await client.send("GET", url, seconds=5)).status == 200
        else:
            with pytest.raises(OutboundError, match="certificate"):
                await client.send("GET", url, seconds=5)
            assert there.requests == []
    await client.close()
