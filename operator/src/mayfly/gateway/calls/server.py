"""What the dispatcher needs of those who speak to a model's server, and how that can go wrong.

CallError          the call is not where it should be
├── NotNow         the server did not take it: later
├── Refused        the server, or we, will never take it
├── Unknown        it was sent, and nobody knows whether it arrived
└── Lost           it was there, and nobody knows what became of it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from mayfly.api.v1alpha1 import Reason
from mayfly.gateway.calls.rows import Call
from mayfly.gateway.http.outbound import (
    MAX_BYTES,
    Answer,
    Forbidden,
    Outbound,
    OutboundError,
    Unsent,
)
from mayfly.metering.ledger import RunRow

Json = dict[str, Any]


class CallError(Exception):
    """The words are for a person."""


class NotNow(CallError):
    """The call was not taken, for certain.

    Attributes:
        down: the server can't be reached or used, which is borne for a while only.
        after: seconds to wait, where the server says it.
    """

    def __init__(self, words: str, *, down: bool, after: float = 0.0) -> None:
        super().__init__(words)
        self.down = down
        self.after = after


class Refused(CallError):
    """The call will not be taken.

    Attributes:
        reason: for people and programs.
    """

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Unknown(CallError):
    """The call may or may not have arrived."""


class Lost(CallError):
    """Nobody can tell any more what became of the call."""


@dataclass(frozen=True)
class PreparedCall:
    """A call that is ready to be sent.

    Attributes:
        method: the HTTP method.
        url: where to.
        headers: the token among them, so it is in no representation.
        body: JSON.
        incarnation: which life of the server it is for, where the server tells.
    """

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    incarnation: str = ""


async def hand_over(
    outbound: Outbound, request: PreparedCall, *, inside: bool = False, limit: int = MAX_BYTES
) -> Answer:
    """Send a call, once.

    Args:
        outbound: the way.
        request: the call.
        inside: see `Outbound.request`.
        limit: bytes of the answer.

    Raises:
        Refused: its address may not be called.
        NotNow: it did not leave.
        Unknown: it may have arrived.
    """
    try:
        return await outbound.request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            inside=inside,
            limit=limit,
        )
    except Forbidden as error:
        raise Refused(Reason.UNREACHABLE, f"The model can't be called: {error}") from None
    except Unsent as error:
        raise NotNow(str(error), down=True) from None
    except OutboundError as error:
        raise Unknown(str(error)) from None


class Follower(Protocol):
    """Looks after one call that was sent."""

    async def look(self, call: Call, row: RunRow) -> float:
        """See how it goes, and tell the rows.

        Returns:
            Seconds until the next look.

        Raises:
            Lost: nobody can tell any more.
        """


class ModelServer(Protocol):
    """Speaks to one sort of server."""

    async def prepare(self, row: RunRow, target: Json) -> PreparedCall:
        """Make a call ready; nothing of it is sent.

        Raises:
            NotNow: the server can't take it now.
            Refused: it never will.
        """

    async def send(self, call: Call, request: PreparedCall, target: Json) -> None:
        """Send a call that was claimed, once.

        Raises:
            NotNow: the server did not take it.
            Refused: it never will.
            Unknown: nobody knows.
        """

    def follow(self, target: Json) -> Follower:
        """Look after a call that was sent, by this process or an earlier one."""

    async def cancel(self, call: Call, target: Json) -> None:
        """Ask the server to stop a call; it may have heard, or not."""
