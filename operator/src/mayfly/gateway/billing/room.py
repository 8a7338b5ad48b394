"""Builds the billing room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.billing.corrections import Corrections
from mayfly.gateway.billing.routes import UsageRoutes
from mayfly.gateway.predictions.room import Predictions
from mayfly.gateway.process import Process
from mayfly.gateway.runs.room import Runs


@dataclass(frozen=True)
class Billing:
    """What the room offers: usage over HTTP."""

    routers: Sequence[APIRouter]


def build(process: Process, access: AccessControl, runs: Runs, predictions: Predictions) -> Billing:
    """Build the room from the rooms below it."""
    corrections = Corrections(
        database=process.database,
        predictions=predictions.finder,
        callers=access.callers,
        workqueue=runs.workqueue,
        clock=process.clock,
    )
    usage = UsageRoutes(
        database=process.database,
        corrections=corrections,
        callers=access.callers,
        clock=process.clock,
    )
    return Billing([usage.router()])
