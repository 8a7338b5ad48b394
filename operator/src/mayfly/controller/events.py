"""Writes Kubernetes Events, each once, beside the work: a failure loses the event and nothing else.

An event's name is made of what it says, so that a second one is refused by the API server, also
after a restart. Memory and writes are bounded: more at a time than `WAITING` are dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from typing import Any

from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.clock import Clock, rfc3339
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, KubeError
from mayfly.kube.kinds import EVENTS
from mayfly.reconcile.actions import Event
from mayfly.reconcile.ending import clipped

logger = logging.getLogger(__name__)

Json = dict[str, Any]

CONTROLLER = "mayfly.dev/controller"
NOTE_BYTES = 1024
"""The API server's limit of an event's text."""

WAITING = 256
REMEMBERED = 4096


class Events:
    """The queue of events that wait to be written, and the names of the last ones."""

    def __init__(self, cluster: Cluster, clock: Clock, instance: str) -> None:
        self._cluster = cluster
        self._clock = clock
        self._instance = instance
        self._told: OrderedDict[str, None] = OrderedDict()
        self._waiting: asyncio.Queue[Json] = asyncio.Queue(WAITING)

    def tell(self, event: Event) -> None:
        """Queue an event, unless it was told before or too many wait."""
        body = event_body(event, rfc3339(self._clock()), self._instance)
        name = body["metadata"]["name"]
        if name in self._told:
            self._told.move_to_end(name)
            return
        if self._waiting.full():
            return  # the next look at the object may find a place
        self._told[name] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._waiting.put_nowait(body)

    async def run(self) -> None:
        """Write the events one after the other, until cancelled."""
        while True:
            body = await self._waiting.get()
            try:
                await self._cluster.create(EVENTS, body["metadata"]["namespace"], body)
            except Conflict:
                continue  # it was told before
            except KubeError as error:
                logger.info("an event was not written: %s", error)
            except Exception:
                logger.exception("an event can't be written")


def event_body(event: Event, stamp: str, instance: str) -> Json:
    """The object of an event.

    Args:
        event: what to tell.
        stamp: the time, RFC 3339 with microseconds.
        instance: the name of this process's pod.
    """
    said = f"{event.uid}\n{event.reason}\n{event.occasion}"
    regarding = {
        "apiVersion": API_VERSION,
        "kind": event.kind,
        "name": event.name,
        "uid": event.uid,
    }
    if event.namespace:
        regarding["namespace"] = event.namespace
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.name,
        "metadata": {
            "name": f"{event.name[:200]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
            # Events of cluster-wide objects are in this namespace.
            "namespace": event.namespace or "default",
        },
        "eventTime": stamp,
        "reportingController": CONTROLLER,
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "note": clipped(event.note, NOTE_BYTES),
        "regarding": regarding,
    }
