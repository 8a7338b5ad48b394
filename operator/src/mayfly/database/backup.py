"""Backup and restore of SQLite databases; for PostgreSQL, use its own tools.

A backup is a consistent copy of the database file, taken while the gateway reads and writes.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from sqlalchemy.engine import make_url

from mayfly.database.schema import revisions

BUSY_SECONDS = 20.0


class NotPossible(Exception):
    """Nothing was done or changed; the message says why, and what to do."""


def backup(url: str, out: BinaryIO) -> None:
    """Write a copy of the current database.

    Args:
        url: of the database, as in the gateway's configuration.
        out: receives the file's bytes.

    Raises:
        NotPossible: the database is not SQLite, or does not exist.
    """
    path = _path(url, "pg_dump --format=custom")
    if not path.exists():
        raise NotPossible(f"There is no database at {path}.")
    # Beside the database: that volume has room for it, and /tmp may be memory.
    with TemporaryDirectory(prefix="backup-", dir=path.parent) as folder:
        copy = Path(folder, "copy.db")
        with closing(_open(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            # One file, whole by itself.
            target.execute("PRAGMA journal_mode=DELETE")
        with copy.open("rb") as file:
            shutil.copyfileobj(file, out)


def restore(url: str, source: BinaryIO) -> None:
    """Replace the database by a backup; no gateway may be running.

    The previous database is kept beside it, with the suffix `.before`.

    Args:
        url: of the database, as in the gateway's configuration.
        source: provides the backup's bytes.

    Raises:
        NotPossible: the database is not SQLite, a gateway uses it, or the bytes are not a
            complete backup that this Mayfly can use.
    """
    path = _path(url, "pg_restore")
    with TemporaryDirectory(prefix="restore-", dir=path.parent) as folder:
        copy = Path(folder, "copy.db")
        with copy.open("wb") as file:
            shutil.copyfileobj(source, file)
        _check(copy)
        if path.exists():
            _close(path)
            path.replace(path.with_name(path.name + ".before"))
        copy.replace(path)


def _path(url: str, instead: str) -> Path:
    parsed = make_url(url)
    if not parsed.drivername.startswith("sqlite") or not parsed.database:
        raise NotPossible(f"The database is not SQLite's: use {instead} for it.")
    return Path(parsed.database)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)


def _check(path: Path) -> None:
    try:
        with closing(_open(path)) as database:
            [(said,)] = database.execute("PRAGMA integrity_check(1)").fetchall()
            present = [each for (each,) in database.execute("SELECT * FROM alembic_version")]
    except sqlite3.Error as error:
        raise NotPossible(f"This is not a backup of Mayfly's database: {error}.") from error
    if said != "ok":
        raise NotPossible(f"The backup is damaged: {said}.")
    if not set(present) <= revisions():
        raise NotPossible(
            f"The backup has revision {', '.join(present)}, which this Mayfly does not know: a "
            "newer version has made it. Install that Mayfly first."
        )


def _close(path: Path) -> None:
    """Make sure that nobody uses a database, and that its file is complete."""
    try:
        with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as database:
            # Leaving WAL needs the database alone, and takes the journal's files away.
            [(mode,)] = database.execute("PRAGMA journal_mode=DELETE").fetchall()
    except sqlite3.OperationalError as error:
        raise NotPossible(
            f"The database at {path} is in use ({error}): stop the gateway first."
        ) from error
    if mode != "delete":
        raise NotPossible(f"The database at {path} is in use: stop the gateway first.")
