"""Writes the status of PipelineRuns: only what has changed, in one request."""

from __future__ import annotations

import logging

from mayfly.gateway.cache.runs import Json, Runs, Seen
from mayfly.gateway.runs import status
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Refused
from mayfly.kube.kinds import RUNS

logger = logging.getLogger(__name__)


class StatusWriter:
    """Writes statuses, and updates the cache with the API server's answer."""

    def __init__(self, cluster: Cluster, runs: Runs) -> None:
        self._cluster = cluster
        self._runs = runs

    async def write(self, seen: Seen, wanted: Json) -> None:
        """Write a run's status if it differs; without output and log if those are refused.

        Raises:
            Conflict: the object changed; look again.
            NotFound: it was deleted.
        """
        try:
            body = await self._put_or_patch(seen, wanted)
        except Refused as error:
            if "output" not in wanted and "logsTail" not in wanted:
                raise
            # Content from user code may be something that the API server can't store.
            logger.warning("a status was refused: %s", error, extra={"run": list(seen.key)})
            body = await self._put_or_patch(seen, status.bare(wanted))
        if body is not None:
            self._runs.update(body)

    async def _put_or_patch(self, seen: Seen, wanted: Json) -> Json | None:
        changes = status.patch(seen, wanted)
        if changes is None:
            return None
        if "output" in changes["status"]:
            # A merge patch treats null as "remove this", so an output is written by PUT.
            return await self._cluster.write_status(RUNS, {**seen.raw, "status": wanted})
        namespace, name = seen.key
        return await self._cluster.patch_status(RUNS, namespace, name, changes)
