"""The interface of a Model's server, as the dispatcher uses it, and its errors.

CallError          the call could not be sent or followed
├── NotNow         the server did not take it: retry later
├── Refused        the server, or we, will never take it
├── Unknown        it was sent, and it is unknown whether it arrived
└── Lost           it had arrived, and its outcome is unknown
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
    """Base of the errors; the message is for people."""


class NotNow(CallError):
    """The call was certainly not taken; it can be retried.

    Attributes:
        down: the server is unreachable or unusable, which is tolerated only for some time.
        after: seconds to wait, if the server says so.
    """

    def __init__(self, words: str, *, down: bool, after: float = 0.0) -> None:
        super().__init__(words)
        self.down = down
        self.after = after


class Refused(CallError):
    """The call will never be taken.

    Attributes:
        reason: the reason, for people and programs.
    """

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Unknown(CallError):
    """It is unknown whether the call arrived."""


class Lost(CallError):
    """The outcome of the call can't be determined any more."""


@dataclass(frozen=True)
class PreparedCall:
    """A call that is ready to be sent.

    Attributes:
        method: the HTTP method.
        url: where it is sent to.
        headers: include the token, so they are left out of the repr.
        body: JSON.
        incarnation: which start of the server it is for, if the server reports one.
    """

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    incarnation: str = ""


async def hand_over(
    outbound: Outbound, request: PreparedCall, *, inside: bool = False, limit: int = MAX_BYTES
) -> Answer:
    """Send a prepared call, once.

    Args:
        outbound: the HTTP client.
        request: the call.
        inside: see `Outbound.request`.
        limit: maximum size of the answer in bytes.

    Raises:
        Refused: the address may not be called.
        NotNow: the call was not sent.
        Unknown: the call may have arrived.
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
    """Follows one call that was sent."""

    async def look(self, call: Call, row: RunRow) -> float:
        """Check the call's progress, and record it.

        Returns:
            Seconds until the next check.

        Raises:
            Lost: the outcome can't be determined any more.
        """


class ModelServer(Protocol):
    """Interface of a Model's server; one implementation per kind of server."""

    async def prepare(self, row: RunRow, target: Json) -> PreparedCall:
        """Prepare a call; nothing is sent yet.

        Raises:
            NotNow: the server can't take it now.
            Refused: the server will never take it.
        """

    async def send(self, call: Call, request: PreparedCall, target: Json) -> None:
        """Send a claimed call, once.

        Raises:
            NotNow: the server did not take it.
            Refused: the server will never take it.
            Unknown: it is unknown whether it arrived.
        """

    def follow(self, target: Json) -> Follower:
        """Follow a call that was sent, by this process or an earlier one."""

    async def cancel(self, call: Call, target: Json) -> None:
        """Ask the server to cancel a call; it may not get the request."""
