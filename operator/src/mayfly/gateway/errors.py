"""What the gateway may answer with, and how each error is rendered.

    Problem                    an HTTP answer with title, detail, status and type
    ├── Unauthenticated        401: no token, or one that nobody vouches for
    ├── Forbidden              403: known caller, no right
    ├── Missing                404: not there, or not for this caller to know
    ├── TooLarge               413: a limit; the detail names it
    ├── Invalid                422: the request can't mean anything
    ├── Busy                   503: not now; try again
    └── Full                   507: no room to store it; try again once there is

Agent sessions end with a close code instead: `Rejected`.
"""

from __future__ import annotations

import logging
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mayfly.kube.errors import KubeError
from mayfly.metering.database import StorageFull

logger = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that is no success."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Unauthenticated(Problem):
    """401."""

    status = 401
    title = "Unauthenticated"


class Forbidden(Problem):
    """403."""

    status = 403
    title = "Forbidden"


class Missing(Problem):
    """404."""

    status = 404
    title = "Not found"


class TooLarge(Problem):
    """413."""

    status = 413
    title = "Too large"


class Invalid(Problem):
    """422."""

    status = 422
    title = "Invalid"


class Busy(Problem):
    """503."""

    status = 503
    title = "Not available"


class Full(Problem):
    """507."""

    status = 507
    title = "Insufficient storage"


class Rejected(Exception):
    """An agent session ends with this close code.

    Attributes:
        code: the WebSocket close code.
        reason: at most 123 bytes, for the agent's log.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


RESTART = 1012
BAD_MESSAGE = 1007
BAD_TOKEN = 4401
OTHER_SESSION = 4403
RETIRED = 4409


def _body(
    status: int, title: str, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    body = {"title": title, "detail": detail, "status": status, "type": "about:blank"}
    return JSONResponse(
        body, status_code=status, headers=headers, media_type="application/problem+json"
    )


def render(problem: Problem) -> JSONResponse:
    """A problem as the API's JSON."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(problem.status)
    return _body(problem.status, problem.title, problem.detail, headers)


async def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    return render(error)


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    return _body(error.status_code, error.detail, error.detail, dict(error.headers or {}))


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    words = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return render(Invalid("; ".join(words)))


async def _on_bug(_request: Request, _error: Exception) -> JSONResponse:
    return render(Problem("Something went wrong here; the gateway's log says what."))


async def _on_kube(_request: Request, error: Exception) -> JSONResponse:
    logger.warning("the Kubernetes API did not answer: %s", error)
    return render(Busy("The Kubernetes API does not answer; try again."))


async def _on_full(_request: Request, error: Exception) -> JSONResponse:
    return render(Full(f"The gateway can't store anything: {error}."))


def install(app: FastAPI) -> None:
    """Make the app answer every error in one shape."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(KubeError, _on_kube)
    app.add_exception_handler(StorageFull, _on_full)
    app.add_exception_handler(Exception, _on_bug)
