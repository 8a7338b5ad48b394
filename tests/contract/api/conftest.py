from pathlib import Path

import pytest
from support.gateway.world import World
from support.tools.clients import Client, javascript_client, python_client


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> World:
    return World(tmp_path, database_url)


@pytest.fixture(scope="session")
def python_1_0() -> Client:
    return python_client("replicate-1.0")


@pytest.fixture(scope="session")
def python_1_1() -> Client:
    # use() of this one is written in the syntax of 3.12, whatever its metadata says.
    return python_client("replicate-1.1", (3, 12))


@pytest.fixture(scope="session")
def python_2_0() -> Client:
    return python_client("replicate-2.0", base="/v1")


@pytest.fixture(scope="session")
def javascript() -> Client:
    return javascript_client()


@pytest.fixture(scope="session", params=["1.0", "1.1", "2.0"])
def python(request: pytest.FixtureRequest) -> Client:
    """Each of the Python clients."""
    name = f"python_{request.param.replace('.', '_')}"
    return request.getfixturevalue(name)
