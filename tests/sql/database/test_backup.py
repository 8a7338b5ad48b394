import asyncio
import io
import sqlite3
from pathlib import Path

import pytest

import mayfly.gateway.app  # noqa: F401 - every table hangs on the metadata
from mayfly.database.backup import NotPossible, backup, restore
from mayfly.database.engine import Database


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mayfly.db"


async def made(url: str) -> bytes:
    database = Database(url)
    await database.create()
    await database.close()
    kept = io.BytesIO()
    backup(url, kept)
    return kept.getvalue()


def test_nothing_but_the_database_stays(url: str, tmp_path: Path) -> None:
    kept = asyncio.run(made(url))
    restore(url, io.BytesIO(kept))
    assert {each.name for each in tmp_path.iterdir()} == {"mayfly.db", "mayfly.db.before"}
    assert asyncio.run(made(url)) == kept


async def test_a_database_in_use_is_left_alone(url: str) -> None:
    kept = await made(url)
    database = Database(url)
    await database.ping()
    with pytest.raises(NotPossible, match="stop the gateway first"):
        restore(url, io.BytesIO(kept))
    await database.ping()
    await database.close()


@pytest.mark.parametrize("what", ["nothing", "text", "half", "another", "newer"])
async def test_what_is_no_backup_changes_nothing(url: str, tmp_path: Path, what: str) -> None:
    kept = await made(url)
    other = tmp_path / "other.db"
    match what:
        case "nothing":
            wrong = b""
        case "text":
            wrong = b"this is a page about databases" * 100
        case "half":
            wrong = kept[: len(kept) // 2]
        case "another":
            database = sqlite3.connect(other)
            database.execute("CREATE TABLE invoices (number INTEGER)")
            database.close()
            wrong = other.read_bytes()
        case _:
            other.write_bytes(kept)
            database = sqlite3.connect(other)
            with database:
                database.execute("UPDATE alembic_version SET version_num = '9000'")
            database.close()
            wrong = other.read_bytes()
    before = (tmp_path / "mayfly.db").read_bytes()
    with pytest.raises(NotPossible, match=r"not a backup|damaged|newer"):
        restore(url, io.BytesIO(wrong))
    assert (tmp_path / "mayfly.db").read_bytes() == before


def test_postgresql_has_tools_of_its_own() -> None:
    with pytest.raises(NotPossible, match="use pg_dump"):
        backup("postgresql://db/mayfly", io.BytesIO())
    with pytest.raises(NotPossible, match="use pg_restore"):
        restore("postgresql://db/mayfly", io.BytesIO())


def test_a_backup_of_nothing_is_said(url: str) -> None:
    with pytest.raises(NotPossible, match="There is no database"):
        backup(url, io.BytesIO())
