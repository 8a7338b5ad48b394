"""Sessions of the agents that are connected now: at most one per pod."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from mayfly.gateway.access.authentication import Pod
from mayfly.gateway.http.errors import RESTART
from mayfly_runtime.spec import strict_json

SEND_SECONDS = 15.0
"""An agent that does not read for this long is disconnected; it reconnects."""


class Wire(Protocol):
    """Interface of the connection under a session."""

    async def send_text(self, data: str) -> None:
        """Send one text message."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection."""


@dataclass(eq=False)
class Session:
    """One agent's connection.

    Attributes:
        pod: the agent's pod.
        connected_at: when this connection began.
        run: UID of the run that the agent has, or whose work was sent to it.
        attempt: that work's attempt.
        opened: that run has a row in the ledger, which is never deleted.
        accepted: the agent accepted that work, so it can accept no other.
        sent_at: when the work was sent on this connection.
        cancelled: `cancel` was sent on this connection.
        cancelled_unless_started: `cancel` with `unlessStarted` was sent on this connection.
        retired: `retire` was sent; it gets no work.
        ended: the agent has sent its result and waits for `ack`.
    """

    pod: Pod
    wire: Wire = field(repr=False)
    connected_at: datetime
    run: str | None = None
    attempt: int = 0
    opened: bool = False
    accepted: bool = False
    sent_at: datetime | None = None
    cancelled: bool = False
    cancelled_unless_started: bool = False
    retired: bool = False
    ended: bool = False

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; if the agent is gone or does not read, close the connection instead."""
        # Escaped, an input of 6 MiB could be larger than the 16 MiB that the agent accepts.
        text = strict_json.dump(message)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.wire.send_text(text)
        except (TimeoutError, RuntimeError, OSError):
            # RuntimeError: the connection was closed meanwhile. The agent reconnects and resumes.
            await self.close(RESTART, "the agent does not read")

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, if it is still open."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.wire.close(code, reason)
        except (TimeoutError, RuntimeError, OSError):
            return


class Sessions:
    """Index of sessions by pod and by run."""

    def __init__(self) -> None:
        self._by_pod: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_pod)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_pod.values()))

    def add(self, session: Session) -> Session | None:
        """Register a session for its pod. Returns the pod's previous session, which is replaced."""
        before = self._by_pod.get(session.pod.uid)
        self._by_pod[session.pod.uid] = session
        return before

    def remove(self, session: Session) -> None:
        """Remove a session whose connection has ended."""
        if self._by_pod.get(session.pod.uid) is session:
            del self._by_pod[session.pod.uid]

    def of_pod(self, pod_uid: str | None) -> Session | None:
        """The session of a pod."""
        return self._by_pod.get(pod_uid) if pod_uid else None

    def of_run(self, uid: str, pod_uid: str | None) -> Session | None:
        """The session that has a run, on the claimed pod."""
        session = self.of_pod(pod_uid)
        return session if session is not None and session.run == uid else None
