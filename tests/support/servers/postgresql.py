"""A PostgreSQL server for tests: Debian's programs, a temporary folder, no port.

All processes of a run of pytest share one server; whichever needs it first starts it, and pytest's
own process stops it. Tests that stop their server have one of their own.

Tests that must pass on both databases say so for their whole file: `pytestmark = BOTH`.
"""

from __future__ import annotations

import asyncio
import fcntl
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
    "max_wal_size": "128MB",  # its files may be in memory
    "max_connections": "200",  # of three processes, each with several gateways
    "shared_buffers": "32MB",
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

    def __init__(self, folder: Path, prefix: str = "test") -> None:
        """Name a server that may be there already.

        Args:
            folder: for its files.
            prefix: of the names of databases; each process that uses the server has its own.
        """
        self.folder = folder
        self._prefix = prefix
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

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped."""
        return (self._data / "postmaster.pid").exists()

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
        name = f"{self._prefix}{next(self._numbers)}"
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
        disk = self.folder / f"{self._prefix}disk"
        name = f"{self._prefix}small"
        disk.mkdir()
        size = f"size={DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True)
        try:
            space = disk / "space"
            space.mkdir()
            if self._user:
                shutil.chown(space, self._user, self._user)
            self.say(f"CREATE TABLESPACE {name} LOCATION '{space}'")
            self.say(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} TABLESPACE {name}")
            try:
                yield self.url(name), disk
            finally:
                self.say(f"DROP DATABASE {name} WITH (FORCE)")
                self.say(f"DROP TABLESPACE {name}")
        finally:
            # Lazily: the server may hold a file a moment longer.
            subprocess.run(["umount", "--lazy", disk], check=True)
            disk.rmdir()


@contextmanager
def server() -> Iterator[PostgreSQL]:
    """A running server of the caller's own; everything is removed afterwards."""
    folder = new_folder()
    try:
        postgresql = PostgreSQL(folder)
        postgresql.make()
        postgresql.start()
        yield postgresql
    finally:
        remove(folder)


def shared(folder: Path, process: str) -> PostgreSQL:
    """The server of a run of pytest, started by the first process that needs it.

    Args:
        folder: the same for all processes of the run; whoever made it removes it.
        process: the name of this process.
    """
    postgresql = PostgreSQL(folder, f"test_{process}_")
    ready = folder / "ready"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
        if not ready.exists():
            postgresql.make()
            postgresql.start()
            postgresql.make_template()
            ready.touch()
    return postgresql


def new_folder() -> Path:
    """A folder for a server."""
    return Path(tempfile.mkdtemp(prefix="mayfly-postgresql-"))


def remove(folder: Path) -> None:
    """Stop the server of a folder, if it runs, and remove the folder."""
    try:
        postgresql = PostgreSQL(folder)
        if postgresql.runs:
            postgresql.stop()
    finally:
        shutil.rmtree(folder)
