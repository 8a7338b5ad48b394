"""Builds the catalog room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.catalog.presenter import ModelPresenter
from mayfly.gateway.catalog.publishing import Publishing
from mayfly.gateway.catalog.routes import ModelRoutes
from mayfly.gateway.process import Process


@dataclass(frozen=True)
class Catalog:
    """What the room offers: Pipelines and Models in the API."""

    publishing: Publishing
    presenter: ModelPresenter
    routers: Sequence[APIRouter]


def build(process: Process, access: AccessControl, caches: Caches) -> Catalog:
    """Build the room from the rooms below it."""
    presenter = ModelPresenter(
        cluster=process.cluster,
        database=process.database,
        directory=caches.directory,
        callers=access.callers,
    )
    publishing = Publishing(
        cluster=process.cluster,
        directory=caches.directory,
        callers=access.callers,
        programs=caches.programs,
        sources=caches.sources,
        runs=caches.runs,
    )
    routes = ModelRoutes(
        presenter=presenter,
        publishing=publishing,
        callers=access.callers,
        programs=caches.programs,
    )
    return Catalog(publishing, presenter, [routes.router()])
