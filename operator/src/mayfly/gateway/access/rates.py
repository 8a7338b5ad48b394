"""Rate limits: one token bucket per caller; every answer has the `ratelimit-*` headers.

A caller is a token, or the address of a request without one. All runs of a tree are one caller,
with larger buckets, because their code waits by polling.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mayfly.clock import Monotonic
from mayfly.config import RatesConfig
from mayfly.gateway.access import run_tokens
from mayfly.gateway.access.authentication import User, bearer
from mayfly.gateway.access.browsers import PROXIED
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.cache.ttl import Cache
from mayfly.gateway.http.errors import TooMany, Unauthenticated, render

CALLERS = 50_000
"""Maximum number of buckets; the oldest are full again long before they are dropped."""

MINUTE = 60.0

_FREE = re.compile(
    r"/(agent|healthz|readyz|livez)\b|(/v1)?/(files/)?streams/|(/v1)?/files/[^/]+/download/|"
    r"/ui/assets/"
)
"""Not limited: agents, probes, signed links, and what the pages of the web UI load."""

_CREATE = re.compile(r"(/ns/[^/]+)?(/v1)?(/models/[^/]+/[^/]+)?/predictions")


@dataclass
class Bucket:
    """A caller's token bucket.

    Attributes:
        size: tokens per minute, and the maximum.
        left: tokens left.
        since: when `left` was computed, on the monotonic clock.
    """

    size: int
    left: float
    since: float

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        self.left = min(self.size, self.left + (now - self.since) * self.size / MINUTE)
        self.since = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    @property
    def reset(self) -> int:
        """Whole seconds until a token is available, or, if one is, until the bucket is full."""
        missing = 1 - self.left if self.left < 1 else self.size - self.left
        return max(1, math.ceil(missing * MINUTE / self.size))


class RateLimit:
    """ASGI middleware that limits the rate of requests per caller."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        rates: RatesConfig,
        key: SigningKey,
        root_of: Callable[[str], str | None],
        monotonic: Monotonic,
    ) -> None:
        """Create the middleware.

        Args:
            app: the wrapped application.
            rates: the bucket sizes.
            key: verifies run tokens.
            root_of: the UID of the root of a live run.
            monotonic: measures.
        """
        self._app = app
        self._rates = rates
        self._key = key
        self._root_of = root_of
        self._monotonic = monotonic
        self._buckets: Cache[tuple[str, bool], Bucket] = Cache(
            seconds=2 * MINUTE, size=CALLERS, monotonic=monotonic
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request with 429, or pass it on."""
        if scope["type"] != "http" or _FREE.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        bucket, taken = self._take(scope)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_headers(bucket)]
            await send(message)

        if taken:
            await self._app(scope, receive, told)
            return
        wait = bucket.reset
        words = f"More than {bucket.size} requests per minute; try again in {wait} s."
        await render(TooMany(words, retry_after=wait))(scope, receive, told)

    def _take(self, scope: MutableMapping[str, Any]) -> tuple[Bucket, bool]:
        create = scope["method"] == "POST" and _CREATE.fullmatch(scope["path"]) is not None
        caller, is_run = self._caller(scope)
        now = self._monotonic()
        bucket = self._buckets.get((caller, create))
        if bucket is None:
            size = self._size(create=create, is_run=is_run)
            bucket = Bucket(size, size, now)
        taken = bucket.take(now)
        self._buckets.put((caller, create), bucket)
        return bucket, taken

    def _size(self, *, create: bool, is_run: bool) -> int:
        if is_run:
            return self._rates.run_creates if create else self._rates.run_others
        return self._rates.creates if create else self._rates.others

    def _caller(self, scope: MutableMapping[str, Any]) -> tuple[str, bool]:
        proxied: User | None = scope.get(PROXIED)
        if proxied is not None:
            return f"user {proxied.name}", False
        try:
            token = bearer(Headers(scope=scope))
        except Unauthenticated:
            client = scope.get("client")
            return f"address {client[0] if client else ''}", False
        run = run_tokens.read(self._key, token) if token.startswith(run_tokens.PREFIX) else None
        if run is not None:
            return f"tree {self._root_of(run.uid) or run.uid}", True
        return f"token {hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}", False


def _headers(bucket: Bucket) -> list[tuple[bytes, bytes]]:
    return [
        (b"ratelimit-limit", b"%d" % bucket.size),
        (b"ratelimit-remaining", b"%d" % int(bucket.left)),
        (b"ratelimit-reset", b"%d" % bucket.reset),
    ]
