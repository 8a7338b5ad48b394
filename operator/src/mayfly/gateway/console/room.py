"""Builds the console room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.catalog.room import Catalog
from mayfly.gateway.console.bundle import Bundles
from mayfly.gateway.console.checks import CheckRoutes
from mayfly.gateway.console.events import Events
from mayfly.gateway.console.feed import Feed
from mayfly.gateway.console.lists import ListRoutes
from mayfly.gateway.console.pools import PoolRoutes
from mayfly.gateway.console.preview import Previews
from mayfly.gateway.console.reader import Reader
from mayfly.gateway.console.routes import PredictionExtras
from mayfly.gateway.console.story import Position, Story
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.lifecycle.room import Lifecycle
from mayfly.gateway.metrics.room import Telemetry
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.predictions.room import Predictions
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.gateway.process import Process, Tasks
from mayfly.gateway.runs.room import Runs


@dataclass(frozen=True)
class Console:
    """What the room offers: what a console shows beside the prediction API."""

    feed: Feed
    routers: Sequence[APIRouter]

    @property
    def tasks(self) -> Tasks:
        """Background tasks: the feed of changes."""
        return {"feed": self.feed.run}


def build(
    process: Process,
    caches: Caches,
    lifecycle: Lifecycle,
    telemetry: Telemetry,
    namespaces: NamespaceSettings,
    access: AccessControl,
    catalog: Catalog,
    runs: Runs,
    predictions: Predictions,
) -> Console:
    """Build the room from the rooms below it."""
    summaries = Summaries(process.database)
    reader = Reader(process.database, caches.runs)
    feed = Feed(
        reader=reader,
        summaries=summaries,
        runs=caches.runs,
        notices=lifecycle.notices,
        clock=process.clock,
    )
    events = _events(process, access, predictions, feed, reader, summaries)
    extras = _extras(process, caches, access, runs, predictions, reader, summaries)
    checks = CheckRoutes(
        callers=access.callers,
        publishing=catalog.publishing,
        targets=predictions.targets,
        creator=predictions.creator,
        input_bytes=process.config.limits.input_bytes,
    )
    pools = PoolRoutes(
        callers=access.callers,
        programs=caches.programs,
        namespaces=namespaces.watch,
        metrics=telemetry.counters,
        currency=process.config.currency,
    )
    lists = ListRoutes(
        callers=access.callers,
        predictions=predictions.finder,
        reader=reader,
        summaries=summaries,
        trees=runs.trees,
        models=catalog.presenter,
        database=process.database,
    )
    return Console(feed, [each.router() for each in (lists, events, extras, checks, pools)])


def _extras(
    process: Process,
    caches: Caches,
    access: AccessControl,
    runs: Runs,
    predictions: Predictions,
    reader: Reader,
    summaries: Summaries,
) -> PredictionExtras:
    previews = Previews(
        database=process.database,
        runs=caches.runs,
        predictions=predictions.finder,
        gatherer=runs.gatherer,
        reader=reader,
        summaries=summaries,
    )
    bundles = Bundles(
        database=process.database,
        predictions=predictions.finder,
        presenter=predictions.presenter,
        reader=reader,
        summaries=summaries,
        callers=access.callers,
        clock=process.clock,
    )
    return PredictionExtras(
        callers=access.callers,
        predictions=predictions.finder,
        presenter=predictions.presenter,
        previews=previews,
        bundles=bundles,
    )


def _events(
    process: Process,
    access: AccessControl,
    predictions: Predictions,
    feed: Feed,
    reader: Reader,
    summaries: Summaries,
) -> Events:
    def story(found: Prediction, position: Position, base: str) -> Story:
        return Story(
            database=process.database,
            reader=reader,
            predictions=predictions.finder,
            presenter=predictions.presenter,
            summaries=summaries,
            found=found,
            position=position,
            base=base,
        )

    return Events(
        feed=feed,
        reader=reader,
        summaries=summaries,
        predictions=predictions.finder,
        stories=story,
        callers=access.callers,
        stopping=process.stopping,
        monotonic=process.monotonic,
    )
