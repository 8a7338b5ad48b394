from pathlib import Path

import pytest
from support.gateway.world import World


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> World:
    return World(tmp_path, database_url)
