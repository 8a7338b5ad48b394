"""Corrections of bills."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import rfc3339
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.billing.corrections import BODY_BYTES, Corrections
from mayfly.gateway.http.routing import UNCACHED, body_of, under_bases
from mayfly.metering.pricing import decimal_text


class CorrectionRoutes:
    """The route and what it needs."""

    def __init__(self, corrections: Corrections, callers: Callers) -> None:
        self._corrections = corrections
        self._callers = callers

    def router(self) -> APIRouter:
        """The route."""
        return under_bases((("POST", "/usage/{identity}/corrections", self.correct),))

    async def correct(self, request: Request, identity: str) -> Response:
        """Correct a prediction's bill: a signed difference, and why."""
        namespace = request.path_params.get("namespace")
        caller = await self._callers.caller(request.headers, namespace)
        body = await body_of(request, BODY_BYTES)
        record, bill = await self._corrections.make(
            caller, identity, namespace, body, request.headers
        )
        answer = {
            "record": record.record_id,
            "prediction": run_id(record.run_uid),
            "corrects": record.corrects,
            "cost": decimal_text(record.cost),
            "active_milliseconds": record.active_ms,
            "currency": record.currency,
            "why": record.why,
            "author": record.author,
            "recorded_at": rfc3339(record.recorded_at),
            "billed": {
                "cost": decimal_text(bill.cost),
                "active_milliseconds": bill.active_ms,
            },
        }
        return JSONResponse(answer, 201, UNCACHED)
