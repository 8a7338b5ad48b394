"""Uploads: `POST /files` of Replicate's API, for inputs of predictions.

The bytes are stored like those of any file (`files`); a row here makes the file an upload and has
what only uploads have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    String,
    Table,
    Text,
    delete,
    insert,
    literal,
    select,
    tuple_,
)

from mayfly.clock import Clock, rfc3339
from mayfly.database.engine import Database, Instant, metadata
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.files.fields import Fields
from mayfly.gateway.files.store import ID, Files, StoredFile
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing
from mayfly.gateway.http.multipart import Form, Part
from mayfly.gateway.namespaces.retention import Retention

Json = dict[str, Any]

uploads = Table(
    "uploads",
    metadata,
    Column("file_id", String(26), primary_key=True),
    Column("namespace", String(63), nullable=False),
    Column("root_uid", String(64), nullable=False),
    Column("md5", String(32), nullable=False),
    Column("metadata", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_uploads_namespace", "namespace", "created_at", "file_id"),
)
"""`root_uid` is the tree of the run that uploaded it; "" if a person did."""


@dataclass(frozen=True)
class Upload:
    """An upload, with its file."""

    stored: StoredFile
    md5: str
    metadata: str


class Uploads:
    """Creates, finds and deletes uploads, with authorization."""

    def __init__(
        self,
        *,
        files: Files,
        database: Database,
        callers: Callers,
        runs: Runs,
        retention: Retention,
        clock: Clock,
    ) -> None:
        self._files = files
        self._database = database
        self._callers = callers
        self._runs = runs
        self._retention = retention
        self._clock = clock

    # -- create ----------------------------------------------------------------------------------

    async def take(self, caller: Caller, form: Form, announced: int | None) -> Upload:
        """Store the part `content` of a form, with what its fields say of it.

        Args:
            caller: who uploads.
            form: the bytes, as they arrive.
            announced: Content-Length, if there is one.

        Raises:
            Forbidden: the caller may create no predictions there, so it needs no files.
            TooLarge: it exceeds the limit; nothing is stored.
            Invalid: the form has no file.
        """
        namespace = self._callers.own_namespace(caller)
        await self._require(caller, "create", namespace)
        kept: list[tuple[StoredFile, str]] = []
        try:
            fields = await self._parts(caller, namespace, form, announced, kept)
            stored, md5 = kept[0]
            async with self._database.write() as tx:
                stored = await Files.describe(tx, stored, fields.name, fields.content_type)
                upload = Upload(stored, md5, json.dumps(fields.metadata))
                values = {
                    "file_id": upload.stored.id,
                    "namespace": namespace,
                    "root_uid": self._root(caller),
                    "md5": upload.md5,
                    "metadata": upload.metadata,
                    "created_at": upload.stored.created_at,
                }
                await tx.execute(insert(uploads).values(**values))
        except BaseException:
            for stored, _ in kept:
                await self._files.delete(stored.id)
            raise
        return upload

    async def _parts(
        self,
        caller: Caller,
        namespace: str,
        form: Form,
        announced: int | None,
        kept: list[tuple[StoredFile, str]],
    ) -> Fields:
        """Read a form: its file is added to `kept`, its other fields returned."""
        fields = Fields()
        while (part := await form.next()) is not None:
            if part.name == "content":
                if kept:
                    raise Invalid("Send one content at a time.", pointer="/content")
                kept.append(await self._store(caller, namespace, part, announced))
            else:
                await fields.take(part)
        if not kept:
            raise Invalid("The form has no file content.", pointer="/content")
        return fields

    async def _store(
        self, caller: Caller, namespace: str, part: Part, announced: int | None
    ) -> tuple[StoredFile, str]:
        digest = hashlib.md5(usedforsecurity=False)

        async def summed() -> AsyncIterator[bytes]:
            async for piece in part.pieces():
                digest.update(piece)
                yield piece

        stored = await self._files.put(
            summed(),
            namespace=namespace,
            # A run's uploads count towards its output limit, so its code can't fill the store.
            run_uid=caller.run.uid if caller.run else "",
            name=part.filename,
            content_type=part.content_type,
            announced=announced,
        )
        return stored, digest.hexdigest()

    # -- read ------------------------------------------------------------------------------------

    async def find(self, caller: Caller, file_id: str) -> Upload:
        """An upload, or an output file, of the caller's namespace.

        Raises:
            Missing: there is none, or the caller may not know of it.
        """
        stored = await self._files.find(file_id) if ID.fullmatch(file_id) else None
        if stored is None or not await self._sees(caller, stored):
            raise Missing(f'There is no file "{file_id[:64]}" that you may read.')
        async with self._database.read() as tx:
            found = await tx.execute(
                select(uploads.c.md5, uploads.c.metadata).where(uploads.c.file_id == file_id)
            )
            row = found.one_or_none()
        return Upload(stored, row.md5 if row else "", row.metadata if row else "{}")

    async def _sees(self, caller: Caller, stored: StoredFile) -> bool:
        if caller.run is not None:
            # A known id may be read; a run lists only the uploads of its tree.
            return stored.namespace == caller.namespace
        return await self._callers.may(caller, "get", "pipelineruns", stored.namespace)

    async def page(
        self, caller: Caller, before: tuple[datetime, str] | None, limit: int
    ) -> list[Upload]:
        """List the uploads of the caller's namespace, newest first; a run sees those of its tree.

        Raises:
            Forbidden: the caller may not list there.
        """
        namespace = self._callers.own_namespace(caller)
        await self._require(caller, "list", namespace)
        wanted = select(uploads).where(uploads.c.namespace == namespace)
        if caller.run is not None:
            wanted = wanted.where(uploads.c.root_uid == self._root(caller))
        if before is not None:
            moment, file_id = before
            place = tuple_(literal(moment, uploads.c.created_at.type), literal(file_id))
            wanted = wanted.where(tuple_(uploads.c.created_at, uploads.c.file_id) < place)
        wanted = wanted.order_by(uploads.c.created_at.desc(), uploads.c.file_id.desc())
        async with self._database.read() as tx:
            rows = (await tx.execute(wanted.limit(limit))).all()
        stored = await self._files.find_all([row.file_id for row in rows])
        return [
            Upload(stored[row.file_id], row.md5, row.metadata)
            for row in rows
            if row.file_id in stored
        ]

    # -- delete ----------------------------------------------------------------------------------

    async def delete(self, caller: Caller, file_id: str) -> None:
        """Delete an upload.

        Raises:
            Missing: there is none, or the caller may not know of it.
            Forbidden: it belongs to a prediction, or the caller may only read.
        """
        await self.find(caller, file_id)
        async with self._database.read() as tx:
            found = await tx.execute(select(uploads).where(uploads.c.file_id == file_id))
            row = found.one_or_none()
        if row is None:
            raise Forbidden("The file belongs to a prediction and is removed with it.")
        if caller.run is None:
            await self._require(caller, "create", row.namespace)
        elif row.root_uid != self._root(caller):
            raise Forbidden("A run may only delete uploads of its own tree.")
        await self.forget(file_id)

    async def expired(self, now: datetime) -> list[str]:
        """The ids of uploads that are older than their namespace's retention."""
        await self._retention.synced()
        found: list[str] = []
        async with self._database.read(bulk=True) as tx:
            for theirs, before in self._retention.scopes(uploads.c.namespace, now):
                old = select(uploads.c.file_id).where(theirs, uploads.c.created_at < before)
                found += (await tx.execute(old)).scalars()
        return found

    async def forget(self, file_id: str) -> None:
        """Delete an upload without authorization, when nothing needs it any more."""
        async with self._database.write() as tx:
            await tx.execute(delete(uploads).where(uploads.c.file_id == file_id))
            await Files.doom(tx, [file_id])
        await self._files.delete_doomed()

    # -- show ------------------------------------------------------------------------------------

    def body(self, upload: Upload, base: str) -> Json:
        """The file object of the API."""
        stored = upload.stored
        url = f"{base}/v1/files/{stored.id}"
        sums = {"sha256": stored.sha256} | ({"md5": upload.md5} if upload.md5 else {})
        age = self._retention.of(stored.namespace)
        expires = stored.created_at + age if age else None
        return {
            "id": stored.id,
            "name": stored.name,
            "content_type": stored.content_type,
            "size": stored.size,
            "etag": stored.sha256,
            "checksums": sums,
            "metadata": json.loads(upload.metadata),
            "created_at": rfc3339(stored.created_at),
            "expires_at": rfc3339(expires) if expires else None,
            "urls": {"get": url, "download": f"{url}/download"},
        }

    async def _require(self, caller: Caller, verb: str, namespace: str) -> None:
        if caller.run is None:
            await self._callers.require(caller, verb, "pipelineruns", namespace)

    def _root(self, caller: Caller) -> str:
        if caller.run is None:
            return ""
        return self._runs.tree_of(caller.run)
