"""Sources that ran, by version; stored as long as a prediction of the version is."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Column, String, Table, Text, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import insert_once, metadata
from mayfly.metering.tables import runs

sources = Table(
    "sources",
    metadata,
    Column("version", String(64), primary_key=True),
    Column("entrypoint", String(253), nullable=False),
    Column("files", Text, nullable=False),
)
"""A version is a hash over its source, so a row never changes. `files` is JSON: name to text."""


@dataclass(frozen=True)
class KeptSource:
    """The source of a version."""

    version: str
    entrypoint: str
    files: dict[str, str]


async def keep(tx: AsyncConnection, source: KeptSource) -> None:
    """Store a version's source; repeating it changes nothing."""
    known = select(sources.c.version).where(sources.c.version == source.version)
    if (await tx.execute(known)).first() is not None:
        return
    values = {
        "version": source.version,
        "entrypoint": source.entrypoint,
        "files": json.dumps(source.files),
    }
    await insert_once(tx, sources, values)


async def find(tx: AsyncConnection, version: str) -> KeptSource | None:
    """A version's source."""
    found = await tx.execute(select(sources).where(sources.c.version == version))
    row = found.one_or_none()
    return None if row is None else KeptSource(version, row.entrypoint, json.loads(row.files))


async def forget(tx: AsyncConnection, versions: Collection[str]) -> None:
    """Delete the sources of versions that no prediction with data names any more."""
    for version in sorted(versions):
        named = select(runs.c.uid).where(runs.c.version == version, runs.c.data_removed.is_(False))
        if (await tx.execute(named.limit(1))).first() is None:
            await tx.execute(delete(sources).where(sources.c.version == version))
