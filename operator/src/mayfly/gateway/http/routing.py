"""What the routes of the public API have in common: their base paths, and how a body is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from mayfly.gateway.http.errors import Invalid, TooLarge

BASES = ("/v1", "", "/ns/{namespace}/v1", "/ns/{namespace}")
"""Clients differ on whether /v1 is in their base URL."""

UNCACHED = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


Route = tuple[str, str, Callable[..., Any]]
"""Method, path behind the base, handler."""


def under_bases(routes: Iterable[Route]) -> APIRouter:
    """Routes under every base; the API's description shows them under the first."""
    router = APIRouter()
    every = list(routes)
    for base in BASES:
        for method, path, call in every:
            # OpenAPI 3.1 has no name for the method QUERY.
            shown = base == BASES[0] and method != "QUERY"
            router.add_api_route(
                base + path,
                call,
                methods=[method],
                include_in_schema=shown,
                summary=(call.__doc__ or "").partition("\n")[0].rstrip("."),
                description="",
            )
    return router


async def body_of(request: Request, limit: int) -> bytes:
    """A request's body, never more of it than the limit.

    Raises:
        TooLarge: it is longer.
        Invalid: the client left.
    """
    pieces = bytearray()
    try:
        async for piece in request.stream():
            pieces += piece
            if len(pieces) > limit:
                raise TooLarge(f"The request may have at most {limit} bytes.")
    except ClientDisconnect:
        raise Invalid("The client left before the request was whole.") from None
    return bytes(pieces)
