"""The file store: bytes in an object store, metadata in SQL, `mayfly-file:<id>` outside.

A file belongs to a run and a namespace. Bytes are streamed and never held in memory as a whole.
Limits are checked during the stream, and a file that exceeds one leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.clock import Clock
from mayfly.config import GatewayLimits
from mayfly.database.engine import Database, Instant, StorageFull, insert_once, metadata
from mayfly.gateway.http.errors import Missing, TooLarge

logger = logging.getLogger(__name__)

SCHEME = "mayfly-file:"
ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}")
REFERENCE = re.compile(r'(?<!\\)"mayfly-file:([0-9a-hjkmnp-tv-z]{26})"(?!\s*:)')
"""A reference that is a whole JSON string and a value: inside another string its quotes would be
escaped, and before a colon it would be a key."""

CHUNK = 256 * 1024
NAME_BYTES = 200
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}")
INPUT_NAME = "input.json"
"""Name of an input that is too long for its object."""

OCTETS = "application/octet-stream"

CONNECTION = frozenset({"allow_http", "connect_timeout", "proxy_url", "timeout"})
"""Options of the HTTP client, as obstore names them; all other options belong to the store."""

files = Table(
    "files",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("run_uid", String(64), nullable=False),
    Column("name", String(NAME_BYTES), nullable=False),
    Column("content_type", String(127), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_files_run_uid", "run_uid", "created_at"),
)


doomed_files = Table("doomed_files", metadata, Column("id", String(26), primary_key=True))
"""Deleted files whose bytes may still exist."""


@dataclass(frozen=True)
class StoredFile:
    """One file; the fields are named like the columns."""

    id: str
    namespace: str
    run_uid: str
    name: str
    content_type: str
    size: int
    sha256: str
    created_at: datetime

    @property
    def reference(self) -> str:
        """The reference to the file in inputs and outputs."""
        return f"{SCHEME}{self.id}"


def safe_name(name: str) -> str:
    """A file name without path, control or bidirectional characters; at most 200 bytes."""
    last = re.split(r"[/\\]", name)[-1]
    # Cc and Cf: control and format characters (a right-to-left override hides an extension).
    kept = "".join(each for each in last if unicodedata.category(each) not in {"Cc", "Cf", "Cs"})
    kept = kept.strip(" .").encode()[:NAME_BYTES].decode(errors="ignore")
    return kept or "file"


def media_type(text: str | None) -> str:
    """A media type without parameters; `application/octet-stream` if it is not valid."""
    given = (text or "").partition(";")[0].strip()
    return given if MEDIA_TYPE.fullmatch(given) else OCTETS


def references(text: str | None) -> list[str]:
    """The ids of the files that a JSON text refers to, without duplicates."""
    return list(dict.fromkeys(REFERENCE.findall(text or "")))


def open_store(url: str, options: dict[str, str]) -> ObjectStore:
    """The object store at a URL: file:///folder, s3://, gs://, az://.

    Raises:
        obstore.exceptions.BaseError: the URL or an option is wrong.
    """
    if url.startswith("file:"):
        folder = Path(url2pathname(urlsplit(url).path))
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder)
    # Client options are the same for every store and are passed separately.
    client = {name: text for name, text in options.items() if name in CONNECTION}
    rest = {name: text for name, text in options.items() if name not in CONNECTION}
    store: ObjectStore = from_url(url, client_options=client, **rest)  # type: ignore[call-overload]
    return store


@dataclass
class _Arrived:
    """How much of a file has arrived, and its hash."""

    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class Files:
    """Stores, reads and deletes files: bytes in the store, rows in SQL."""

    def __init__(
        self,
        store: ObjectStore,
        database: Database,
        limits: GatewayLimits,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._database = database
        self._limits = limits
        self._clock = clock
        self._new_id = new_id
        self._arriving: Counter[str] = Counter()

    async def put(
        self,
        body: AsyncIterator[bytes],
        *,
        namespace: str,
        run_uid: str,
        name: str,
        content_type: str | None,
        announced: int | None,
    ) -> StoredFile:
        """Store a file.

        Args:
            body: the bytes, as they arrive.
            namespace: owns the file.
            run_uid: the run that made it; "" for one that a person uploaded.
            name: the name that the user's code gave it.
            content_type: as its sender says it.
            announced: Content-Length, if there is one.

        Raises:
            TooLarge: the file, or all files of the run together, exceed the limit.
            StorageFull: the store or the database is full.
        """
        file_id = self._new_id()
        arrived = _Arrived()
        self._admit(announced or 0, await self._held(run_uid))
        try:
            await self._put(_path(file_id), self._counted(body, run_uid, arrived))
            stored = StoredFile(
                id=file_id,
                namespace=namespace,
                run_uid=run_uid,
                name=safe_name(name),
                content_type=media_type(content_type),
                size=arrived.size,
                sha256=arrived.digest.hexdigest(),
                created_at=self._clock(),
            )
            await self._keep(stored)
        finally:
            self._arriving[run_uid] -= arrived.size
            if not self._arriving[run_uid]:
                del self._arriving[run_uid]
        return stored

    async def _counted(
        self, body: AsyncIterator[bytes], run_uid: str, arrived: _Arrived
    ) -> AsyncIterator[bytes]:
        """The bytes as they arrive, checked against the limits.

        Raises:
            TooLarge: the file, or all files of the run together, exceed the limit.
        """
        held = await self._held(run_uid)
        async for piece in body:
            if not piece:
                continue
            arrived.size += len(piece)
            # Uploads in progress count too, or parallel uploads would get around the limit.
            self._arriving[run_uid] += len(piece)
            others = held + self._arriving[run_uid] - arrived.size if run_uid else 0
            self._admit(arrived.size, others)
            arrived.digest.update(piece)
            yield piece

    async def _put(self, path: str, pieces: AsyncIterator[bytes]) -> None:
        try:
            await obstore.put_async(self._store, path, pieces, chunk_size=CHUNK * 20)
        except BaseError as error:
            # obstore has no exception class for this; match the operating system's message.
            if os.strerror(errno.ENOSPC) not in str(error):
                raise
            logger.warning("the file store's disk is full")
            raise StorageFull("the file store's disk is full") from error

    async def put_text(self, text: str, *, namespace: str) -> StoredFile:
        """Store a text: an input that is too long for its object."""

        async def once() -> AsyncIterator[bytes]:
            yield text.encode("utf-8", "surrogatepass")

        return await self.put(
            once(),
            namespace=namespace,
            run_uid="",
            name=INPUT_NAME,
            content_type="application/json",
            announced=None,
        )

    async def _keep(self, stored: StoredFile) -> None:
        try:
            async with self._database.write() as tx:
                # Check again inside the transaction: an upload that ended meanwhile is in SQL now.
                held = await _sum(tx, stored.run_uid)
                self._admit(stored.size, held)
                await tx.execute(insert(files).values(**vars(stored)))
        except BaseException:
            await obstore.delete_async(self._store, _path(stored.id))
            raise

    async def delete(self, file_id: str) -> None:
        """Delete a file; does nothing if it does not exist."""
        async with self._database.write() as tx:
            await self.doom(tx, [file_id])
        await self.delete_doomed()

    @staticmethod
    async def own(tx: AsyncConnection, reference: str, *, namespace: str, run_uid: str) -> None:
        """Assign a long input to the run that was created with it; they are removed together."""
        await tx.execute(
            update(files)
            .where(
                files.c.id == reference.removeprefix(SCHEME),
                files.c.namespace == namespace,
                files.c.run_uid == "",
                files.c.name == INPUT_NAME,
            )
            .values(run_uid=run_uid)
        )

    @staticmethod
    async def describe(
        tx: AsyncConnection, stored: StoredFile, name: str, content_type: str
    ) -> StoredFile:
        """Give a file another name and media type, where they are not ""."""
        described = replace(
            stored,
            name=safe_name(name) if name else stored.name,
            content_type=media_type(content_type) if content_type else stored.content_type,
        )
        if described != stored:
            values = {"name": described.name, "content_type": described.content_type}
            await tx.execute(update(files).where(files.c.id == stored.id).values(**values))
        return described

    @staticmethod
    async def doom(tx: AsyncConnection, ids: Sequence[str]) -> None:
        """Delete the rows of files, and record that their bytes are to be deleted."""
        for batch in _batches(ids, 500):
            await tx.execute(delete(files).where(files.c.id.in_(batch)))
            for file_id in batch:
                await insert_once(tx, doomed_files, {"id": file_id})

    async def delete_doomed(self) -> None:
        """Delete the bytes of deleted files, including those that an earlier process left."""
        while True:
            async with self._database.read(bulk=True) as tx:
                ids = list((await tx.execute(select(doomed_files.c.id).limit(500))).scalars())
            if not ids:
                return
            for file_id in ids:
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, _path(file_id))
            async with self._database.write(bulk=True) as tx:
                await tx.execute(delete(doomed_files).where(doomed_files.c.id.in_(ids)))

    def _admit(self, size: int, others: int) -> None:
        if size > self._limits.file_bytes:
            raise TooLarge(f"A file may have at most {self._limits.file_bytes} bytes.")
        if size + others > self._limits.files_bytes:
            raise TooLarge(
                f"The files of a run may have at most {self._limits.files_bytes} bytes together."
            )

    async def _held(self, run_uid: str) -> int:
        async with self._database.read() as tx:
            return await _sum(tx, run_uid)

    async def find(self, file_id: str) -> StoredFile | None:
        """A file by its id."""
        return (await self.find_all([file_id])).get(file_id)

    async def find_all(self, ids: Sequence[str]) -> dict[str, StoredFile]:
        """Files by id; missing ones are left out."""
        found: dict[str, StoredFile] = {}
        async with self._database.read() as tx:
            for batch in _batches(ids, 500):
                rows = await tx.execute(select(files).where(files.c.id.in_(batch)))
                found |= {row["id"]: StoredFile(**row) for row in rows.mappings()}
        return found

    async def read(self, file_id: str) -> AsyncIterator[bytes]:
        """The bytes of a file.

        Raises:
            Missing: they were deleted.
        """
        try:
            got = await obstore.get_async(self._store, _path(file_id))
        except FileNotFoundError as error:
            raise Missing("There is no such file.") from error
        return got.stream(min_chunk_size=CHUNK).__aiter__()

    async def text(self, reference: str, sha256: str, limit: int) -> str | None:
        """The text of a small file; None if it is missing, too large, or has another SHA-256."""
        file_id = reference.removeprefix(SCHEME)
        stored = await self.find(file_id)
        if stored is None or stored.size > limit or stored.sha256 != sha256:
            return None
        pieces = [bytes(piece) async for piece in await self.read(file_id)]
        return b"".join(pieces).decode("utf-8", "replace")


async def _sum(tx: AsyncConnection, run_uid: str) -> int:
    if not run_uid:
        return 0  # uploads by people are limited per file only
    total = select(func.coalesce(func.sum(files.c.size), 0)).where(files.c.run_uid == run_uid)
    return int((await tx.execute(total)).scalar_one())


def _path(file_id: str) -> str:
    # Two levels, so that a local folder never holds a million entries.
    return f"{file_id[-2:]}/{file_id}"


def _batches(ids: Iterable[str], size: int) -> Iterable[list[str]]:
    every = list(ids)
    return (every[start : start + size] for start in range(0, len(every), size))
