"""TLS contexts that are made before they are asked for: each is one client's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mayfly_runtime

SOURCE = Path(mayfly_runtime.__file__).parents[1]

SCRIPT = """
import os, ssl, sys
from mayfly_runtime.worker import spare_contexts
import httpx
made = []
create = ssl.create_default_context
def counted(*args, **kwargs):
    made.append(1)
    return create(*args, **kwargs)
ssl.create_default_context = counted
spare_contexts.make()
early = len(made)
"""


def script(code: str, roots: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + code, str(roots)],
        env={
            "PYTHONPATH": str(SOURCE),
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": str(roots),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def roots(tmp_path):
    file = tmp_path / "roots.pem"
    where = subprocess.run([sys.executable, "-m", "certifi"], capture_output=True, check=True)
    file.write_bytes(Path(where.stdout.decode().strip()).read_bytes())
    return file


def test_each_client_has_its_own_and_the_first_ones_need_not_wait(roots):
    code = """
clients = [httpx.HTTPTransport() for _ in range(4)]
contexts = {id(each._pool._ssl_context) for each in clients}
print(early, len(made) - early, len(contexts), clients[0]._pool._ssl_context.verify_mode.name)
"""
    assert script(code, roots) == ["2", "2", "4", "CERT_REQUIRED"]


@pytest.mark.parametrize(
    "change",
    [
        "os.environ['SSL_CERT_FILE'] = '//' + sys.argv[1]",
        "os.environ['SSLKEYLOGFILE'] = '/dev/null'",
        "open(sys.argv[1], 'a').write('# more')",
        "ssl.create_default_context = lambda **options: counted(**options)",
    ],
)
def test_if_something_has_changed_the_client_gets_what_it_would_have_got(roots, change):
    code = f"{change}\nhttpx.HTTPTransport()\nprint(len(made) - early)"
    assert script(code, roots) == ["1"]


@pytest.mark.parametrize("options", ["verify=False", "trust_env=False", "verify=create()"])
def test_who_asks_for_another_gets_another(roots, options):
    code = f"httpx.HTTPTransport({options})\nhttpx.HTTPTransport()\nprint(len(made) - early)"
    assert script(code, roots) == ["1" if options == "trust_env=False" else "0"]
