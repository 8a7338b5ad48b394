"""Codes of sign-in links: a token, sealed, that opens a session of the web UI once.

The token is nowhere but in the code itself, encrypted with a key derived from the installation's
signing key; the code stands in the fragment of the link, which browsers send to nobody. That it was
used is a row in SQL, so it counts once with several gateways too.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, String, Table, delete

from mayfly.clock import Clock
from mayfly.database.engine import Database, Instant, insert_once, metadata
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http.errors import Unauthenticated

PURPOSE = "sign-in codes"
NONCE_BYTES = 12
VALID = timedelta(minutes=5)
MAX_CODE = 32 * 1024

used_sign_in_codes = Table(
    "used_sign_in_codes",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("expires_at", Instant, nullable=False, index=True),
)
"""Until the code would have expired anyway."""


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
        self._cipher = AESGCM(key.derived(PURPOSE))
        self._clock = clock
        self._new_id = new_id

    def make(self, token: str) -> Code:
        """A code for the owner of a token, which was verified."""
        expires = (self._clock() + VALID).replace(microsecond=0)
        content = {"id": self._new_id(), "expires": int(expires.timestamp()), "token": token}
        nonce = secrets.token_bytes(NONCE_BYTES)
        box = nonce + self._cipher.encrypt(nonce, json.dumps(content).encode(), None)
        return Code(base64.urlsafe_b64encode(box).decode().rstrip("="), expires)

    async def redeem(self, text: str) -> str:
        """The token of a code, which is used up now.

        Raises:
            Unauthenticated: it is not one of ours, has expired, or was used before.
        """
        identity, expires, token = self._opened(text)
        now = self._clock()
        if now >= expires:
            minutes = int(VALID.total_seconds()) // 60
            raise Unauthenticated(
                f"The sign-in link has expired; it is valid for {minutes} minutes."
            )
        row = {"id": identity, "expires_at": expires}
        async with self._database.write() as tx:
            is_first = await insert_once(tx, used_sign_in_codes, row)
        if not is_first:
            raise Unauthenticated("The sign-in link was used already; it is valid once.")
        return token

    async def forget_old(self) -> None:
        """Delete the rows of codes that have expired."""
        old = delete(used_sign_in_codes).where(used_sign_in_codes.c.expires_at <= self._clock())
        async with self._database.write(bulk=True) as tx:
            await tx.execute(old)

    def _opened(self, text: str) -> tuple[str, datetime, str]:
        # Cut: a longer one is none of ours, and is not decrypted at its full length.
        padded = text[:MAX_CODE] + "=" * (-len(text[:MAX_CODE]) % 4)
        try:
            box = base64.b64decode(padded, b"-_", validate=True)
            content = json.loads(self._cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], None))
        except (InvalidTag, binascii.Error, ValueError):
            raise Unauthenticated("The sign-in link is not one of this gateway's.") from None
        expires = datetime.fromtimestamp(content["expires"], UTC)
        return str(content["id"]), expires, str(content["token"])
