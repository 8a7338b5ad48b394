"""Leader election by a Lease.

The official client's implementation (`kubernetes.aio.leaderelection`) measures with the wall clock
and never releases the Lease, so each rolling upgrade would leave no leader until the Lease expires.
This one measures with the monotonic clock and releases the Lease on a clean stop
(docs/decisions/0002).
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Any

from mayfly.clock import Clock, Monotonic, rfc3339
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, KubeError, NotFound
from mayfly.kube.kinds import LEASES

logger = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True)
class LeaseSettings:
    """Name, holder and timing of the Lease.

    Attributes:
        duration: seconds after which others may take a Lease that is not renewed.
        renew: seconds between renewals; a leader that can't renew gives up at 2/3 of `duration`.
        owner: an owner reference, so that an uninstall deletes the Lease.
    """

    namespace: str
    name: str
    identity: str
    duration: float = 15.0
    renew: float = 2.0
    owner: Json | None = None


class Lease:
    """One candidate's view of the Lease."""

    def __init__(
        self, cluster: Cluster, settings: LeaseSettings, clock: Clock, monotonic: Monotonic
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._renewed_at = -math.inf
        self._body: Json | None = None

    async def acquire(self) -> None:
        """Wait until this candidate leads."""
        # If the write's answer took too long, the Lease may have expired: write it again.
        while not (await self._tried() and self.held):  # noqa: ASYNC110 - others change it
            await asyncio.sleep(self._settings.renew)
        logger.info("leading", extra={"identity": self._settings.identity})

    @property
    def held(self) -> bool:
        """Whether this candidate certainly leads.

        Also False in a process that was paused for so long that another one may lead by now.
        """
        limit = self._settings.duration * 2 / 3
        return self._monotonic() - self._renewed_at < limit

    async def hold(self) -> None:
        """Renew until that has failed for 2/3 of the duration; then leadership is lost."""
        while self.held:
            await asyncio.sleep(self._settings.renew)
            await self._tried()
        logger.error("lost the lease", extra={"identity": self._settings.identity})

    async def release(self) -> None:
        """Release the Lease, so that another candidate can lead at once."""
        if self._body is None:
            return
        spec = {**self._body["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._cluster.replace(
                LEASES, self._settings.namespace, {**self._body, "spec": spec}
            )
        except KubeError as error:
            logger.warning("could not release the lease: %s", error)
        self._body = None

    async def _tried(self) -> bool:
        try:
            taken = await self._take()
        except Conflict:
            taken = None
        except KubeError as error:
            logger.warning("lease: %s", error)
            taken = None
        if taken is None:
            return False
        self._body, self._renewed_at = taken
        return True

    async def _take(self) -> tuple[Json, float] | None:
        """Write our name on the Lease.

        Returns:
            The Lease as written, and when the write was sent by the monotonic clock, which is
            before anybody saw it renewed. None if another candidate holds it.
        """
        settings = self._settings
        owners = [settings.owner] if settings.owner else []
        try:
            there = await self._cluster.get(LEASES, settings.namespace, settings.name)
        except NotFound:
            body = {
                "apiVersion": LEASES.api_version,
                "kind": "Lease",
                "metadata": {
                    "name": settings.name,
                    "namespace": settings.namespace,
                    "ownerReferences": owners,
                },
                "spec": self._spec(transitions=0),
            }
            sent = self._monotonic()
            return await self._cluster.create(LEASES, settings.namespace, body), sent
        spec = there.get("spec", {})
        mine = spec.get("holderIdentity") == settings.identity
        if not mine and not self._expired(there):
            return None
        transitions = int(spec.get("leaseTransitions", 0)) + (0 if mine else 1)
        new = self._spec(transitions)
        if mine:
            new["acquireTime"] = spec.get("acquireTime", new["acquireTime"])
        metadata = {**there["metadata"], "ownerReferences": owners}
        body = {**there, "metadata": metadata, "spec": new}
        sent = self._monotonic()
        return await self._cluster.replace(LEASES, settings.namespace, body), sent

    def _expired(self, there: Json) -> bool:
        """Whether the Lease was not renewed for its duration, by our own clock."""
        spec = there.get("spec", {})
        if not spec.get("holderIdentity"):
            return True
        seen = (there["metadata"]["resourceVersion"], str(spec.get("renewTime")))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._monotonic()
        duration = float(spec.get("leaseDurationSeconds", self._settings.duration))
        return self._monotonic() - self._seen_at > duration

    def _spec(self, transitions: int) -> Json:
        stamp = rfc3339(self._clock())
        return {
            "holderIdentity": self._settings.identity,
            "leaseDurationSeconds": int(self._settings.duration),
            "acquireTime": stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions,
        }
