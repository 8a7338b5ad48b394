import asyncio
import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.lengths import length
from support.servers import postgresql as servers
from support.servers.postgresql import Databases, PostgreSQL, make_tables

# No test judges how fast a busy machine is.
settings.register_profile("patient", deadline=None, max_examples=length(50, 100))
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look at it again with each test."""
    gc.collect()
    gc.freeze()


POSTGRESQL = pytest.StashKey[Path]()
"""The folder of the one server that all processes of this run share."""


def pytest_configure(config: pytest.Config) -> None:
    ours = getattr(config, "workerinput", {}).get("postgresql")
    config.stash[POSTGRESQL] = Path(ours) if ours else servers.new_folder()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the server is."""
    node.workerinput["postgresql"] = str(node.config.stash[POSTGRESQL])


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        servers.remove(config.stash[POSTGRESQL])


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> PostgreSQL:
    """The server of this run; tests must not stop it."""
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return servers.shared(pytestconfig.stash[POSTGRESQL], process)


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """A server of one test alone, that it may stop."""
    with servers.server() as running:
        running.make_template()
        yield running


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """Databases of SQLite, each a copy of one with every table and no row."""
    template = tmp_path_factory.mktemp("sqlite") / "mayfly.db"
    asyncio.run(make_tables(f"sqlite:///{template}"))

    @contextmanager
    def copied(folder: Path) -> Iterator[str]:
        shutil.copyfile(template, folder / "mayfly.db")
        yield f"sqlite:///{folder}/mayfly.db"

    return copied


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Databases:
    """Empty databases: SQLite's, or of both kinds where the tests say so."""
    if getattr(request, "param", "sqlite") == "postgresql":
        running: PostgreSQL = request.getfixturevalue("postgresql")
        return lambda _folder: running.database()
    made: Databases = request.getfixturevalue("sqlite")
    return made


@pytest.fixture
def database_url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    with databases(tmp_path) as url:
        yield url
