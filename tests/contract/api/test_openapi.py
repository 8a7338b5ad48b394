"""The API's own description, and that nothing it allows makes the gateway fail."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

from support.gateway.described import described
from support.gateway.player import playing
from support.gateway.world import BUILDER, NAMESPACE, World
from support.tools.clients import environment

ROOT = Path(__file__).parents[3]
EXAMPLES = 5


async def test_the_description_has_every_noun(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        described = (await anybody.get("/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    for path, methods in {
        "/v1/predictions": {"get", "post"},
        "/v1/models": {"get", "post"},
        "/v1/models/{owner}/{name}": {"get", "patch", "delete"},
        "/v1/models/{owner}/{name}/versions": {"get", "post"},
        "/v1/files": {"get", "post"},
        "/v1/files/{file_id}": {"get", "delete"},
        "/v1/account": {"get"},
        "/v1/usage": {"get"},
        "/v1/usage/records": {"get"},
        "/v1/usage/focus": {"get"},
        "/v1/usage/periods": {"get"},
        "/v1/usage/periods/{period}/close": {"post"},
        "/v1/usage/periods/{period}/verify": {"get"},
        "/v1/usage/{identity}": {"get"},
        "/v1/usage/explain": {"get"},
        "/v1/webhooks/default/secret": {"get"},
        "/v1/streams/{identity}": {"get"},
        "/v1/events": {"get"},
        "/v1/predictions/{identity}/cancel": {"get", "post"},
        "/v1/predictions/{identity}/input": {"get"},
        "/v1/predictions/{identity}/bundle": {"get"},
        "/v1/check": {"post"},
        "/v1/models/{owner}/{name}/check": {"post"},
        "/v1/runtimes": {"get"},
        "/v1/pools": {"get"},
    }.items():
        assert methods <= set(described["paths"][path]), path


async def test_the_web_uis_types_are_made_of_this_description() -> None:
    kept = (ROOT / "web" / "openapi.json").read_text(encoding="utf-8")
    assert kept == await described(), "run `make generate`"


async def test_every_schema_that_is_named_is_there(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        text = (await anybody.get("/openapi.json")).text
    named = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))
    assert "Summary" in named
    assert named <= json.loads(text)["components"]["schemas"].keys()


async def test_whatever_the_description_allows_is_answered_without_a_5xx(world: World) -> None:
    python = environment("schemathesis", (3, 11))
    world.cluster.allowed.add((f"system:serviceaccount:{NAMESPACE}:builder", ""))
    async with playing(world) as (gateway, _):
        process = await asyncio.create_subprocess_exec(
            *(str(python), "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{gateway.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {BUILDER}", "--checks", "not_a_server_error"),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--phases", "fuzzing"),
            # No test judges how fast a busy machine is.
            *("--suppress-health-check", "too_slow"),
            *("--exclude-path-regex", "/agent/|/streams/|/events|follow"),
            "--no-color",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=world.folder,
        )
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()[:9000]
