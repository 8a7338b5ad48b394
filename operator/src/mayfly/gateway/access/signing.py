"""The installation's signing key, and the signatures of file links.

One secret signs several things; each has its own key derived from it, so that a signature made
for one purpose is worth nothing for another.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

MIN_KEY_BYTES = 16
LINK_SECONDS = 24 * 3600
"""How long a rendered file link works."""


class SigningKey:
    """Makes and checks signatures for named purposes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_KEY_BYTES:
            raise ValueError(f"the signing key has fewer than {MIN_KEY_BYTES} bytes")
        self._secret = secret

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read the key file.

        Raises:
            OSError: it can't be read.
            ValueError: it is too short to be a key.
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


def file_link(key: SigningKey, base: str, file_id: str, name: str, now: datetime) -> str:
    """A URL that downloads a file without a token for 24 hours.

    Args:
        key: the installation's key.
        base: the reader's base URL, without a slash at its end.
        file_id: the file's 26 characters.
        name: the file's safe name, the last part of the URL's path.
        now: when the link is made. The expiry is rounded up to the hour, so that a client that
            polls gets the same link for a while.
    """
    expires = _expiry(now)
    query = urlencode(
        {"expires": expires, "signature": key.sign("file", file_id, name, str(expires))}
    )
    return f"{base}/v1/files/{file_id}/download/{quote(name, safe='')}?{query}"


def stream_link(key: SigningKey, base: str, identity: str, now: datetime, *, files: bool) -> str:
    """A URL that reads a prediction's events without a token for 24 hours.

    Args:
        key: the installation's key.
        base: the reader's base URL, without a slash at its end.
        identity: the prediction's 26 characters.
        now: when the link is made.
        files: whether its output is files: JavaScript's client takes an output for one where the
            stream's path begins so.
    """
    expires = _expiry(now)
    query = urlencode({"expires": expires, "signature": key.sign("stream", identity, str(expires))})
    return f"{base}/v1/{'files/' if files else ''}streams/{identity}?{query}"


def stream_holds(
    key: SigningKey, identity: str, expires: str, signature: str, now: datetime
) -> bool:
    """Whether a link to a stream is one of ours and not too old."""
    return key.verify(signature, "stream", identity, expires) and _is_ahead(expires, now)


def webhook_secret(key: SigningKey, namespace: str) -> bytes:
    """What signs the webhooks of a namespace."""
    return bytes.fromhex(key.sign("webhook", namespace))


def _expiry(now: datetime) -> int:
    expires = int(now.timestamp()) + LINK_SECONDS
    return expires + -expires % 3600


def _is_ahead(expires: str, now: datetime) -> bool:
    return expires.isdecimal() and now < datetime.fromtimestamp(int(expires), UTC)


def link_holds(
    key: SigningKey, file_id: str, name: str, expires: str, signature: str, now: datetime
) -> bool:
    """Whether a link is one of ours and not too old."""
    return key.verify(signature, "file", file_id, name, expires) and _is_ahead(expires, now)
