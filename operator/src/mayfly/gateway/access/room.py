"""Builds the access room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from mayfly.gateway.access.authentication import Authenticator
from mayfly.gateway.access.authorization import Access
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.access.reviews import Reviews
from mayfly.gateway.access.routes import AccountRoutes
from mayfly.gateway.access.sign_in import SignInCodes
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.access.whoami import Whoami
from mayfly.gateway.cache.room import Caches
from mayfly.gateway.metrics.room import Telemetry
from mayfly.gateway.namespaces.room import NamespaceSettings
from mayfly.gateway.process import Process


@dataclass(frozen=True)
class AccessControl:
    """What the room offers: callers and their rights."""

    key: SigningKey
    authenticator: Authenticator
    callers: Callers
    whoami: Whoami
    codes: SignInCodes
    routers: Sequence[APIRouter]


def build(
    process: Process,
    key: SigningKey,
    caches: Caches,
    telemetry: Telemetry,
    namespaces: NamespaceSettings,
) -> AccessControl:
    """Build the room from the rooms below it."""
    reviews = Reviews(process.cluster, telemetry.counters)
    authenticator = Authenticator(reviews, key, process.monotonic)
    access = Access(reviews, process.monotonic)
    callers = Callers(authenticator, access, caches.runs, caches.directory)
    whoami = Whoami(callers, namespaces.watch, namespaces.budgets, process.config.currency)
    codes = SignInCodes(
        database=process.database, key=key, clock=process.clock, new_id=process.new_id
    )
    routes = AccountRoutes(callers, whoami, codes)
    return AccessControl(key, authenticator, callers, whoami, codes, [routes.router()])
