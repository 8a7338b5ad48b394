"""The event stream of a console: one for a tab, with its list and the prediction that it shows.

    rows         predictions of the caller's list: the newest at first, then what changed
    prediction   the followed prediction in short, at first and when it changed
    log, output  its log and the items of its output; their ids are positions to go on from
    tree         everything below it, at first and what changed
    end          it and everything below it have ended, and all of it was told

The rights are checked at the start and again every minute. A stream ends when they are gone, when
the gateway stops, or when its reader is too slow; without a list, also after `end`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from mayfly.clock import Monotonic
from mayfly.database.engine import StorageError
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.console.feed import Feed, Listener, Told
from mayfly.gateway.console.reader import PIECE, TREE_LIMIT, Reader
from mayfly.gateway.console.server_sent import HEADERS, HEARTBEAT, OPENING, EventResponse, event
from mayfly.gateway.console.story import POSITION, Position, Story
from mayfly.gateway.console.summaries import Summaries
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Invalid, Problem, TooMany
from mayfly.gateway.http.routing import under_bases
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.kube.errors import KubeError
from mayfly.metering.filters import Filter
from mayfly.metering.listing import Span

logger = logging.getLogger(__name__)

Json = dict[str, Any]

HEARTBEAT_SECONDS = 15.0
CHECK_SECONDS = 60.0
RETRY_CHECK_SECONDS = 5.0
"""The rights are asked for again so soon if the API server did not answer."""

FOLLOW_SECONDS = 5.0
"""What is followed is looked at after so long also if nobody told of it: another gateway may hold
the run's session."""

PACE_SECONDS = 0.1
"""A prediction that logs all the time is looked at so often at most."""

NEWEST = 100
"""Predictions that a list begins with."""

STREAMS = 1_000
"""Streams of a gateway at a time."""

List = Annotated[bool, Query(alias="list", description="Tell the predictions of the list.")]
Of = Annotated[
    str | None,
    Query(pattern="^[0-9a-hjkmnp-tv-z]{26}$", description="The id of a prediction to follow."),
]
From = Annotated[
    str | None,
    Query(
        alias="from",
        pattern=f"^{POSITION}$",
        description="The id of the last event of that prediction's log or output that was read; "
        "the header `Last-Event-ID` goes before it.",
    ),
]


@dataclass(frozen=True)
class Scope:
    """What a reader may be told now.

    Attributes:
        span: of its list; None if it wants none.
        found: the prediction that it follows.
    """

    span: Span | None
    found: Prediction | None

    def lists(self, told: Told) -> bool:
        """Whether a change belongs to the list."""
        return (
            self.span is not None
            and self.span.namespace in {None, told.namespace}
            and self.span.root_uid in {None, told.root_uid}
        )

    def wants(self, told: Told) -> bool:
        """Whether a change may belong to the list or to the tree of what is followed."""
        return self.lists(told) or (
            self.found is not None and told.root_uid == self.found.row.root_uid
        )


Stories = Callable[[Prediction, Position, str], Story]
"""Begins the story of a prediction at a position, with links under a base URL."""


class Below:
    """Which changes are below a prediction: those whose parents are known to be.

    Attributes:
        top: the prediction's UID.
        working: UIDs of those below it that have not ended.
    """

    def __init__(self, uid: str) -> None:
        self.top = uid
        self.working: set[str] = set()
        self._known = {uid}

    def takes(self, told: Told) -> bool:
        """Whether a change is below it; notes it."""
        if told.uid == self.top:
            return False
        if told.uid not in self._known:
            if told.parent_uid not in self._known or len(self._known) > TREE_LIMIT:
                return False
            self._known.add(told.uid)
        self._note(told.uid, ended=told.ended)
        return True

    def add(self, found: Sequence[Prediction]) -> None:
        """These are below it."""
        for each in found:
            self._known.add(each.row.uid)
            self._note(each.row.uid, ended=each.ended)

    def _note(self, uid: str, *, ended: bool) -> None:
        (self.working.discard if ended else self.working.add)(uid)


class Events:
    """HTTP route of the event stream."""

    def __init__(
        self,
        *,
        feed: Feed,
        reader: Reader,
        summaries: Summaries,
        predictions: Predictions,
        stories: Stories,
        callers: Callers,
        stopping: asyncio.Event,
        monotonic: Monotonic,
    ) -> None:
        self._feed = feed
        self._reader = reader
        self._summaries = summaries
        self._predictions = predictions
        self._stories = stories
        self._callers = callers
        self._stopping = stopping
        self._monotonic = monotonic

    def router(self) -> APIRouter:
        """The route."""
        return under_bases((("GET", "/events", self.stream),))

    async def stream(
        self, request: Request, rows: List = False, of: Of = None, start: From = None
    ) -> Response:
        """Server-sent events: changes of the list, and all of one prediction."""
        scope = await self._scope(request, of, listed=rows)
        if scope.span is None and scope.found is None:
            raise Invalid("Say what to tell: `list=true`, `of=<id>`, or both.")
        if len(self._feed) >= STREAMS:
            raise TooMany(f"{STREAMS} event streams are open; try again later.", retry_after=10)
        position = Position.read(request.headers.get("last-event-id") or start or "")
        return EventResponse(self._stream(request, scope, position), headers=HEADERS)

    async def _scope(self, request: Request, of: str | None, *, listed: bool) -> Scope:
        """Authenticate and authorize a reader.

        Raises:
            Unauthenticated: no valid token, or the run of the token has ended.
            Forbidden: the caller may not list there.
            Missing: there is no such prediction that it may read.
        """
        caller = await self._callers.caller(request)
        span = await self._predictions.listable(caller, Span(limit=NEWEST)) if listed else None
        found = None
        if of is not None:
            found = await self._predictions.find(caller, of, urls.namespace_of(request))
        return Scope(span, found)

    async def _stream(
        self, request: Request, scope: Scope, position: Position
    ) -> AsyncIterator[str]:
        try:
            async with aclosing(self._events(request, scope, position)) as told:
                async for each in told:
                    yield each
        except (KubeError, StorageError) as error:
            # The answer has begun, so it can only end; the reader comes back.
            logger.warning("a stream of events ended: %s", error)

    async def _events(
        self, request: Request, scope: Scope, position: Position
    ) -> AsyncGenerator[str, None]:
        found, clock = scope.found, self._monotonic
        story = self._stories(found, position, urls.base_of(request)) if found else None
        checked, spoke = clock(), clock()
        yield OPENING
        uid = found.row.uid if found else None
        with self._feed.listen(scope.wants, uid) as news:
            async with aclosing(self._telling(scope, story, news)) as telling:
                async for told in telling:
                    now = clock()
                    if told is not None:
                        spoke = now
                        yield told
                    elif now >= spoke + HEARTBEAT_SECONDS:
                        spoke = now
                        yield HEARTBEAT
                    if now >= checked + CHECK_SECONDS:
                        holds = await self._holds(request, scope)
                        if holds is False:
                            return
                        checked = now if holds else now - CHECK_SECONDS + RETRY_CHECK_SECONDS

    async def _holds(self, request: Request, scope: Scope) -> bool | None:
        """Whether the reader still has its rights; None if nobody knows now."""
        of = scope.found.row.id if scope.found else None
        try:
            again = await self._scope(request, of, listed=scope.span is not None)
        except Problem:
            return False
        except (KubeError, StorageError):
            return None
        return again.span == scope.span

    async def _telling(
        self, scope: Scope, story: Story | None, news: Listener
    ) -> AsyncGenerator[str | None, None]:
        """Events as they come, and None now and then, when there are none."""
        below = Below(story.found.row.uid) if story else None
        if scope.span is not None:
            for told in _pieces("rows", await self._newest(scope.span)):
                yield told
        first = True
        while True:
            async for told in self._round(scope, story, below, news.take(), first=first):
                yield told
            first = False
            quiet = story is None or (story.over and not (below and below.working))
            done = scope.span is None and (story is None or story.closed)
            if done or news.lost or self._stopping.is_set():
                return
            yield None
            await asyncio.sleep(PACE_SECONDS)
            await news.wait(HEARTBEAT_SECONDS if quiet else FOLLOW_SECONDS)

    async def _round(
        self,
        scope: Scope,
        story: Story | None,
        below: Below | None,
        changed: Sequence[Told],
        *,
        first: bool,
    ) -> AsyncIterator[str]:
        """Events of one look."""
        over = story is not None and story.over
        if story is not None and not over:
            async for told in story.news():
                yield told
        for told in _changes(scope, below, changed, over=over):
            yield told
        if below is not None and first:
            async for told in self._tree(below):
                yield told
        if below and over and below.working and not changed:
            async for told in self._again(below):
                yield told
        if story and below and story.over and not below.working and not story.closed:
            story.closed = True
            yield event("end", "{}")

    async def _newest(self, span: Span) -> list[Json]:
        found, _ = await self._reader.filtered(span, Filter())
        return await self._summaries.of(found)

    async def _again(self, below: Below) -> AsyncIterator[str]:
        """What works below it, looked at though nobody told of it: it may be deleted."""
        asked = sorted(below.working)[:PIECE]
        found = await self._reader.by_uids(asked)
        below.working.difference_update(set(asked) - {each.row.uid for each in found})
        ended = [each for each in found if each.ended]
        below.add(ended)
        for told in _pieces("tree", await self._summaries.of(ended)):
            yield told

    async def _tree(self, below: Below) -> AsyncIterator[str]:
        async for found in self._reader.below(below.top):
            below.add(found)
            for told in _pieces("tree", await self._summaries.of(found)):
                yield told


def _changes(
    scope: Scope, below: Below | None, changed: Sequence[Told], *, over: bool
) -> Iterator[str]:
    """Events of what changed; `over`: nobody else tells what changes of the followed one."""
    yield from _pieces("rows", [each.summary for each in changed if scope.lists(each)])
    if below is None:
        return
    for each in changed:
        if over and each.uid == below.top:
            yield event("prediction", json.dumps(each.summary))
    yield from _pieces("tree", [each.summary for each in changed if below.takes(each)])


def _pieces(name: str, summaries: Sequence[Json]) -> Iterator[str]:
    """Events with some summaries each; none if there are none."""
    for start in range(0, len(summaries), PIECE):
        yield event(name, json.dumps(summaries[start : start + PIECE]))
