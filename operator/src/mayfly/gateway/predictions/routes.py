"""HTTP routes of predictions: create, get, list, cancel, logs, output, source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http import pages, rawjson, urls
from mayfly.gateway.http.errors import Forbidden, Missing
from mayfly.gateway.http.routing import UNCACHED, body_of, json_text, under_bases
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.namespaces.budgets import Budgets
from mayfly.gateway.predictions import request as order
from mayfly.gateway.predictions.create import Creator
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.request import BODY_EXTRA, CreateRequest
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.gateway.predictions.targets import Target, Targets
from mayfly.gateway.predictions.webhooks import shown_secret
from mayfly.metering.listing import Span

POLL_SECONDS = 5.0
"""A followed log looks again after so long even when nobody told it to: another gateway may hold
the run's session."""

TREE_LIMIT = 10_000


class PredictionRoutes:
    """HTTP routes of predictions."""

    def __init__(
        self,
        *,
        predictions: Predictions,
        presenter: Presenter,
        targets: Targets,
        creator: Creator,
        budgets: Budgets,
        callers: Callers,
        notices: Notices,
        stopping: asyncio.Event,
        input_bytes: int,
        key: SigningKey,
    ) -> None:
        self._predictions = predictions
        self._presenter = presenter
        self._targets = targets
        self._creator = creator
        self._budgets = budgets
        self._callers = callers
        self._notices = notices
        self._stopping = stopping
        self._input_bytes = input_bytes
        self._key = key

    def router(self) -> APIRouter:
        """The routes."""
        one = "/predictions/{identity}"
        return under_bases(
            (
                ("POST", "/predictions", self.create),
                ("GET", "/predictions", self.list),
                ("POST", "/models/{owner}/{name}/predictions", self.create_of_model),
                ("GET", one, self.get),
                ("POST", f"{one}/cancel", self.cancel),
                ("GET", f"{one}/logs", self.logs),
                ("GET", f"{one}/output", self.output),
                ("GET", f"{one}/source", self.source),
                ("GET", f"{one}/tree", self.tree),
                ("GET", "/webhooks/default/secret", self.webhook_secret),
            )
        )

    # -- made ------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        """Call a version: `version` is its id, or owner/name with or without `:id`."""
        caller, wanted = await self._order(request)
        target = await self._targets.find(caller, version=wanted.version)
        return await self._created(request, caller, target, wanted)

    async def create_of_model(self, request: Request, owner: str, name: str) -> Response:
        """Call the latest version of owner/name."""
        caller, wanted = await self._order(request)
        target = await self._targets.find(caller, owner=owner, name=name)
        return await self._created(request, caller, target, wanted)

    async def _order(self, request: Request) -> tuple[Caller, CreateRequest]:
        # Who calls comes first: a stranger's body is not even read.
        caller = await self._callers.caller(request)
        body = await body_of(request, self._input_bytes + BODY_EXTRA)
        return caller, order.read(body, request.headers, self._input_bytes)

    async def _created(
        self, request: Request, caller: Caller, target: Target, wanted: CreateRequest
    ) -> Response:
        base = urls.base_of(request)
        found = await self._creator.create(caller, target, wanted, request.headers, base)
        headers = dict(UNCACHED)
        if wanted.wait is not None:
            ended = await self._predictions.until_ended(found, wanted.wait)
            found = await self._predictions.snapshot(ended)
            headers["Preference-Applied"] = "wait"
        warning = self._budgets.warning(found.row.namespace)
        if warning:
            headers["Warning"] = f'299 mayfly "{warning.replace(chr(34), chr(39))}"'
        text = await self._presenter.created(found, base)
        headers["Location"] = f"{base}/v1/predictions/{found.row.id}"
        return Response(text, 201, headers, "application/json")

    # -- read ------------------------------------------------------------------------------------

    async def get(self, request: Request, identity: str) -> Response:
        """Get a prediction; if a run polls without news, the answer is held for a while."""
        caller = await self._callers.caller(request)
        named = urls.namespace_of(request)
        found = await self._predictions.long_poll(caller, identity, named)
        return json_text(await self._presenter.body(found, urls.base_of(request)))

    async def list(
        self,
        request: Request,
        cursor: str | None = None,
        created_after: str | None = None,
        created_before: str | None = None,
    ) -> Response:
        """List the namespace's predictions, newest first."""
        caller = await self._callers.caller(request)
        span = Span(
            before=pages.position(cursor),
            created_after=pages.moment_of(created_after, "created_after"),
            created_before=pages.moment_of(created_before, "created_before"),
            limit=pages.SIZE + 1,
        )
        found = await self._predictions.page(caller, span)
        shown, following = pages.cut(found, lambda each: (each.row.created_at, each.row.id))
        listed = await self._presenter.listed(shown, urls.base_of(request))
        return pages.page(request, listed, following)

    async def tree(self, request: Request, identity: str) -> Response:
        """The prediction and everything below it, parents before children."""
        _, found = await self._find(request, identity)
        every = await self._predictions.tree(found, TREE_LIMIT)
        shown = await self._presenter.listed(every, urls.base_of(request))
        body = {"id": found.row.id, "predictions": rawjson.array(shown)}
        return json_text(rawjson.dumps(body))

    async def output(self, request: Request, identity: str) -> Response:
        """The output exactly as the run made it, with its files as links."""
        _, found = await self._find(request, identity)
        require_data(found)
        if not found.ended:
            found = await self._predictions.snapshot(found)
        text = await self._presenter.linked(found.row, found.output, urls.base_of(request))
        if text is None:
            raise Missing("The prediction has no output.")
        return json_text(text)

    async def source(self, request: Request, identity: str) -> Response:
        """The source that the prediction ran, even if its Pipeline has changed or was deleted."""
        _, found = await self._find(request, identity)
        require_data(found)
        kept = await self._presenter.source(found)
        if kept is None:
            raise Missing("The prediction ran no source: it had no pod, or is a Model's.")
        shown = {"version": kept.version, "entrypoint": kept.entrypoint, "files": kept.files}
        return JSONResponse(shown, headers=UNCACHED)

    async def logs(self, request: Request, identity: str, follow: bool = False) -> Response:
        """The log as text; with `follow`, streamed until the prediction ends."""
        _, found = await self._find(request, identity)
        require_data(found)
        return StreamingResponse(
            self._log(found, follow=follow),
            media_type="text/plain; charset=utf-8",
            headers=UNCACHED,
        )

    async def _log(self, found: Prediction, *, follow: bool) -> AsyncIterator[str]:
        position = 0
        with self._notices.subscribe(found.row.uid) as news:
            while True:
                # The state is read before the log: what a run logs is stored before its end.
                found = await self._predictions.refresh(found) if follow else found
                while True:
                    text, position = await self._presenter.log_from(found.row, position)
                    if not text:
                        break
                    yield text
                if not follow or found.ended or self._stopping.is_set():
                    break
                await news.wait(POLL_SECONDS)
        yield await self._presenter.log_end(found.row)

    async def webhook_secret(self, request: Request) -> Response:
        """The signing secret of the namespace's webhooks."""
        caller = await self._callers.caller(request)
        if caller.run is not None:
            raise Forbidden("A run's token may not read the webhooks' secret.")
        namespace = self._callers.own_namespace(caller)
        await self._callers.require(caller, "create", "pipelineruns", namespace)
        return JSONResponse({"key": shown_secret(self._key, namespace)}, headers=UNCACHED)

    # -- cancelled -------------------------------------------------------------------------------

    async def cancel(self, request: Request, identity: str) -> Response:
        """Cancel a prediction; answers once the cancel is accepted."""
        caller, found = await self._find(request, identity)
        found = await self._predictions.cancel(caller, found)
        shown = await self._predictions.snapshot(found)
        return json_text(await self._presenter.body(shown, urls.base_of(request)))

    async def _find(self, request: Request, identity: str) -> tuple[Caller, Prediction]:
        caller = await self._callers.caller(request)
        named = urls.namespace_of(request)
        return caller, await self._predictions.find(caller, identity, named)


def require_data(found: Prediction) -> None:
    """Require that a prediction's data are still there.

    Raises:
        Missing: they were removed.
    """
    if found.row.data_removed:
        raise Missing(
            "The prediction's data were removed when the retention of its namespace was over "
            "(annotation mayfly.dev/retention)."
        )
