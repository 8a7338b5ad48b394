"""Client of TokenReviews and SubjectAccessReviews, with metrics."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from prometheus_client import Counter

from mayfly.gateway.metrics.counters import Metrics
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError
from mayfly.telemetry.families import Bounded

Json = dict[str, Any]


class Reviews:
    """Sends TokenReviews and SubjectAccessReviews, and counts them."""

    def __init__(self, cluster: Cluster, metrics: Metrics) -> None:
        self._cluster = cluster
        self._metrics = metrics

    async def token_review(self, token: str, audiences: list[str]) -> Json:
        """The status of a TokenReview."""
        asked = self._cluster.token_review(token, audiences)
        return await self._answer(asked, self._metrics.token_reviews, "authenticated")

    async def subject_access_review(self, spec: Json) -> Json:
        """The status of a SubjectAccessReview."""
        asked = self._cluster.subject_access_review(spec)
        return await self._answer(asked, self._metrics.access_reviews, "allowed")

    async def _answer(self, asked: Awaitable[Json], results: Bounded[Counter], good: str) -> Json:
        try:
            status = await asked
        except KubeError:
            results.of("error").inc()
            raise
        results.of("allowed" if status.get(good) is True else "denied").inc()
        return status
