"""The installation's signing key, and how long its signatures are valid.

One secret signs several things. For each purpose a key is derived from it, so a signature made for
one purpose is not valid for another.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path

MIN_KEY_BYTES = 16
LINK_SECONDS = 24 * 3600
"""How long a signed link is valid."""


class SigningKey:
    """Creates and verifies signatures for named purposes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_KEY_BYTES:
            raise ValueError(f"the signing key has fewer than {MIN_KEY_BYTES} bytes")
        self._secret = secret

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read the key file.

        Raises:
            OSError: it can't be read.
            ValueError: it is too short.
        """
        return cls(path.read_bytes())

    def sign(self, purpose: str, *parts: str) -> str:
        """The signature of some texts for a purpose: 64 hex digits."""
        key = self.derived(purpose)
        # A length before each part: ("ab", "c") and ("a", "bc") must differ.
        message = b"".join(b"%d:%s" % (len(each), each) for each in map(str.encode, parts))
        return hmac.new(key, message, hashlib.sha256).hexdigest()

    def derived(self, purpose: str) -> bytes:
        """A key of its own for a purpose: 32 bytes."""
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)

    def verify(self, signature: str, purpose: str, *parts: str) -> bool:
        """Whether a signature is ours, compared in constant time."""
        return hmac.compare_digest(
            signature.encode("utf-8", "replace"), self.sign(purpose, *parts).encode()
        )


EXPIRY_DIGITS = 11
"""Seconds since 1970 have no more digits before the year 5000."""


def expiry(now: datetime) -> int:
    """When a link made now expires, in seconds since 1970.

    Rounded up to the hour, so that a client that polls gets the same link for a while.
    """
    expires = int(now.timestamp()) + LINK_SECONDS
    return expires + -expires % 3600


def is_ahead(expires: str, now: datetime) -> bool:
    """Whether the expiry that a link names has not come yet."""
    if not expires.isdecimal() or len(expires) > EXPIRY_DIGITS:
        return False
    return now < datetime.fromtimestamp(int(expires), UTC)
