"""Authentication: TokenReviews, and run tokens.

There is no user database: a token is valid if the API server, or our own signature, says so.
Answers are cached for some seconds, so that a polling client does not cause a review per poll; a
revoked token stays valid for that time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mayfly.clock import Monotonic
from mayfly.gateway.access import run_tokens
from mayfly.gateway.access.reviews import Reviews
from mayfly.gateway.access.run_tokens import RunIdentity
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.cache.ttl import Cache
from mayfly.gateway.http.errors import BAD_TOKEN, Rejected, Unauthenticated

API_AUDIENCE = "mayfly"
POD_AUDIENCE = "mayfly-gateway"
CACHE_SECONDS = 10.0
CACHE_SIZE = 4096
MAX_TOKEN = 16 * 1024
POD_UID = "authentication.kubernetes.io/pod-uid"
POD_NAME = "authentication.kubernetes.io/pod-name"
SERVICE_ACCOUNT = "system:serviceaccount:"
CREATE_TOKEN = f"kubectl create token ACCOUNT --namespace=NAMESPACE --audience={API_AUDIENCE}"
"""The command that makes a token for this API, for messages."""

EXPIRED = f"The token has expired. Make a new one: {CREATE_TOKEN}"


@dataclass(frozen=True)
class User:
    """A person or program, as the API server identified it."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]


Identity = User | RunIdentity


@dataclass(frozen=True)
class Pod:
    """The pod that a projected token belongs to."""

    uid: str
    name: str
    namespace: str


def bearer(headers: Mapping[str, str]) -> str:
    """The token of an Authorization header: `Bearer`, or `Token` from old clients.

    Raises:
        Unauthenticated: there is none.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() not in {"bearer", "token"} or not token or len(token) > MAX_TOKEN:
        raise Unauthenticated("Send a token: Authorization: Bearer <token>.")
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Authenticator:
    """Identifies the owner of a token."""

    def __init__(self, reviews: Reviews, key: SigningKey, monotonic: Monotonic) -> None:
        self._reviews = reviews
        self._key = key
        self._users: Cache[bytes, User] = Cache(
            seconds=CACHE_SECONDS, size=CACHE_SIZE, monotonic=monotonic
        )
        self._pods: Cache[bytes, Pod] = Cache(
            seconds=CACHE_SECONDS, size=CACHE_SIZE, monotonic=monotonic
        )

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Identify the sender of a request. A run must still be checked against the live run.

        Raises:
            Unauthenticated: there is no token, or it is not valid.
        """
        token = bearer(headers)
        if token.startswith(run_tokens.PREFIX):
            run = run_tokens.read(self._key, token)
            if run is None:
                raise Unauthenticated("The token is not valid.")
            return run
        known = self._users.get(_digest(token))
        if known is not None:
            return known
        expired = False
        # First as a token for Mayfly's audience, then as one for the API server.
        for audiences in ([API_AUDIENCE], []):
            status = await self._reviews.token_review(token, audiences)
            if _vouched(status, audiences):
                user = _user(status)
                self._users.put(_digest(token), user)
                return user
            # Nothing else of these words is passed on: they are the API server's to its client.
            expired = expired or "expired" in str(status.get("error", ""))
        raise Unauthenticated(EXPIRED if expired else "The token is not valid.")

    async def pod(self, headers: Mapping[str, str]) -> Pod:
        """Identify the pod whose agent sent a request.

        Raises:
            Rejected: 4401, if the token is not a pod's token for this gateway.
        """
        try:
            token = bearer(headers)
        except Unauthenticated as error:
            raise Rejected(BAD_TOKEN, "no token") from error
        known = self._pods.get(_digest(token))
        if known is not None:
            return known
        status = await self._reviews.token_review(token, [POD_AUDIENCE])
        if not _vouched(status, [POD_AUDIENCE]):
            raise Rejected(BAD_TOKEN, "the token is not valid for the gateway")
        pod = _pod(status)
        self._pods.put(_digest(token), pod)
        return pod


def _vouched(status: Mapping[str, Any], audiences: Sequence[str]) -> bool:
    # Authenticators that ignore audiences return none; reject those answers.
    return status.get("authenticated") is True and (
        not audiences or bool(set(audiences) & set(status.get("audiences") or ()))
    )


def _user(status: Mapping[str, Any]) -> User:
    user = status.get("user") or {}
    return User(
        name=str(user.get("username", "")),
        uid=str(user.get("uid", "")),
        groups=tuple(user.get("groups") or ()),
        extra=tuple((key, tuple(values)) for key, values in (user.get("extra") or {}).items()),
    )


def _pod(status: Mapping[str, Any]) -> Pod:
    user = _user(status)
    extra = dict(user.extra)
    account = user.name.removeprefix(SERVICE_ACCOUNT).split(":")
    if not user.name.startswith(SERVICE_ACCOUNT) or len(account) != 2 or not extra.get(POD_UID):
        raise Rejected(BAD_TOKEN, "the token is not bound to a pod")
    return Pod(uid=extra[POD_UID][0], name=extra.get(POD_NAME, ("",))[0], namespace=account[0])
