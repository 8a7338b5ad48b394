"""Errors of the Kubernetes API.

KubeError                 any of these
├── NotFound              the object does not exist
├── Conflict              it changed since it was read, or it exists already
├── Gone                  the watch's resourceVersion is too old: list again
├── Refused               the API server refused it for good (validation, policy, quota, RBAC)
└── Unavailable           no answer, throttled, or a server error: try again
"""

from __future__ import annotations


class KubeError(Exception):
    """A request to the API server failed.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        message: the server's message.
        word: the kind of error, in metrics.
    """

    word = "error"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}" if status else message)
        self.status = status
        self.message = message


class NotFound(KubeError):
    """404."""

    word = "not_found"


class Conflict(KubeError):
    """409: a stale resourceVersion, or a name that exists."""

    word = "conflict"


class Gone(KubeError):
    """410: the watch is too old."""

    word = "gone"


class Refused(KubeError):
    """400, 401, 403, 405, 413, 422: retrying is pointless."""

    word = "refused"


class Unavailable(KubeError):
    """No connection, a time-out, 429 or 5xx."""

    word = "unavailable"


def error_for(status: int, message: str) -> KubeError:
    """The error for an HTTP status."""
    if status == 404:
        return NotFound(status, message)
    if status == 409:
        return Conflict(status, message)
    if status == 410:
        return Gone(status, message)
    if status == 429 or status >= 500:
        return Unavailable(status, message)
    return Refused(status, message)
