"""Backup and restore of a SQLite database; PostgreSQL's own tools do it for PostgreSQL.

A backup is a database file of one moment, taken while the gateway reads and writes.
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
    """It was not done, and nothing was changed; the words say why and what to do."""


def backup(url: str, out: BinaryIO) -> None:
    """Write the database as it is now.

    Args:
        url: of the database, as the gateway has it.
        out: takes the file's bytes.

    Raises:
        NotPossible: it is not SQLite's, or not there.
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
    """Put a backup in the place of the database; no gateway may run.

    What was there is kept beside it, with the ending `.before`.

    Args:
        url: of the database, as the gateway has it.
        source: gives the backup's bytes.

    Raises:
        NotPossible: it is not SQLite's, a gateway has it open, or these bytes are no whole backup
            that this Mayfly can use.
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
    """Make sure that nobody uses a database, and that its file has all that it holds."""
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
