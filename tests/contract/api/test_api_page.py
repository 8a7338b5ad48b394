"""docs/api.md, followed in order as a reader would; the installation's notes begin alike."""

import asyncio
import re
from pathlib import Path

import pytest
from support.gateway.player import playing
from support.gateway.world import BUILDER, NAMESPACE, World
from support.tools.clients import environment
from support.waiting import within

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "api.md"
NOTES = ROOT / "charts" / "mayfly" / "templates" / "NOTES.txt"

STAND_INS = f"""
set -euo pipefail
kubectl() {{ case "$*" in *"create token"*) echo {BUILDER};; esac; }}
"""


@pytest.mark.parametrize("page", [PAGE, NOTES])
def test_an_account_is_bound_before_it_gets_a_token(page: Path) -> None:
    steps = re.findall(r"create (serviceaccount|rolebinding|token)\b[^`]*?\n", page.read_text())
    assert steps[:3] == ["serviceaccount", "rolebinding", "token"]


async def test_its_commands_work_in_their_order(world: World, tmp_path: Path) -> None:
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))
    python = environment("replicate-1.0", (3, 11))
    async with playing(world) as (gateway, _):
        for written, here in (
            ("https://localhost:8443", gateway.url),
            ("python -m venv replicate && replicate/bin/pip install", "true"),
            ("replicate/bin/python", str(python)),
            ("$PWD/mayfly-ca.crt", "/etc/ssl/certs/ca-certificates.crt"),
            ("default", NAMESPACE),
        ):
            assert written in commands
            commands = commands.replace(written, here)
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            STAND_INS + commands.replace('--cacert "$SSL_CERT_FILE"', "--fail-with-body"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await within(60, process.communicate())
    assert process.returncode == 0, errors.decode() + out.decode()
    assert '"status":"succeeded"' in out.decode().replace(" ", "")
    assert "{'text': 'hi'}" in out.decode().splitlines()[-1]
