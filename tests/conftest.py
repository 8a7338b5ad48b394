import asyncio
import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings
from support.lengths import length
from support.servers.postgresql import Databases, PostgreSQL, make_tables, server

# No test judges how fast a busy machine is.
settings.register_profile("patient", deadline=None, max_examples=length(50, 100))
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not look at it again with each test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server; one for each process of the tests."""
    with server() as running:
        running.make_template()
        yield running


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """A server of one test alone, that it may stop."""
    with server() as running:
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
