"""Retries requests to the gateway while it is unavailable, so that `main()` does not fail.

A gateway that is replaced, or whose node dies, is back within a minute or so; clients give up at
the first connection that is refused, and a pipeline that only waits for what it has made would
fail with it. So httpx, on which Replicate's clients stand, tries a request to the gateway again:
any that never got a connection; one that lost it as long as it may be sent twice. A create may be:
it carries a key by which the gateway finds what the first one made.

httpx is not imported for this: the author's import of it is where this is put in.
"""

import os
import time
from types import ModuleType
from typing import Any

from mayfly_runtime.worker.import_hooks import Execute, on_import

AWAY_SECONDS = 600.0
"""Longer than any replacement of a gateway; the run's timeout may end it sooner."""

PAUSE_SECONDS = 0.5

KNOWN_SECONDS = 75.0
"""After a create was sent and lost, the gateway certainly knows its key for this long."""

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY = "Idempotency-Key"


def wait_for(gateway_url: str) -> None:
    """Make httpx, once it is imported, retry requests to the gateway at this URL."""
    netloc = gateway_url.partition("://")[2].partition("/")[0]

    def load(execute: Execute, httpx: ModuleType) -> None:
        execute(httpx)
        change(httpx, netloc)

    on_import("httpx", load)


def change(httpx: Any, netloc: str) -> None:
    """Patch the transports of httpx to retry requests to one host and port.

    Args:
        httpx: the module.
        netloc: the gateway's, as in its URL.
    """
    send, send_async = (
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
    )

    def handle_request(self: Any, request: Any) -> Any:
        patience = _Patience(httpx, netloc, request)
        while True:
            try:
                return send(self, request)
            except httpx.TransportError as error:
                if not patience.has(error):
                    raise
                time.sleep(PAUSE_SECONDS)

    async def handle_async_request(self: Any, request: Any) -> Any:
        patience = _Patience(httpx, netloc, request)
        while True:
            try:
                return await send_async(self, request)
            except httpx.TransportError as error:
                if not patience.has(error):
                    raise
                import asyncio  # noqa: PLC0415 50 ms, and hardly ever needed

                await asyncio.sleep(PAUSE_SECONDS)

    httpx.HTTPTransport.handle_request = handle_request
    httpx.AsyncHTTPTransport.handle_async_request = handle_async_request


class _Patience:
    """The retries of one request."""

    def __init__(self, httpx: Any, netloc: str, request: Any) -> None:
        self._never_sent = (httpx.ConnectError, httpx.ConnectTimeout)
        self._lost = (httpx.NetworkError, httpx.RemoteProtocolError)
        self._sent = time.monotonic()
        self._deadline = self._sent + AWAY_SECONDS
        self._ours = request.url.netloc.decode("ascii") == netloc
        create = request.method == "POST" and request.url.path.endswith("/predictions")
        if self._ours and create:
            request.headers.setdefault(_KEY, os.urandom(16).hex())
        self._create = create
        self._repeatable = create or request.method in _REPEATABLE

    def has(self, error: Exception) -> bool:
        """Whether to send the request again after this error."""
        if not self._ours:
            return False
        now = time.monotonic()
        if not isinstance(error, self._never_sent):
            if not (self._repeatable and isinstance(error, self._lost)):
                return False
            if self._create:
                self._deadline = min(self._deadline, self._sent + KNOWN_SECONDS)
        self._sent = now
        return now < self._deadline
