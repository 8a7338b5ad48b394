"""Codes of sign-in links: each opens a session of the web UI once.

A code stands in the fragment of its link, which browsers send to nobody. The token that it is for
waits in SQL, encrypted with a key that is made of the code and of the installation's signing key,
so neither the database nor a link alone gives it away. Its row is deleted by the first use, so a
code counts once with several gateways too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, LargeBinary, String, Table, delete, insert

from mayfly.clock import Clock
from mayfly.database.engine import Database, Instant, metadata
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http.errors import Unauthenticated

PURPOSE = "sign-in codes"
NONCE_BYTES = 12
VALID = timedelta(minutes=5)
INVALID = (
    "The sign-in link was used already, has expired, or is not of this gateway. It is valid once, "
    "for 5 minutes; `mayfly open` makes another one."
)

sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)
"""Codes that were not used yet, by their hash."""


@dataclass(frozen=True)
class Code:
    """A code as it is given out."""

    text: str
    expires_at: datetime


class SignInCodes:
    """Makes and redeems codes."""

    def __init__(
        self, *, database: Database, key: SigningKey, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._database = database
        self._key = key.derived(PURPOSE)
        self._clock = clock
        self._new_id = new_id

    async def make(self, token: str) -> Code:
        """A code for the owner of a token, which was verified."""
        code = Code(self._new_id(), (self._clock() + VALID).replace(microsecond=0))
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher(code.text).encrypt(nonce, token.encode(), None)
        row = {"digest": _digest(code.text), "sealed": sealed, "expires_at": code.expires_at}
        async with self._database.write() as tx:
            await tx.execute(insert(sign_in_codes).values(row))
        return code

    async def redeem(self, text: str) -> str:
        """The token of a code, which is used up now.

        Raises:
            Unauthenticated: it is not one of ours, has expired, or was used before.
        """
        mine = sign_in_codes.c.digest == _digest(text)
        columns = (sign_in_codes.c.sealed, sign_in_codes.c.expires_at)
        async with self._database.write() as tx:
            used = await tx.execute(delete(sign_in_codes).where(mine).returning(*columns))
            row = used.one_or_none()
        if row is None or self._clock() >= row.expires_at:
            raise Unauthenticated(INVALID)
        nonce, box = row.sealed[:NONCE_BYTES], row.sealed[NONCE_BYTES:]
        return self._cipher(text).decrypt(nonce, box, None).decode()

    async def forget_old(self) -> None:
        """Delete codes that have expired."""
        old = delete(sign_in_codes).where(sign_in_codes.c.expires_at <= self._clock())
        async with self._database.write(bulk=True) as tx:
            await tx.execute(old)

    def _cipher(self, code: str) -> AESGCM:
        return AESGCM(hmac.digest(self._key, code.encode("utf-8", "replace"), "sha256"))


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
