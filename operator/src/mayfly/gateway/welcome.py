"""`GET /`: what this is, for somebody who asks with curl; a browser is led to the web UI."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly import __version__
from mayfly.gateway.access.authentication import CREATE_TOKEN
from mayfly.gateway.http import urls

HOW_TO_BEGIN = (
    "Any token that the cluster accepts, as `Authorization: Bearer TOKEN`. For example: "
    f"{CREATE_TOKEN}, of an account that is bound to the role `edit` there."
)


def router(has_pages: Callable[[], bool]) -> APIRouter:
    """The routes, with and without the /v1 of a client's base URL; they need no token.

    Args:
        has_pages: whether the web UI is installed.
    """

    async def front(request: Request) -> Response:
        """For a browser the web UI, for all others the welcome."""
        if "text/html" in request.headers.get("accept", "") and has_pages():
            there = f"{urls.prefix_of(request)}/ui/"
            return Response(status_code=303, headers={"Location": there, "Vary": "Accept"})
        answer = await welcome(request)
        answer.headers["Vary"] = "Accept"
        return answer

    found = APIRouter(include_in_schema=False)
    found.add_api_route("/", front, methods=["GET", "HEAD"])
    for path in ("/v1", "/v1/"):
        found.add_api_route(path, welcome, methods=["GET", "HEAD"])
    return found


async def welcome(request: Request) -> Response:
    """Name, version, where the API is described, how to get a token."""
    base = urls.base_of(request)
    return JSONResponse(
        {
            "name": "Mayfly",
            "version": __version__,
            "about": "Runs Python pipelines on Kubernetes, behind an API like Replicate's.",
            "api": f"{base}/v1",
            "openapi": f"{base}/openapi.json",
            "documentation": "docs/api.md of the source that this was installed from",
            "token": HOW_TO_BEGIN,
        },
        headers={"X-Content-Type-Options": "nosniff"},
    )
