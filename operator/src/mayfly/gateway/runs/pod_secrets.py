"""Authenticates agents: each pod UID has one session secret for good, or is retired.

PID 1 generates the secret when the pod starts, and never discloses it, whereas user code can read
the pod's projected token. So the first connection with a pod's token fixes the secret's hash, and
anyone who comes later with another secret is not the agent. The hash is stored in SQL, so that user
code can't pass for the agent after a restart of the gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import Boolean, Column, String, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mayfly.database.engine import Instant, insert_once, metadata
from mayfly.gateway.http.errors import OTHER_SESSION, RETIRED, Rejected

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")

pods = Table(
    "pods",
    metadata,
    Column("pod_uid", String(64), primary_key=True),
    Column("session_hash", String(64)),
    Column("retired", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False),
)


class Trace(Enum):
    """What SQL knows of a pod."""

    NONE = auto()
    SEEN = auto()
    RETIRED = auto()


def secret_hash(secret: str) -> str:
    """The hash of a session secret.

    Raises:
        Rejected: the text is not a valid secret.
    """
    if not SECRET.fullmatch(secret):
        raise Rejected(OTHER_SESSION, "the session secret is malformed")
    return hashlib.sha256(secret.encode()).hexdigest()


async def admit(tx: AsyncConnection, pod_uid: str, session_hash: str, at: datetime) -> None:
    """Admit a session, or raise. The pod's first session fixes its secret.

    Raises:
        Rejected: 4409 for a retired pod, 4403 for another secret.
    """
    await insert_once(
        tx,
        pods,
        {"pod_uid": pod_uid, "session_hash": session_hash, "retired": False, "seen_at": at},
    )
    await check(tx, pod_uid, session_hash)


async def check(tx: AsyncConnection, pod_uid: str, session_hash: str) -> None:
    """Check that a request comes from the pod's agent.

    Raises:
        Rejected: 4409 for an unknown or retired pod, 4403 for another secret.
    """
    found = await tx.execute(
        select(pods.c.session_hash, pods.c.retired).where(pods.c.pod_uid == pod_uid)
    )
    row = found.one_or_none()
    if row is None or row.retired or row.session_hash is None:
        raise Rejected(RETIRED, "nothing is left to do for this pod")
    if not hmac.compare_digest(row.session_hash, session_hash):
        raise Rejected(OTHER_SESSION, "another session holds this pod")


async def trace(tx: AsyncConnection, pod_uid: str) -> Trace:
    """What is known of a pod."""
    found = await tx.execute(select(pods.c.retired).where(pods.c.pod_uid == pod_uid))
    retired = found.scalar_one_or_none()
    if retired is None:
        return Trace.NONE
    return Trace.RETIRED if retired else Trace.SEEN


async def retire(tx: AsyncConnection, pod_uid: str, at: datetime) -> None:
    """Never admit this pod again."""
    await insert_once(
        tx, pods, {"pod_uid": pod_uid, "session_hash": None, "retired": True, "seen_at": at}
    )
    await tx.execute(update(pods).where(pods.c.pod_uid == pod_uid).values(retired=True))


async def block_unless_connected(tx: AsyncConnection, pod_uid: str, at: datetime) -> bool:
    """Retire a pod that has never connected. A pod that has, or connects first, is not changed.

    Returns:
        Whether the pod is retired now.
    """
    await insert_once(
        tx, pods, {"pod_uid": pod_uid, "session_hash": None, "retired": True, "seen_at": at}
    )
    return await trace(tx, pod_uid) is Trace.RETIRED
