"""Pagination: `{previous, next, results}`, as Replicate's clients follow it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from mayfly.clock import parse_rfc3339
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Invalid
from mayfly.gateway.http.rawjson import array, dumps
from mayfly.gateway.http.routing import json_text

SIZE = 100
"""Entries per page."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor(moment: datetime, identity: str) -> str:
    """Encode a cursor: the next page begins after the entry with this time and id."""
    text = json.dumps([(moment - _EPOCH) // timedelta(microseconds=1), identity])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position(text: str | None) -> tuple[datetime, str] | None:
    """Decode a cursor.

    Raises:
        Invalid: it is not valid.
    """
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        micros, identity = json.loads(raw)
        # A cursor that nobody was given may hold what a database does not take as text.
        place = str(identity).replace("\0", "").encode("ascii").decode()
        return _EPOCH + timedelta(microseconds=int(micros)), place
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise Invalid("The cursor is not valid; start without one.") from None


def page(request: Request, results: Iterable[Any], following: str | None) -> Response:
    """The answer with one page.

    Args:
        request: of the list; its other parameters are kept in the link to the next page.
        results: the entries: JSON values, or `RawJSON`.
        following: the cursor of the next page; None on the last one.
    """
    link = None
    if following is not None:
        kept = [(name, text) for name, text in request.query_params.items() if name != "cursor"]
        path = request.url.path
        namespace = urls.namespace_of(request)
        if namespace:
            path = path.removeprefix(f"/ns/{namespace}")
        link = f"{urls.base_of(request)}{path}?{urlencode([*kept, ('cursor', following)])}"
    return json_text(dumps({"previous": None, "next": link, "results": array(results)}))


def cut(
    found: Sequence[T], place: Callable[[T], tuple[datetime, str]]
) -> tuple[Sequence[T], str | None]:
    """The entries of a page, and the cursor of the next page.

    Args:
        found: the entries from the page's first one on; more than `SIZE` if there is a next page.
        place: time and id of an entry, by which they are sorted.
    """
    shown = found[:SIZE]
    return shown, cursor(*place(shown[-1])) if len(found) > len(shown) else None


def after(
    entries: Sequence[T], place: Callable[[T], tuple[datetime, str]], text: str | None
) -> tuple[Sequence[T], str | None]:
    """A page of a complete list of entries, newest first, and the cursor of the next page.

    Args:
        entries: all of them.
        place: time and id of an entry, by which they are sorted, descending.
        text: the cursor of this page.

    Raises:
        Invalid: the cursor is not valid.
    """
    start = position(text)
    left = [each for each in entries if start is None or place(each) < start]
    return cut(left, place)


def moment_of(text: str | None, name: str) -> datetime | None:
    """The time in a query parameter, ISO 8601; in UTC.

    Raises:
        Invalid: it is not such a time.
    """
    if not text:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise Invalid(
            f"{name} must be an ISO 8601 time of the years 1 to 9999, such as 2030-01-01T00:00:00Z."
        ) from None
