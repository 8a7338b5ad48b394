"""HTTP routes of usage: reports, records, FOCUS, explanations, corrections, closed months.

Who may list PipelineRuns of a namespace may read what they cost; of all namespaces, who may list
them in all. A month is closed by who may update `pipelineruns/status` in all. A run may nothing.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from mayfly.api.v1alpha1.identity import uid_of
from mayfly.clock import Clock, rfc3339_seconds
from mayfly.database.engine import Database
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.billing import presenter
from mayfly.gateway.billing.corrections import BODY_BYTES, Corrections
from mayfly.gateway.http import pages, rawjson, urls
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing, Taken
from mayfly.gateway.http.routing import UNCACHED, body_of, under_bases
from mayfly.metering import focus, reports
from mayfly.metering.explain import Explanation, Namesake, explain, named
from mayfly.metering.periods import Month
from mayfly.metering.records import UsageRecord
from mayfly.metering.reports import Key, Span
from mayfly.turns import Turn, in_turns

CSV = "text/csv; charset=utf-8"

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
"""Of a namespace or a run."""

NAMESAKES = 10
"""How many runs of one name an error lists."""

LINES = 200
"""Number of lines of an export that are sent at once."""

From = Annotated[
    str | None,
    Query(alias="from", description="A date or a moment; from the month's beginning without it."),
]
To = Annotated[str | None, Query(description="A date or a moment; before it.")]
By = Annotated[
    str | None, Query(description="namespace, pipeline, model, day, tree; several with commas.")
]
Format = Annotated[str | None, Query(alias="format", description="json or csv.")]
Namespace = str | None
Lines = Callable[[UsageRecord, UsageRecord | None], Iterable[str]]
"""The lines of a record; a correction comes with the bill that it corrects."""


class UsageRoutes:
    """HTTP routes of usage: reports, records, bills and their corrections, months."""

    def __init__(
        self, *, database: Database, corrections: Corrections, callers: Callers, clock: Clock
    ) -> None:
        self._database = database
        self._corrections = corrections
        self._callers = callers
        self._clock = clock

    def router(self) -> APIRouter:
        """The routes."""
        period = "/usage/periods/{period}"
        return under_bases(
            (
                ("GET", "/usage", self.report),
                ("GET", "/usage/records", self.records),
                ("GET", "/usage/focus", self.focus),
                ("GET", "/usage/periods", self.periods),
                ("GET", "/usage/explain", self.explain_named),
                ("POST", f"{period}/close", self.close),
                ("GET", f"{period}/verify", self.verify),
                ("GET", "/usage/{identity}", self.explain),
                ("POST", "/usage/{identity}/corrections", self.correct),
            )
        )

    # -- read ------------------------------------------------------------------------------------

    async def report(
        self,
        request: Request,
        since: From = None,
        to: To = None,
        by: By = None,
        namespace: Namespace = None,
        form: Format = None,
    ) -> Response:
        """Usage report: usage and cost by keys, with totals."""
        span = await self._span(request, since, to, namespace)
        keys = _keys(by)
        as_csv = _wants_csv(request, form)
        try:
            rows = await reports.report(self._database, span, keys)
        except reports.TooManyRows:
            raise Invalid(
                f"The report has more than {reports.MAX_ROWS} rows; ask for a shorter time, one "
                f"namespace, or fewer keys in `by`."
            ) from None
        if as_csv:
            text = await joined(presenter.report_lines(keys, rows))
            return Response(text, media_type=CSV, headers=_attached("usage"))
        text = await joined(presenter.report(span, keys, rows))
        return Response(text, media_type="application/json", headers=UNCACHED)

    async def records(
        self,
        request: Request,
        since: From = None,
        to: To = None,
        namespace: Namespace = None,
        form: Format = None,
        cursor: str | None = None,
    ) -> Response:
        """Usage records, oldest first: JSON in pages, CSV in one response."""
        span = await self._span(request, since, to, namespace)
        after = pages.position(cursor)
        if _wants_csv(request, form):
            return self._streamed(
                span, reports.HEADER, lambda each, _: iter((reports.line_of(each),)), "records"
            )
        found = await reports.page(self._database, span, after, pages.SIZE + 1)
        shown, following = pages.cut(found, lambda each: (each.recorded_at, each.record_id))
        texts = (rawjson.RawJSON(rawjson.dumps(presenter.record(each))) for each in shown)
        return pages.page(request, texts, following)

    async def focus(
        self, request: Request, since: From = None, to: To = None, namespace: Namespace = None
    ) -> Response:
        """Usage as FOCUS 1.2, the FinOps Open Cost and Usage Specification: CSV."""
        span = await self._span(request, since, to, namespace)
        return self._streamed(span, focus.HEADER, focus.lines, "focus")

    async def explain(self, request: Request, identity: str) -> Response:
        """Explain a prediction's cost: each line of its bill, and everything below it."""
        caller = await self._caller(request)
        found = await self._explained(caller, identity, urls.namespace_of(request))
        if found is None:
            raise Missing(
                f'There is no bill of a prediction "{identity[:64]}" that you may read; a '
                f"prediction has one once it has ended."
            )
        return JSONResponse(presenter.explanation(found), headers=UNCACHED)

    async def explain_named(
        self,
        request: Request,
        name: Annotated[str, Query(description="A run's name, or the id of a prediction.")],
        namespace: Namespace = None,
    ) -> Response:
        """Explain a run's cost by its name, or a prediction's by its id."""
        caller = await self._caller(request)
        where = _where(request, namespace)
        found = await self._explained(caller, name, where)
        if found is None:
            found = await self._named(caller, name, where or caller.namespace)
        return JSONResponse(presenter.explanation(found), headers=UNCACHED)

    # -- corrected -------------------------------------------------------------------------------

    async def correct(self, request: Request, identity: str) -> Response:
        """Correct a prediction's bill, by a signed difference with a reason."""
        namespace = urls.namespace_of(request)
        caller = await self._callers.caller(request)
        body = await body_of(request, BODY_BYTES)
        record, bill = await self._corrections.make(
            caller, identity, namespace, body, request.headers
        )
        return JSONResponse(presenter.correction(record, bill), 201, UNCACHED)

    # -- months ----------------------------------------------------------------------------------

    async def periods(self, request: Request) -> Response:
        """List the closed months, newest first."""
        await self._everywhere(await self._caller(request), "list", "pipelineruns")
        found = await reports.closed(self._database)
        return JSONResponse(presenter.periods(found), headers=UNCACHED)

    async def close(self, request: Request, period: str) -> Response:
        """Close a month: no more records; stores count, sums and checksum."""
        caller = await self._caller(request)
        await self._everywhere(caller, "update", "pipelineruns/status")
        name = caller.user.name if caller.user else ""
        try:
            found = await reports.close(self._database, _month(period), self._clock(), name[:320])
        except reports.NotOver as error:
            raise Taken(str(error)) from None
        return JSONResponse(presenter.period(found), headers=UNCACHED)

    async def verify(self, request: Request, period: str) -> Response:
        """Count a closed month again, and compare."""
        await self._everywhere(await self._caller(request), "list", "pipelineruns")
        month = _month(period)
        try:
            closed, now = await reports.verify(self._database, month)
        except reports.NotClosed:
            raise Missing(f"{month} is not closed: POST /v1/usage/periods/{month}/close.") from None
        return JSONResponse(presenter.verified(closed, now), headers=UNCACHED)

    # -- who and what ----------------------------------------------------------------------------

    async def _caller(self, request: Request) -> Caller:
        caller = await self._callers.caller(request)
        if caller.run is not None:
            raise Forbidden("A run's token may not read usage.")
        return caller

    async def _everywhere(self, caller: Caller, verb: str, resource: str) -> None:
        await self._callers.require(caller, verb, resource, "")

    async def _explained(
        self, caller: Caller, identity: str, namespace: str | None
    ) -> Explanation | None:
        """The bill of the prediction with an id; None if the caller may read none, or not there."""
        found = await explain(self._database, _uid(identity))
        if found is None or (namespace and found.bill.namespace != namespace):
            return None
        payer = found.bill.namespace
        return found if await self._callers.may(caller, "list", "pipelineruns", payer) else None

    async def _named(self, caller: Caller, name: str, namespace: str | None) -> Explanation:
        """The bill of the only run of a name.

        Raises:
            Missing: there is none, or no namespace to look in.
            Forbidden: the caller may not list the namespace's runs.
            Taken: there is more than one.
        """
        shown, another = name[:64], "`namespace=…`, `--namespace` of mayfly usage explain"
        if not namespace:
            raise Missing(
                f'There is no bill of a prediction with the id "{shown}" that you may read. For a '
                f"run's name, say in which namespace it is: {another}."
            )
        await self._callers.require(caller, "list", "pipelineruns", namespace)
        found: Sequence[Namesake] = ()
        if NAME.fullmatch(name):
            found = await named(self._database, namespace, name, NAMESAKES + 1)
        if len(found) > 1:
            raise Taken(_several(shown, namespace, found))
        only = await explain(self._database, found[0].uid) if found else None
        if only is None:
            raise Missing(
                f'There is no bill of a run or prediction "{shown}" in the namespace '
                f'"{namespace}". It has one once it has ended; a call of a Model has an id and no '
                f"name. For another namespace: {another}."
            )
        return only

    async def _span(
        self, request: Request, since: str | None, to: str | None, namespace: str | None
    ) -> Span:
        caller = await self._caller(request)
        namespace = _where(request, namespace)
        try:
            await self._callers.require(caller, "list", "pipelineruns", namespace or "")
        except Forbidden as error:
            if namespace:
                raise
            one = "Or ask for one namespace: `namespace=…`, `--namespace` of mayfly usage."
            raise Forbidden(f"{error.detail} {one}") from None
        start = pages.moment_of(since, "from") or Month.of(self._clock()).start
        end = pages.moment_of(to, "to")
        if end is not None and end <= start:
            raise Invalid("`to` is not after `from`; without `from`, this month is meant.")
        return Span(start, end, namespace)

    def _streamed(self, span: Span, header: str, lines: Lines, name: str) -> Response:
        pieces = exported(self._database, span, header, lines)
        return StreamingResponse(pieces, media_type=CSV, headers=_attached(name))


async def exported(database: Database, span: Span, header: str, lines: Lines) -> AsyncIterator[str]:
    """The records of a span as CSV, in pieces of a few lines."""
    pieces, turn = [header], Turn()
    async for record, corrected in reports.with_corrected(database, span):
        pieces += lines(record, corrected)
        await turn.pass_on()
        if len(pieces) >= LINES:
            yield "".join(pieces)
            pieces.clear()
    yield "".join(pieces)


async def joined(pieces: Iterable[str]) -> str:
    """The whole of some pieces, made in turns."""
    return "".join([each async for each in in_turns(pieces)])


def _where(request: Request, namespace: str | None) -> str | None:
    """The namespace that a request names, in its base URL or as a parameter; None if neither.

    Raises:
        Invalid: both, and not the same; or no namespace has such a name.
    """
    asked = request.query_params.get("namespace")
    if asked and namespace and asked != namespace:
        raise Invalid("The base URL names one namespace and the parameter another.")
    if namespace and not NAME.fullmatch(namespace):
        raise Invalid(f'"{namespace[:64]}" can\'t be the name of a namespace.')
    return namespace or None


def _several(name: str, namespace: str, found: Sequence[Namesake]) -> str:
    """A sentence with the ids of the runs that had the same name."""
    number = f"More than {NAMESAKES}" if len(found) > NAMESAKES else str(len(found))
    ids = (f"{each.id} ({rfc3339_seconds(each.recorded_at)})" for each in found[:NAMESAKES])
    return (
        f'{number} runs in the namespace "{namespace}" had the name "{name}". Give the id of the '
        f"one that you mean, the newest first: {', '.join(ids)}."
    )


def _attached(name: str) -> dict[str, str]:
    return {**UNCACHED, "Content-Disposition": f'attachment; filename="{name}.csv"'}


def _keys(text: str | None) -> list[Key]:
    try:
        return list(dict.fromkeys(Key(word.strip()) for word in (text or "").split(",") if word))
    except ValueError:
        known = ", ".join(Key)
        raise Invalid(f"`by` is one or more of {known}, with commas between them.") from None


def _wants_csv(request: Request, form: str | None) -> bool:
    if form not in {None, "", "json", "csv"}:
        raise Invalid("`format` is json or csv.")
    return form == "csv" or (not form and "text/csv" in request.headers.get("accept", ""))


def _uid(identity: str) -> str:
    """The UID of a prediction; "", which no prediction has, if the id is invalid."""
    try:
        return uid_of(identity)
    except ValueError:
        return ""


def _month(text: str) -> Month:
    try:
        return Month.read(text)
    except ValueError:
        raise Invalid(f'"{text[:16]}" is no month; write it as 2030-01.') from None
