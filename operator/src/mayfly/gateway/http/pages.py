"""Lists in pages: `{previous, next, results}`, as Replicate's clients follow them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from mayfly.gateway.http.errors import Invalid
from mayfly.gateway.http.rawjson import RawJSON, dumps

SIZE = 100
"""Entries of a page."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor(moment: datetime, identity: str) -> str:
    """Encodes a cursor: the next page begins behind the entry of this moment and id."""
    text = json.dumps([(moment - _EPOCH) // timedelta(microseconds=1), identity])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position(text: str | None) -> tuple[datetime, str] | None:
    """Decodes a cursor.

    Raises:
        Invalid: it is none of ours.
    """
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        micros, identity = json.loads(raw)
        return _EPOCH + timedelta(microseconds=int(micros)), str(identity)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise Invalid("The cursor is not valid; start without one.") from None


def page(request: Request, base: str, results: list[RawJSON], following: str | None) -> str:
    """One page as JSON text.

    Args:
        request: the list's request; its other parameters stay in the link to the next page.
        base: the reader's base URL.
        results: the entries.
        following: the cursor of the next page; None on the last one.
    """
    link = None
    if following is not None:
        kept = [(name, text) for name, text in request.query_params.items() if name != "cursor"]
        path = request.url.path
        namespace = request.path_params.get("namespace")
        if namespace:
            path = path.removeprefix(f"/ns/{namespace}")
        link = f"{base}{path}?{urlencode([*kept, ('cursor', following)])}"
    joined = RawJSON("[" + ",".join(each.text for each in results) + "]")
    return dumps({"previous": None, "next": link, "results": joined})


def after(
    entries: Sequence[T], place: Callable[[T], tuple[datetime, str]], text: str | None
) -> tuple[Sequence[T], str | None]:
    """A page of entries that are all known, newest first, and the cursor of the next page.

    Args:
        entries: all of them.
        place: the moment and the id of one: their order, falling.
        text: the cursor of this page.

    Raises:
        Invalid: the cursor is none of ours.
    """
    start = position(text)
    left = [each for each in entries if start is None or place(each) < start]
    shown = left[:SIZE]
    return shown, cursor(*place(shown[-1])) if len(left) > len(shown) else None


def moment_of(text: str | None, name: str) -> datetime | None:
    """A moment of a query parameter, ISO 8601.

    Raises:
        Invalid: it is none.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{name} must be an ISO 8601 time, such as 2030-01-01T00:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
