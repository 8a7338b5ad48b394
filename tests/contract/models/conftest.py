from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from support.gateway.models import ModelWorld
from support.servers.cog_server import CogServer

Start = Callable[..., Awaitable[CogServer]]


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> ModelWorld:
    return ModelWorld(tmp_path, database_url)


@pytest.fixture
async def cog(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts servers; they are gone at the end of the test."""
    servers: list[CogServer] = []

    async def start(example: str, source: str = "") -> CogServer:
        server = CogServer(tmp_path, example, source)
        servers.append(server)
        return await server.start()

    yield start
    for server in servers:
        await server.kill()
