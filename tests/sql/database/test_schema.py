"""The schema's revisions: whatever database is found, it becomes the newest or stays as it is."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.engine import make_url
from support.at_once import at_once
from support.servers.postgresql import Databases, PostgreSQL

import mayfly.gateway.app  # noqa: F401 - every table hangs on the metadata
from mayfly.database.engine import Database, metadata
from mayfly.database.schema import NEWEST, SchemaMismatch
from mayfly.gateway.lifecycle import archive


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", "mayfly.database:migrations")
    return ScriptDirectory.from_config(config)


HEAD = scripts().get_current_head()


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/mayfly.db"
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    with postgresql.database(template="template1") as url:
        yield url


@pytest.fixture
async def database(bare_url: str) -> AsyncIterator[Database]:
    database = Database(bare_url)
    yield database
    await database.close()


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def contents(connection: Connection) -> dict[str, list[Any]]:
    """Everything that is in a database: tables, columns, rows."""
    there = inspect(connection)
    return {
        name: [
            sorted(each["name"] for each in there.get_columns(name)),
            sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))),
        ]
        for name in there.get_table_names()
    }


async def test_an_empty_database_gets_every_table_as_the_code_has_it(database: Database) -> None:
    await database.create()
    async with database.read() as tx:
        assert await tx.run_sync(differences) == []
        assert await tx.run_sync(revision) == HEAD
        before = await tx.run_sync(contents)
    await database.create()
    async with database.read() as tx:
        assert await tx.run_sync(contents) == before


async def test_items_of_outputs_become_chunks(database: Database) -> None:
    """Up to the first that is missing, as they were read before."""

    def older(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "mayfly.database:migrations")
        command.upgrade(config, "0001")
        for run, position, value in (("a", 0, '"x"'), ("a", 1, "22"), ("a", 3, "4"), ("b", 1, "5")):
            connection.execute(
                text("INSERT INTO output_items VALUES (:run, :position, :size, :value)"),
                {"run": run, "position": position, "size": len(value), "value": value},
            )

    async with database.write() as tx:
        await tx.run_sync(older)
    await database.create()
    async with database.write() as tx:
        assert await tx.run_sync(differences) == []
        assert await archive.items(tx, "a") == '["x",22]'
        assert await archive.items_from(tx, "a", 1) == ["22"]
        assert await archive.output_size(tx, "a") == archive.OutputSize(2, 4 + 3)
        assert await archive.append_items(tx, "a", 2, ["3"], 100) == 3
        assert await archive.items(tx, "b") is None


def test_the_revision_that_this_code_needs_is_that_of_the_newest_file() -> None:
    assert NEWEST == HEAD


def test_a_start_with_nothing_to_upgrade_loads_no_alembic(
    sqlite: Databases, tmp_path: Path
) -> None:
    """Nor the dialect of a database that it does not use, nor the controller's half."""
    start = (
        "import asyncio, sys, mayfly.gateway.server\n"
        "from mayfly.database.engine import Database\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    await database.create()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
        "print(*sys.modules)\n"
    )
    with sqlite(tmp_path) as url:
        ended = run_python("-c", start, url)
    assert ended.returncode == 0, ended.stderr
    loaded = set(ended.stdout.split())
    assert "sqlalchemy.dialects.sqlite" in loaded
    unused = {"alembic", "mako", "sqlalchemy.dialects.postgresql", "psycopg", "kopf"}
    assert loaded & unused == set()


async def test_tables_of_another_program_do_not_matter(database: Database) -> None:
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE invoices (number INTEGER)"))
        await tx.execute(text("INSERT INTO invoices VALUES (1)"))
    await database.create()
    async with database.read() as tx:
        assert await tx.scalar(text("SELECT number FROM invoices")) == 1
        assert await tx.run_sync(revision) == HEAD


@pytest.mark.parametrize("versions", ["none", "an empty table"])
@pytest.mark.parametrize("name", ["runs", "log_chunks"])
async def test_a_table_of_ours_without_a_revision_is_left_alone_in_words(
    database: Database, bare_url: str, name: str, versions: str
) -> None:
    async with database.write() as tx:
        await tx.execute(text(f"CREATE TABLE {name} (number INTEGER)"))
        await tx.execute(text(f"INSERT INTO {name} VALUES (1)"))
        if versions != "none":
            await tx.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        before = await tx.run_sync(contents)
    with pytest.raises(SchemaMismatch) as raised:
        await database.create()
    shown = make_url(bare_url).render_as_string(hide_password=True)
    assert str(raised.value).startswith(
        f"The database {shown} has tables with names of Mayfly's ({name}) and no revision"
    )
    async with database.read() as tx:
        assert await tx.run_sync(contents) == before


async def test_one_that_a_newer_mayfly_has_used_is_left_alone(database: Database) -> None:
    await database.create()
    async with database.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9000'"))
        before = await tx.run_sync(contents)
    with pytest.raises(SchemaMismatch, match=r"revision 9000.*a newer Mayfly has used it"):
        await database.create()
    async with database.read() as tx:
        assert await tx.run_sync(contents) == before


async def test_a_step_that_fails_leaves_the_database_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDL is within the transaction, in SQLite too."""

    def broken(connection: Connection, **_: Any) -> None:
        connection.execute(text("CREATE TABLE half (number INTEGER)"))
        connection.execute(text("this is no SQL"))

    monkeypatch.setattr(MetaData, "create_all", lambda _self, bind, **_: broken(bind))
    with pytest.raises(Exception, match="syntax error"):
        await database.create()
    monkeypatch.undo()
    async with database.read() as tx:
        assert await tx.run_sync(contents) == {}
    await database.create()


def test_processes_that_start_at_once_make_the_tables_once(bare_url: str) -> None:
    """Each fails if it makes a table that another one has made meanwhile."""
    start = (
        "import asyncio, sys, mayfly.gateway.app\n"
        "from mayfly.database.engine import Database\n"
        "print('here', flush=True), sys.stdin.read()\n"
        "async def main():\n"
        "    database = Database(sys.argv[1])\n"
        "    await database.create()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    at_once(start, bare_url)
    asyncio.run(check_head(bare_url))


async def check_head(url: str) -> None:
    database = Database(url)
    async with database.read() as tx:
        assert await tx.run_sync(differences) == []
        assert await tx.run_sync(revision) == HEAD
    await database.close()


async def test_the_process_ends_in_a_sentence(
    database: Database, bare_url: str, tmp_path: Path
) -> None:
    await database.create()
    async with database.write() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9000'"))
    await database.close()
    ended = run_gateway(tmp_path, bare_url)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("The database has revision 9000")
    assert last.endswith("restore a backup from before its first start.")
    assert "Traceback" not in ended.stderr


def run_gateway(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run the gateway's process until it ends by itself."""
    (folder / "key").write_bytes(b"a signing key for tests, 32 bytes")
    cluster = {"name": "no", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "no", "context": {"cluster": "no", "user": "no"}}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "no", "user": {}}],
        "contexts": [context],
        "current-context": "no",
    }
    config = {
        "databaseURL": url,
        "filesURL": folder.as_uri(),
        "signingKeyFile": str(folder / "key"),
        "internalURL": "https://gateway.test",
    }
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    (folder / "config.json").write_text(json.dumps(config))
    return run_python(
        *("-m", "mayfly", "gateway"),
        MAYFLY_CONFIG=str(folder / "config.json"),
        KUBECONFIG=str(folder / "kubeconfig"),
    )


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
