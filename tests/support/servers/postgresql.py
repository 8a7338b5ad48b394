"""A PostgreSQL server for tests: Debian's programs, a temporary folder, no port.

Tests that must pass on both databases say so for their whole file: `pytestmark = BOTH`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

import mayfly.gateway.app  # noqa: F401 - every table hangs on the metadata
from mayfly.database.engine import Database

BOTH = pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)
Databases = Callable[[Path], AbstractContextManager[str]]
"""Creates an empty database and returns its URL; takes a folder if it needs one."""

PATIENCE_SECONDS = 60
DISK_BYTES = 64 << 20
"""The size of `small_disk`: several times an empty database."""

TEMPLATE = "mayfly_template"
INITDB = ("-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the machine does not lose power in a test
    "full_page_writes": "off",
    "autovacuum": "off",  # no database here gets old
    "max_connections": "60",
    "shared_buffers": "16MB",
    "timezone": "UTC",
}


def programs() -> Path:
    """The folder of the server's programs, of the newest installed version."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: int(each.parts[-3])
    )
    if not found:
        pytest.fail("there is no PostgreSQL here: apt-get install postgresql (tests/run does)")
    return found[-1].parent


async def make_tables(url: str) -> None:
    """Create every table in an empty database."""
    database = Database(url)
    await database.create()
    await database.close()


class PostgreSQL:
    """A PostgreSQL server. It refuses to run as root, so root starts it as the package's user.

    Attributes:
        folder: all of its files, its socket included.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._user = "postgres" if os.geteuid() == 0 else None
        self._numbers = count()
        self._log = folder / "log"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(programs() / program), *map(str, arguments)]
        identity = {"user": self._user, "group": self._user, "extra_groups": []}
        done = subprocess.run(
            command,
            **(identity if self._user else {}),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        said = self._log.read_text() if self._log.exists() else ""
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{said}"

    def make(self) -> None:
        """Create the server's files."""
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        self._run("initdb", "-D", self._data, "-U", "mayfly", *INITDB)
        settings = {**SETTINGS, "unix_socket_directories": str(self.folder)}
        with (self._data / "postgresql.auto.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # Its output goes to a file: the server would keep our pipe open.
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", self._log)

    def stop(self) -> None:
        """Stop it at once, like a crash: its clients lose their connections."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://mayfly@/{name}?host={self.folder}"

    def say(self, statement: str, name: str = "postgres") -> None:
        """Execute one statement, outside of transactions."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(statement)

    def make_template(self) -> None:
        """Create the template of other databases: every table, no row."""
        self.say(f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(make_tables(self.url(TEMPLATE)))

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """Create a database that is dropped when the test ends."""
        name = f"test{next(self._numbers)}"
        self.say(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.say(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def small_disk(self) -> Iterator[tuple[str, Path]]:
        """A database on a disk of its own, and the disk: files put there take its space.

        The server's write-ahead log stays elsewhere: without space for that, the server stops.
        """
        disk = self.folder / "disk"
        disk.mkdir()
        size = f"size={DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True)
        try:
            space = disk / "space"
            space.mkdir()
            if self._user:
                shutil.chown(space, self._user, self._user)
            self.say(f"CREATE TABLESPACE small LOCATION '{space}'")
            self.say(f"CREATE DATABASE small TEMPLATE {TEMPLATE} TABLESPACE small")
            try:
                yield self.url("small"), disk
            finally:
                self.say("DROP DATABASE small WITH (FORCE)")
                self.say("DROP TABLESPACE small")
        finally:
            # Lazily: the server may hold a file a moment longer.
            subprocess.run(["umount", "--lazy", disk], check=True)
            disk.rmdir()


@contextmanager
def server() -> Iterator[PostgreSQL]:
    """A running server; everything is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mayfly-postgresql-"))
    postgresql = PostgreSQL(folder)
    try:
        postgresql.make()
        postgresql.start()
        try:
            yield postgresql
        finally:
            postgresql.stop()
    finally:
        shutil.rmtree(folder)
