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
from mayfly.workqueue import K, WorkQueue

Tasks = Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
"""What a room does all the time: coroutine functions by the names of their tasks."""


@dataclass(frozen=True)
class Process:
    """The singletons of the process. For the rooms' `build` alone: a class names what it needs.

    Attributes:
        config: the settings.
        cluster: the Kubernetes API.
        database: SQL.
        clock: the time, UTC.
        monotonic: seconds that never go back.
        new_id: an id that nobody can guess, 26 characters.
        new_uid: the UID of a prediction that has no object.
        stopping: set when the process is about to end, so that long answers end too.
    """

    config: GatewayConfig
    cluster: Cluster
    database: Database
    clock: Clock
    monotonic: Monotonic
    new_id: Callable[[], str]
    new_uid: Callable[[], str]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def workqueue(self) -> WorkQueue[K]:
        """A new queue of work that is put off while the API server or the database is away."""
        return WorkQueue(self.monotonic, passing=(KubeError, StorageError))
