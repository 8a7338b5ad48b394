"""HTTP routes of lists in short: predictions by filters, a tree, the catalog with statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.directory import Entry
from mayfly.gateway.catalog.presenter import ModelPresenter
from mayfly.gateway.console.reader import TREE_LIMIT, Reader
from mayfly.gateway.console.statistics import LAST, statistics
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.http import pages, urls
from mayfly.gateway.http.errors import Forbidden, Invalid
from mayfly.gateway.http.routing import UNCACHED, under_bases
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.snapshots import Prediction, costs
from mayfly.gateway.runs.trees import Trees
from mayfly.metering.filters import Filter
from mayfly.metering.listing import Span
from mayfly.metering.pricing import decimal_text
from mayfly.metering.tables import MODEL, RUN

Json = dict[str, Any]

KINDS = {"pipeline": RUN, "model": MODEL}
CARDS = 50
"""Entries of a page of the catalog."""

RECENT = 10
"""Predictions that a card of the catalog lists."""

WORDS = 8

Status = Annotated[str, Query(description="Only these, with commas: failed,canceled.")]
Model = Annotated[str, Query(description="Only of this Pipeline or Model: namespace/name.")]
Kind = Annotated[str, Query(description="pipeline or model.")]
Words = Annotated[
    str, Query(max_length=200, description="Words in the id, name, model, namespace or input.")
]
Roots = Annotated[bool, Query(description="Only what no other prediction called.")]
Limit = Annotated[int, Query(ge=1, le=500)]


class ListRoutes:
    """HTTP routes of lists in short."""

    def __init__(
        self,
        *,
        callers: Callers,
        predictions: Predictions,
        reader: Reader,
        summaries: Summaries,
        trees: Trees,
        models: ModelPresenter,
        database: Database,
    ) -> None:
        self._callers = callers
        self._predictions = predictions
        self._reader = reader
        self._summaries = summaries
        self._trees = trees
        self._models = models
        self._database = database

    def router(self) -> APIRouter:
        """The routes."""
        return under_bases(
            (
                ("GET", "/predictions/summaries", self.summaries),
                ("GET", "/predictions/{identity}/timeline", self.timeline),
                ("GET", "/models/{owner}/{name}/stats", self.stats),
                ("GET", "/catalog", self.catalog),
            )
        )

    # -- predictions -----------------------------------------------------------------------------

    async def summaries(
        self,
        request: Request,
        status: Status = "",
        model: Model = "",
        kind: Kind = "",
        q: Words = "",
        roots: Roots = False,
        created_after: str | None = None,
        created_before: str | None = None,
        cursor: str | None = None,
        limit: Limit = pages.SIZE,
    ) -> Response:
        """List predictions in short, newest first, by filters."""
        caller = await self._callers.caller(request)
        span = Span(
            before=pages.position(cursor),
            created_after=pages.moment_of(created_after, "created_after"),
            created_before=pages.moment_of(created_before, "created_before"),
            limit=limit + 1,
        )
        wanted = Filter(
            statuses=_statuses(status),
            model=_model(model),
            kind=_kind(kind),
            words=_words(q),
            roots=roots,
        )
        span = await self._predictions.listable(caller, span)
        found, searched_to = await self._reader.filtered(span, wanted)
        shown = found[:limit]
        following = None
        if len(found) > limit:
            following = pages.cursor(shown[-1].row.created_at, shown[-1].row.id)
        elif searched_to is not None:
            following = pages.cursor(*searched_to)
        return pages.page(request, await self._summaries.of(shown), following)

    async def timeline(self, request: Request, identity: str) -> Response:
        """The prediction and everything below it in short, parents before children."""
        caller = await self._callers.caller(request)
        found = await self._predictions.find(caller, identity, urls.namespace_of(request))
        every = [found]
        async for piece in self._reader.below(found.row.uid):
            every += piece
        async with self._database.read() as tx:
            tally = await self._trees.tally(tx, found.row.uid)
            own = (await costs(tx, [found])).get(found.row.uid)
        body = {
            "id": found.row.id,
            "results": await self._summaries.of(every),
            "truncated": len(every) > TREE_LIMIT,
            "total_cost": decimal_text(tally.downstream if own is None else tally.total(own)),
            "final": found.ended and tally.settled,
            "currency": found.row.currency,
        }
        return JSONResponse(body, headers=UNCACHED)

    # -- Pipelines and Models --------------------------------------------------------------------

    async def stats(self, request: Request, owner: str, name: str) -> Response:
        """How the last 50 predictions of a Pipeline or Model went: outcomes, times, costs."""
        caller = await self._callers.caller(request)
        entry = await self._callers.entry(caller, owner, name)
        [found] = await self._stats(caller, [entry], LAST)
        return JSONResponse(found, headers=UNCACHED)

    async def catalog(
        self, request: Request, q: Words = "", kind: Kind = "", cursor: str | None = None
    ) -> Response:
        """List Pipelines and Models with how their last predictions went, newest first."""
        caller = await self._callers.caller(request)
        is_model = {None: None, RUN: False, MODEL: True}[_kind(kind)]
        start = pages.position(cursor)
        found = [
            each
            for each in await self._models.visible(caller, q)
            if is_model in {None, each.is_model} and (start is None or _place(each) < start)
        ]
        shown = found[:CARDS]
        cards = await self._models.many(shown, urls.base_of(request))
        every = await self._stats(caller, shown, RECENT)
        listed = [{**_card(card), "stats": stats} for card, stats in zip(cards, every, strict=True)]
        following = pages.cursor(*_place(shown[-1])) if len(found) > CARDS else None
        return pages.page(request, listed, following)

    async def _stats(self, caller: Caller, entries: Sequence[Entry], recent: int) -> list[Json]:
        """Of what the caller may list: others' predictions of a public Pipeline are not theirs."""
        found: Sequence[Sequence[Prediction]] = [()] * len(entries)
        try:
            span = await self._predictions.listable(caller, Span(limit=LAST))
        except Forbidden:
            pass
        else:
            models = [(each.namespace, each.name) for each in entries]
            found = await self._reader.of_models(span, models)
        async with self._database.read() as tx:
            own = await costs(tx, [each for some in found for each in some])
        return [statistics(some, own, recent) for some in found]


def _card(card: Json) -> Json:
    """A model object without its schema and what is null here."""
    latest = card["latest_version"]
    kept = (
        *("owner", "name", "kind", "namespace", "alias", "description", "visibility"),
        *("created_at", "run_count", "hardware", "problem"),
    )
    return {name: card[name] for name in kept} | {"latest_version": latest and latest["id"]}


def _place(entry: Entry) -> tuple[Any, str]:
    return pages.moment_of(entry.created, "created"), entry.uid


def _statuses(text: str) -> frozenset[str]:
    found = frozenset(text.split(",")) if text else frozenset()
    known = [state.value for state in State]
    if not found <= set(known):
        raise Invalid(f"status must be of these, with commas between: {', '.join(known)}.")
    return found


def _model(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    namespace, slash, name = text.partition("/")
    if not (slash and namespace and name) or "\0" in text:
        raise Invalid("model must be namespace/name.")
    return namespace, name


def _kind(text: str) -> str | None:
    if text and text not in KINDS:
        raise Invalid("kind must be pipeline or model.")
    return KINDS.get(text)


def _words(text: str) -> tuple[str, ...]:
    if "\0" in text:
        raise Invalid("q must have no NUL characters.")
    return tuple(text.lower().split()[:WORDS])
