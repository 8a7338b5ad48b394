"""HTTP routes of runtimes, and of the pods that wait for runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly.api.v1alpha1 import PipelineRuntime
from mayfly.api.v1alpha1.conditions import ConditionType, find
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.programs import Programs
from mayfly.gateway.http.errors import Forbidden
from mayfly.gateway.http.routing import UNCACHED, under_bases
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.namespaces.watch import Namespaces
from mayfly_runtime.spec.source import RUNTIME_PYTHON

Json = dict[str, Any]

DEFAULT = "default"
"""The runtime of pipelines that name none."""


class PoolRoutes:
    """HTTP routes of runtimes and pools."""

    def __init__(
        self,
        *,
        callers: Callers,
        programs: Programs,
        namespaces: Namespaces,
        metrics: Metrics,
        currency: str,
    ) -> None:
        self._callers = callers
        self._programs = programs
        self._namespaces = namespaces
        self._metrics = metrics
        self._currency = currency

    def router(self) -> APIRouter:
        """The routes."""
        return under_bases((("GET", "/runtimes", self.runtimes), ("GET", "/pools", self.pools)))

    async def runtimes(self, request: Request) -> Response:
        """List the PipelineRuntimes: their packages, sizes and prices."""
        await self._callers.caller(request)
        found = [self._runtime(each) for each in await self._programs.every_runtime()]
        return JSONResponse(found, headers=UNCACHED)

    async def pools(self, request: Request) -> Response:
        """List the pools of waiting pods, and how long starts took."""
        caller = await self._callers.caller(request)
        if caller.run is not None:
            raise Forbidden("A run's token may not read pools.")
        pools = []
        for runtime in await self._programs.every_runtime():
            every = [
                name
                for name, wanted in sorted(self._namespaces.pools().items())
                if wanted == runtime.metadata.name
            ]
            mine = [name for name in every if await self._sees(caller, name)]
            if mine and runtime.spec.warm is not None:
                pools.append(_pool(runtime, mine, len(every)))
        # Which pod a run was given is the controller's to count: mayfly_warm_claims_total.
        body = {"pools": pools, "starts": self._starts(), "hits": None, "misses": None}
        return JSONResponse(body, headers=UNCACHED)

    async def _sees(self, caller: Caller, namespace: str) -> bool:
        return caller.namespace in {None, namespace} and await self._callers.may(
            caller, "list", "pipelineruns", namespace
        )

    def _runtime(self, runtime: PipelineRuntime) -> Json:
        limits = runtime.spec.resources.limits
        return {
            "name": runtime.metadata.name,
            "python": ".".join(map(str, RUNTIME_PYTHON)),
            "packages": list(runtime.spec.packages),
            "cpu": limits.get("cpu"),
            "memory": limits.get("memory"),
            "prices": [
                {"meter": each.meter, "price": each.unit_price, "currency": self._currency}
                for each in runtime.spec.price
            ],
            "default": runtime.metadata.name == DEFAULT,
        }

    def _starts(self) -> Json:
        found = self._metrics.start_latencies
        count, total = int(found.pop("count")), found.pop("sum")
        buckets = [
            {"le": None if bound == "+Inf" else float(bound), "count": int(number)}
            for bound, number in found.items()
        ]
        return {"buckets": buckets, "count": count, "sum": total}


def _pool(runtime: PipelineRuntime, mine: Sequence[str], every: int) -> Json:
    """A runtime's pool; its status counts the pods of all namespaces together.

    Args:
        runtime: with `spec.warm`.
        mine: namespaces of the pool that the caller sees.
        every: how many there are.
    """
    warm, now = runtime.spec.warm, runtime.status.warm
    degraded = find(runtime.status.conditions, ConditionType.DEGRADED)
    problem = degraded.message if degraded and degraded.status == "True" else ""
    return {
        "namespace": mine[0] if every == 1 else None,
        "namespaces": list(mine),
        "runtime": runtime.metadata.name,
        "wanted": (warm.min if warm else 0) * every,
        "waiting": now.waiting if now else 0,
        "starting": now.booting if now else 0,
        "claimed": now.claimed if now else 0,
        "problem": problem or None,
    }
