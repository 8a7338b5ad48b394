"""The same contract over TLS, with a CA of the gateway's own."""

import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web
from contract.agent.conftest import Launcher
from contract.agent.fake_gateway import PATIENCE_S, Gateway
from contract.agent.messages import work
from support.waiting import within


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A CA and a server certificate, with what strict verification (Python 3.13) asks for."""
    folder = tmp_path_factory.mktemp("tls")
    ca, key, pem = folder / "ca.pem", folder / "ca.key", folder / "server.csr"
    openssl(
        *["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca"],
        *["-keyout", str(key), "-out", str(ca), "-addext", "keyUsage=critical,keyCertSign"],
    )
    openssl(
        *["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=gateway"],
        *["-keyout", str(folder / "server.key"), "-out", str(pem)],
    )
    (folder / "extensions").write_text(
        "subjectAltName=IP:127.0.0.1,IP:::1\nauthorityKeyIdentifier=keyid\nbasicConstraints=CA:FALSE\n"
    )
    openssl(
        *["x509", "-req", "-in", str(pem), "-CA", str(ca), "-CAkey", str(key), "-CAcreateserial"],
        *["-days", "2", "-extfile", str(folder / "extensions"), "-out", str(folder / "server.pem")],
    )
    return folder


@pytest.fixture
async def secure(gateway: Gateway, certificates: Path, request: pytest.FixtureRequest):
    """The gateway moved behind TLS, at a test's parameter: 127.0.0.1 or another address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    runner = web.AppRunner(gateway.app(), shutdown_timeout=0)
    await runner.setup()
    gateway.host = getattr(request, "param", "127.0.0.1")
    await web.TCPSite(runner, gateway.host, 0, ssl_context=context).start()
    gateway.port, gateway.scheme = runner.addresses[0][1], "https"
    yield gateway
    await runner.cleanup()


@pytest.mark.parametrize("secure", ["127.0.0.1", "::1"], indirect=True)
async def test_a_run_over_tls(launch: Launcher, secure: Gateway, certificates: Path):
    secure.paths["/x.txt"] = b"fetched"
    agent = await launch(MAYFLY_CA_PEM=(certificates / "ca.pem").read_text())
    session = await agent.session()
    source = """
        import os, urllib.request
        from cog import Path
        def main(f: Path) -> list:
            print("x" * 2_000_000)
            # The author's own HTTPS trusts the gateway too, by SSL_CERT_FILE.
            url = os.environ["REPLICATE_BASE_URL"] + "/x.txt"
            again = urllib.request.urlopen(url).read().decode()
            open("out.bin", "wb").write(os.urandom(300_000))
            return [f.read_text(), again, "y" * 5_000_000, Path("out.bin")]
        """
    message = work(source, {"f": f"{secure.url}/x.txt"})
    await session.send("work", **message)
    ended = await agent.finish(session)
    assert ended.result["error"] == ""
    assert ended.output[:2] == ["fetched", "fetched"]
    assert len(ended.output[2]) == 5_000_000
    assert len(secure.files[ended.output[3]]) == 300_000
    assert len(ended.log) == 2_000_001


async def test_a_gateway_that_is_not_trusted_gets_no_token(launch: Launcher, secure: Gateway):
    agent = await launch(stderr=True)
    told = await within(PATIENCE_S, agent.process.stderr.readline())
    assert b"certificate verify failed" in told
    assert secure.sessions.empty()
