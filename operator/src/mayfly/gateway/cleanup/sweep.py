"""Garbage collection: periodically deletes what is not needed any more.

Rows of `runs` and `usage_records` are never deleted; `removal` only clears data from `runs`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from mayfly.clock import Clock
from mayfly.database.engine import Database, StorageError
from mayfly.gateway.access.sign_in import SignInCodes
from mayfly.gateway.cache.directory import Directory
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.calls.versions import Versions
from mayfly.gateway.cleanup.removal import Removal
from mayfly.gateway.files.store import references
from mayfly.gateway.files.uploads import Uploads
from mayfly.gateway.predictions import idempotency
from mayfly.gateway.secrets.sealed import Sealed
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.errors import KubeError
from mayfly.kube.kinds import RUNS
from mayfly.metering import ledger, listing

logger = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""Delay after the start of a gateway, when there is more urgent work."""

SWEEP_SECONDS = 600.0

UNSURE = timedelta(minutes=10)
"""Younger items may belong to something that is just being created."""


class Sweep:
    """Garbage collector of the database and the file store."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        database: Database,
        runs: Runs,
        directory: Directory,
        uploads: Uploads,
        removal: Removal,
        calls: CallRecorder,
        versions: Versions,
        sealed: Sealed,
        codes: SignInCodes,
        retention_seconds: int,
        failed: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Create the sweep without starting it.

        Args:
            cluster: says whether a run was created.
            database: where everything is stored.
            runs: unfinished runs.
            directory: all Models.
            uploads: deleted after the retention.
            removal: removes the data of predictions.
            calls: cancelled runs that can make no more calls are deleted there.
            versions: of Models; old ones are deleted after the retention.
            sealed: secrets of runs that were never created, or ended unseen.
            codes: of sign-in links; that they were used is kept until they expire.
            retention_seconds: the installation's, for versions of Models; 0 for ever.
            failed: counts a part that failed.
            clock: to compute ages.
        """
        self._cluster = cluster
        self._database = database
        self._runs = runs
        self._directory = directory
        self._uploads = uploads
        self._removal = removal
        self._calls = calls
        self._versions = versions
        self._sealed = sealed
        self._codes = codes
        self._retention = timedelta(seconds=retention_seconds)
        self._failed = failed
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        await self._runs.synced.wait()
        await self._directory.synced()
        while True:
            await self.once()
            await asyncio.sleep(SWEEP_SECONDS)

    async def once(self) -> None:
        """Run every part once; a part that fails is retried the next time."""
        parts: list[Callable[[], Awaitable[None]]] = [self._creates, self._shut, self._secrets]
        parts += [self._codes.forget_old, self._removal.once, self._old_uploads]
        if self._retention:
            parts.append(self._versions_of_models)
        for part in parts:
            try:
                await part()
            except (KubeError, StorageError) as error:
                logger.warning("a part of the sweep is put off: %s", error)
            except Exception:
                logger.exception("a part of the sweep failed")
                self._failed("sweep")

    # -- by their own age ------------------------------------------------------------------------

    async def _creates(self) -> None:
        async with self._database.write(bulk=True) as tx:
            await idempotency.forget_old(tx, self._clock())

    async def _shut(self) -> None:
        """Delete the records of cancelled runs that can make no more calls anyway."""
        await self._calls.forget_shut(
            self._clock() - UNSURE, is_there=lambda uid: self._runs.get(uid) is not None
        )

    # -- by the retention ------------------------------------------------------------------------

    async def _versions_of_models(self) -> None:
        await self._versions.forget_old(self._clock() - self._retention)

    async def _old_uploads(self) -> None:
        """Delete expired uploads, except those that a kept prediction names.

        A prediction is kept until it has ended, its tree has ended, and its retention has passed.
        """
        expired = await self._uploads.expired(self._clock())
        if not expired:
            return
        named = await self._removal.named()
        async with self._database.read(bulk=True) as tx:
            async for text in listing.kept_texts(tx, '"mayfly-file:'):
                named.update(references(text))
        for file_id in expired:
            if file_id not in named:
                await self._uploads.forget(file_id)

    # -- secrets ---------------------------------------------------------------------------------

    async def _secrets(self) -> None:
        """Delete secrets of runs that were never created, or deleted before they had a row."""
        for uid, namespace, name in await self._sealed.kept_before(self._clock() - UNSURE):
            if uid is None:
                await self._unmade(namespace, name)
            elif self._runs.get(uid) is None:
                async with self._database.write() as tx:
                    row = await ledger.find(tx, uid)
                    if row is None or row.closed:
                        await self._sealed.forget(tx, uid)

    async def _unmade(self, namespace: str, name: str) -> None:
        body = await find_object(self._cluster, RUNS, namespace, name)
        if body is not None:
            await self._sealed.bind(body["metadata"]["uid"], namespace, name, body["spec"])
        await self._sealed.forget_unmade(namespace, name)
