"""HTTP errors: the exception tree, and how each is rendered as problem+json.

    Problem                    an HTTP answer with title, detail, status and type
    ├── Unauthenticated        401: no token, or an invalid one
    ├── BudgetReached          402: a budget is spent; the detail names it
    ├── Forbidden              403: the caller lacks the right
    ├── Missing                404: does not exist, or the caller may not know of it
    ├── Taken                  409: the name is in use or not unique, or a concurrent change
    ├── TooLarge               413: over a limit; the detail names it
    ├── Invalid                422: the request is invalid
    │   └── Refusal            422: the input is invalid; each problem names its field
    ├── TooMany                429: over a rate limit, or a queue is full
    ├── Busy                   503: not now; try again
    └── Full                   507: no space to store it; try again later

Agent sessions are closed with a close code instead: `Rejected`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from typing_extensions import override

from mayfly.database.engine import StorageAway, StorageFull
from mayfly.kube.errors import Conflict, KubeError, NotFound, Refused

logger = logging.getLogger(__name__)


class Problem(Exception):
    """Base of every HTTP error of the API."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Unauthenticated(Problem):
    """401: no valid token."""

    status = 401
    title = "Unauthenticated"


class BudgetReached(Problem):
    """402: a budget is spent."""

    status = 402
    title = "Budget reached"


class Forbidden(Problem):
    """403: the caller lacks the right."""

    status = 403
    title = "Forbidden"


class Missing(Problem):
    """404: does not exist, or the caller may not know of it."""

    status = 404
    title = "Not found"


class Taken(Problem):
    """409: the name or the month is taken, or the name means several."""

    status = 409
    title = "Conflict"


class TooLarge(Problem):
    """413: over a size limit."""

    status = 413
    title = "Too large"


class Invalid(Problem):
    """422: the request is invalid.

    Attributes:
        pointer: the wrong field of the body, as a JSON pointer; "" for the whole body.
    """

    status = 422
    title = "Invalid"

    def __init__(self, detail: str, *, pointer: str = "") -> None:
        super().__init__(detail)
        self.pointer = pointer

    @property
    def errors(self) -> list[dict[str, str]]:
        """Each problem separately, for clients that show fields."""
        return [{"detail": self.detail, "pointer": self.pointer}] if self.pointer else []


class Refusal(Invalid):
    """422: the input does not fit the schema."""

    title = "Input validation failed"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems)[:4000], pointer="/input")
        self._problems = tuple(problems)

    @property
    @override
    def errors(self) -> list[dict[str, str]]:
        """Problems by field; a problem begins with its field's name and a colon."""
        split = [each.partition(": ") for each in self._problems]
        return [
            {"detail": words or name, "pointer": f"/input/{name}" if words else "/input"}
            for name, _, words in split
        ]


class TooMany(Problem):
    """429: too many requests.

    Attributes:
        retry_after: whole seconds.
    """

    status = 429
    title = "Too many requests"

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Busy(Problem):
    """503: try again later."""

    status = 503
    title = "Not available"


class Full(Problem):
    """507: the disk is full."""

    status = 507
    title = "Insufficient storage"


class Rejected(Exception):
    """Closes an agent's WebSocket with a code and a reason.

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


def refusal(error: KubeError, what: str) -> Exception:
    """An error of the API server as an answer to the caller, with the API server's message.

    Args:
        error: the error.
        what: the object, as in `Pipeline "team/answer"`.
    """
    if isinstance(error, Conflict):
        return Taken(f"{what}: {error.message}")
    if isinstance(error, NotFound):
        return Missing(f"{what} or its namespace does not exist.")
    if isinstance(error, Refused):
        words = f"The cluster refuses {what}: {error.message}"
        return Forbidden(words) if error.status == 403 else Invalid(words)
    return error


def _body(
    status: int,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: object,
) -> JSONResponse:
    body = {"title": title, "detail": detail, "status": status, "type": "about:blank", **members}
    return JSONResponse(
        body, status_code=status, headers=headers, media_type="application/problem+json"
    )


def render(problem: Problem) -> JSONResponse:
    """Render an error as problem+json."""
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(problem.status)
    if isinstance(problem, TooMany):
        headers = {"Retry-After": str(problem.retry_after)}
    members = {"errors": problem.errors} if isinstance(problem, Invalid) and problem.errors else {}
    return _body(problem.status, problem.title, problem.detail, headers, **members)


async def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    return render(error)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    if error.status_code == 404:
        # Somebody's client may want what is not built.
        logger.info("no such path", extra={"method": request.method, "path": request.url.path})
        path = request.url.path[:200]
        return _body(404, Missing.title, f"There is nothing at {request.method} {path}.")
    return _body(error.status_code, error.detail, error.detail, dict(error.headers or {}))


async def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    words = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return render(Invalid("; ".join(words)))


async def _on_bug(_request: Request, _error: Exception) -> JSONResponse:
    return render(Problem("Internal error; the gateway's log has the details."))


async def _on_kube(_request: Request, error: Exception) -> JSONResponse:
    logger.warning("the Kubernetes API did not answer: %s", error)
    return render(Busy("The Kubernetes API does not answer; try again."))


async def _on_full(_request: Request, error: Exception) -> JSONResponse:
    return render(Full(f"The gateway can't store anything: {error}."))


async def _on_away(_request: Request, _error: Exception) -> JSONResponse:
    return render(Busy("The database does not answer; try again."))


def install(app: FastAPI) -> None:
    """Install the exception handlers of the app."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(KubeError, _on_kube)
    app.add_exception_handler(StorageFull, _on_full)
    app.add_exception_handler(StorageAway, _on_away)
    app.add_exception_handler(Exception, _on_bug)
