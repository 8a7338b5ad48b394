"""The agents that are connected now: one session a pod."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from mayfly.gateway.access.authentication import Pod
from mayfly.gateway.http.errors import RESTART

SEND_SECONDS = 15.0
"""An agent that does not read for so long is cut off; it redials."""


class Wire(Protocol):
    """The connection under a session: what is needed of a WebSocket."""

    async def send_text(self, data: str) -> None:
        """Send one text message."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """End the connection."""


@dataclass(eq=False)
class Session:
    """One agent's connection.

    Attributes:
        pod: the pod that speaks.
        connected_at: when this connection began.
        run: UID of the run that the agent has, or whose work was sent to it.
        attempt: that work's attempt.
        accepted: the agent took that work: it can never take another.
        sent_at: when the work was sent down this connection.
        cancelled: `cancel` was sent down this connection.
        cancelled_unless_started: so was a `cancel` that lets a run go on that has started.
        retired: `retire` was sent; it gets no work.
        ended: the agent has told its result and waits for `ack`.
    """

    pod: Pod
    wire: Wire = field(repr=False)
    connected_at: datetime
    run: str | None = None
    attempt: int = 0
    accepted: bool = False
    sent_at: datetime | None = None
    cancelled: bool = False
    cancelled_unless_started: bool = False
    retired: bool = False
    ended: bool = False

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; a connection that is gone or does not read is closed instead."""
        text = json.dumps(message, ensure_ascii=True, separators=(",", ":"))
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.wire.send_text(text)
        except (TimeoutError, RuntimeError, OSError):
            # RuntimeError: the connection was closed meanwhile. The agent redials and resumes.
            await self.close(RESTART, "the agent does not read")

    async def close(self, code: int, reason: str) -> None:
        """End the connection, if it is still there."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.wire.close(code, reason)
        except (TimeoutError, RuntimeError, OSError):
            return


class Sessions:
    """Sessions by pod and by run."""

    def __init__(self) -> None:
        self._by_pod: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_pod)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_pod.values()))

    def add(self, session: Session) -> Session | None:
        """Let a session speak for its pod. Returns the one that did before, which is over."""
        before = self._by_pod.get(session.pod.uid)
        self._by_pod[session.pod.uid] = session
        return before

    def remove(self, session: Session) -> None:
        """The session's connection is gone."""
        if self._by_pod.get(session.pod.uid) is session:
            del self._by_pod[session.pod.uid]

    def of_pod(self, pod_uid: str | None) -> Session | None:
        """The session of a pod."""
        return self._by_pod.get(pod_uid) if pod_uid else None

    def of_run(self, uid: str, pod_uid: str | None) -> Session | None:
        """The session that has a run, on the pod that it was claimed for."""
        session = self.of_pod(pod_uid)
        return session if session is not None and session.run == uid else None
