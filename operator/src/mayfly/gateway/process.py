"""What every room of the gateway is built on: settings, connections, clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from mayfly.clock import Clock, Monotonic
from mayfly.config import GatewayConfig
from mayfly.database.engine import Database, StorageError
from mayfly.kube.client import Cluster
from mayfly.kube.errors import KubeError
from mayfly.workqueue import K, Observe, WorkQueue

Tasks = Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
"""Background tasks of a room: coroutine functions by task name."""


@dataclass(frozen=True)
class Process:
    """The singletons of the process. Only for the rooms' `build`: a class names what it needs.

    Attributes:
        config: the settings.
        cluster: the Kubernetes API.
        database: SQL.
        clock: the time, UTC.
        monotonic: seconds of a clock that never goes back.
        new_id: generates ids that can't be guessed, 26 characters.
        new_uid: generates UIDs of predictions without an object.
        stopping: set when the process is about to stop, so that long requests end too.
    """

    config: GatewayConfig
    cluster: Cluster
    database: Database
    clock: Clock
    monotonic: Monotonic
    new_id: Callable[[], str]
    new_uid: Callable[[], str]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def workqueue(self, observe: Observe[Any]) -> WorkQueue[K]:
        """A new queue of work that is put off while the API server or the database is away."""
        return WorkQueue(self.monotonic, passing=(KubeError, StorageError), observe=observe)
