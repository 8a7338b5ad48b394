"""Who a caller is, and what it may do in which namespace.

RBAC answers one question at a time, and an installation may have thousands of namespaces: rights in
all namespaces are asked for first, and how many are asked about one by one is limited.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from mayfly import __version__
from mayfly.clock import rfc3339_seconds
from mayfly.gateway.access.authentication import SERVICE_ACCOUNT, bearer
from mayfly.gateway.access.browsers import SIGNED_IN
from mayfly.gateway.access.callers import Caller, Callers, own_namespace
from mayfly.gateway.http.errors import Unauthenticated
from mayfly.gateway.namespaces.budgets import Budgets, Standing
from mayfly.gateway.namespaces.watch import Namespaces
from mayfly.metering.pricing import decimal_text

Json = dict[str, Any]
Rights = dict[str, bool]

ASKED = {
    "read": ("list", "pipelineruns"),
    "run": ("create", "pipelineruns"),
    "cancel": ("patch", "pipelineruns"),
    "publish": ("create", "pipelines"),
    "models": ("create", "models"),
    "correct": ("update", "pipelineruns/status"),
}
"""What is told of a namespace, and what of RBAC it needs."""

OF_A_RUN = {"read", "run", "cancel"}
"""What a run may do in its namespace: it reads and cancels what belongs to its own tree."""

NAMESPACES = 200
"""Namespaces that are looked at."""

REVIEWS = 300
"""Rights asked about, beside that to read in each namespace and those in all namespaces."""

AT_ONCE = 10
SYNC_SECONDS = 5.0
"""How long is waited for a gateway that has just started to know the namespaces."""


class Whoami:
    """Tells callers who they are."""

    def __init__(
        self, callers: Callers, namespaces: Namespaces, budgets: Budgets, currency: str
    ) -> None:
        self._callers = callers
        self._namespaces = namespaces
        self._budgets = budgets
        self._currency = currency

    async def of(self, request: Request) -> Json:
        """The sender of a request, as JSON.

        Raises:
            Unauthenticated: no valid token.
            Forbidden: a run that acts for another namespace.
        """
        caller = await self._callers.caller(request)
        user = caller.user
        rights, everywhere, warnings = await self._rights(caller)
        readable = [name for name, each in rights.items() if each["read"]]
        budgets = await self._budgets.standings(readable)
        warnings += filter(None, map(self._budgets.warning, readable))
        return {
            "name": user.name if user else caller.run.key[1] if caller.run else "",
            "kind": _kind(caller),
            "groups": list(user.groups) if user else [],
            "namespace": caller.namespace,
            "namespaces": [
                {"name": name, "rights": each, "budget": _budget(budgets.get(name))}
                for name, each in rights.items()
            ],
            "all_namespaces": everywhere,
            "home": readable[0] if readable else None,
            "expires_at": _expiry(request),
            "signed_in": request.scope.get(SIGNED_IN, "token"),
            "version": __version__,
            "currency": self._currency,
            "warnings": warnings,
        }

    async def _rights(self, caller: Caller) -> tuple[dict[str, Rights], bool, list[str]]:
        """Rights by namespace, whether all namespaces can be read, and warnings."""
        if caller.user is None:
            own = {name: name in OF_A_RUN for name in ASKED}
            return ({caller.namespace: own} if caller.namespace else {}), False, []
        found, unseen = await self._look(caller)
        everywhere = found.pop("")
        rights = {name: each for name, each in found.items() if any(each.values())}
        for name in _own(caller):
            rights.setdefault(name, found[name])
        ordered = {name: rights[name] for name in found if name in rights}
        return ordered, everywhere["read"], [_UNSEEN.format(unseen)] if unseen else []

    async def _look(self, caller: Caller) -> tuple[dict[str, Rights], int]:
        """Rights by namespace, those in all namespaces as ""; how many were not looked at."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(namespace: str, name: str) -> bool:
            async with limit:
                return await self._callers.may(caller, *ASKED[name], namespace)

        answers = await asyncio.gather(*(ask("", name) for name in ASKED))
        everywhere = dict(zip(ASKED, answers, strict=True))
        rest = [name for name in ASKED if not everywhere[name] and name != "read"]
        names = await self._names(caller)
        looked = names[:NAMESPACES]
        if everywhere["read"]:
            readable = looked
        else:
            reads = await asyncio.gather(*(ask(each, "read") for each in looked))
            readable = [each for each, may in zip(looked, reads, strict=True) if may]
        own = _own(caller)
        # Elsewhere, who can't read has nothing to look at; at home that is worth saying.
        shown = [*own, *(each for each in readable if each not in own)]
        shown = shown[: REVIEWS // max(1, len(rest))]
        asked = [(namespace, name) for namespace in shown for name in rest]
        answers = await asyncio.gather(*(ask(*each) for each in asked))
        may = dict(zip(asked, answers, strict=True))
        found: dict[str, Rights] = {"": everywhere}
        for each in shown:
            rights = {name: everywhere[name] or may.get((each, name), False) for name in ASKED}
            found[each] = {**rights, "read": each in readable}
        left_off = len(names) - len(looked) + len([each for each in readable if each not in shown])
        return found, left_off

    async def _names(self, caller: Caller) -> Sequence[str]:
        """The caller's own namespaces, then all others, those of Kubernetes itself last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SYNC_SECONDS):
                await self._namespaces.synced.wait()
        others = sorted(self._namespaces.names, key=lambda name: name.startswith("kube-"))
        return list(dict.fromkeys([*_own(caller), *others]))


_UNSEEN = (
    "{} more namespaces were not looked at. If yours is missing, name it: end the base URL with "
    "/ns/<namespace>."
)


def _own(caller: Caller) -> list[str]:
    """The namespaces that the caller's request and its account name."""
    account = own_namespace(caller.user) if caller.user else None
    return list(dict.fromkeys(name for name in (caller.namespace, account) if name))


def _kind(caller: Caller) -> str:
    if caller.user is None:
        return "run"
    return "service_account" if caller.user.name.startswith(SERVICE_ACCOUNT) else "user"


def _budget(standing: Standing | None) -> Json | None:
    if standing is None:
        return None
    return {
        "amount": decimal_text(standing.amount),
        "spent": decimal_text(standing.spent),
        "left": decimal_text(standing.left),
    }


def _expiry(request: Request) -> str | None:
    """When the token expires, as it says itself: the API server has verified it."""
    try:
        seconds = seconds_of(bearer(request.headers))
    except Unauthenticated:
        return None
    return None if seconds is None else rfc3339_seconds(datetime.fromtimestamp(seconds, UTC))


def seconds_of(token: str) -> int | None:
    """The expiry in a JSON Web Token, in seconds since 1970; None if it has none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        text = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims: object = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        return None
    expires = claims.get("exp") if isinstance(claims, Mapping) else None
    is_time = isinstance(expires, (int, float)) and 0 < expires < _LAST
    return int(expires) if is_time and expires is not None else None


_LAST = 253_402_300_800
"""The year 10000, in seconds since 1970."""
