"""HTTP routes of one prediction for a console: what a cancel would do, its input, its bundle."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.console.bundle import Bundles
from mayfly.gateway.console.preview import Previews
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Missing
from mayfly.gateway.http.routing import UNCACHED, json_text, under_bases
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.routes import require_data
from mayfly.gateway.predictions.snapshots import Prediction
from mayfly.gateway.secrets.sealed import redacted


class PredictionExtras:
    """HTTP routes of one prediction, beside those of the prediction API."""

    def __init__(
        self,
        *,
        callers: Callers,
        predictions: Predictions,
        presenter: Presenter,
        previews: Previews,
        bundles: Bundles,
    ) -> None:
        self._callers = callers
        self._predictions = predictions
        self._presenter = presenter
        self._previews = previews
        self._bundles = bundles

    def router(self) -> APIRouter:
        """The routes."""
        one = "/predictions/{identity}"
        return under_bases(
            (
                ("GET", f"{one}/cancel", self.preview),
                ("GET", f"{one}/input", self.input),
                ("GET", f"{one}/bundle", self.bundle),
            )
        )

    async def preview(self, request: Request, identity: str) -> Response:
        """Say what a cancel would end, and what would run on; nothing is cancelled."""
        caller, found = await self._find(request, identity)
        return JSONResponse(await self._previews.of(caller, found), headers=UNCACHED)

    async def input(self, request: Request, identity: str) -> Response:
        """The input exactly as it is stored, with its files as links and without its secrets."""
        _, found = await self._find(request, identity)
        require_data(found)
        text = redacted(found.row.input_json)
        linked = await self._presenter.linked(found.row, text, urls.base_of(request))
        if linked is None:
            raise Missing("The prediction has no input.")
        return json_text(linked)

    async def bundle(self, request: Request, identity: str) -> Response:
        """The prediction with its tree, source, log and bill, as one file of JSON."""
        caller, found = await self._find(request, identity)
        text = await self._bundles.of(caller, found, urls.base_of(request))
        name = f'attachment; filename="prediction-{found.row.id}.json"'
        headers = {**UNCACHED, "Content-Disposition": name}
        return Response(text, media_type="application/json", headers=headers)

    async def _find(self, request: Request, identity: str) -> tuple[Caller, Prediction]:
        caller = await self._callers.caller(request)
        named = urls.namespace_of(request)
        return caller, await self._predictions.find(caller, identity, named)
