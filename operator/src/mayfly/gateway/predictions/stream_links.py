"""Signed links to a prediction's event stream: a browser's EventSource can't send a token."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from mayfly.gateway.access.signing import SigningKey, expiry, is_ahead


def stream_link(key: SigningKey, base: str, identity: str, now: datetime, *, files: bool) -> str:
    """A URL to read a prediction's events without a token for 24 hours.

    Args:
        key: the installation's key.
        base: the reader's base URL, without a trailing slash.
        identity: the prediction's 26 characters.
        now: when the link is made.
        files: whether its output is files: JavaScript's client recognises a file output by the
            beginning of the stream's path.
    """
    expires = expiry(now)
    query = urlencode({"expires": expires, "signature": key.sign("stream", identity, str(expires))})
    return f"{base}/v1/{'files/' if files else ''}streams/{identity}?{query}"


def stream_holds(
    key: SigningKey, identity: str, expires: str, signature: str, now: datetime
) -> bool:
    """Whether a link to a stream has a valid signature and has not expired."""
    return key.verify(signature, "stream", identity, expires) and is_ahead(expires, now)
