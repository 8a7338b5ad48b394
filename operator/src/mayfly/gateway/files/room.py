"""Builds the files room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.files.routes import FileRoutes
from mayfly.gateway.files.store import Files, open_store
from mayfly.gateway.files.uploads import Uploads
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.process import Process


@dataclass(frozen=True)
class FileStorage:
    """What the room offers: the file store and uploads."""

    store: Files
    uploads: Uploads
    links: FileLinks
    routers: Sequence[APIRouter]
    downloads: APIRouter
    """Downloads by signed link; the callback listener serves them too."""


def build(
    process: Process, access: AccessControl, caches: Caches, namespaces: NamespaceSettings
) -> FileStorage:
    """Build the room from the rooms below it."""
    config = process.config
    store = Files(
        open_store(config.files_url, config.files_options),
        process.database,
        config.limits,
        process.clock,
        process.new_id,
    )
    uploads = Uploads(
        files=store,
        database=process.database,
        callers=access.callers,
        runs=caches.runs,
        retention=namespaces.retention,
        clock=process.clock,
    )
    routes = FileRoutes(store, uploads, access.callers, access.key, process.clock)
    ours = (config.internal_url, config.external_url or "")
    links = FileLinks(store, access.key, ours, process.clock)
    return FileStorage(store, uploads, links, [routes.router()], routes.links())
