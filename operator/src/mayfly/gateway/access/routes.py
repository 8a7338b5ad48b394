"""HTTP routes of the account, and of Replicate features that Mayfly does not have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly.gateway.access.callers import Callers
from mayfly.gateway.http.errors import Missing
from mayfly.gateway.http.routing import UNCACHED, under_bases

_VERSION = "/models/{owner}/{name}/versions/{version}"
_DEPLOYMENT = "/deployments/{owner}/{name}"
_NO_DEPLOYMENT = 'There is no deployment "{owner}/{name}"; call the model by its name.'

NEVER_ANY = ("/collections", "/trainings", "/deployments")
"""Lists that are always empty."""

NOT_HERE = (
    ("GET", "/collections/{slug}", 'There is no collection "{slug}".'),
    ("GET", "/trainings/{identity}", 'There is no training "{identity}".'),
    ("POST", "/trainings/{identity}/cancel", 'There is no training "{identity}".'),
    (
        "POST",
        f"{_VERSION}/trainings",
        '"{owner}/{name}:{version}" can\'t be trained: there are no trainings here.',
    ),
    (
        "POST",
        "/deployments",
        "There are no deployments here: create a Pipeline or a Model, and call it.",
    ),
    ("GET", _DEPLOYMENT, _NO_DEPLOYMENT),
    ("PATCH", _DEPLOYMENT, _NO_DEPLOYMENT),
    ("DELETE", _DEPLOYMENT, _NO_DEPLOYMENT),
    ("POST", f"{_DEPLOYMENT}/predictions", _NO_DEPLOYMENT),
)
"""Method, path and message of 404s: paths that Replicate's clients may request."""


class AccountRoutes:
    """HTTP routes of the account and of what does not exist here."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def router(self) -> APIRouter:
        """The routes."""
        return under_bases(
            (
                ("GET", "/account", self.account),
                *(("GET", path, self.none) for path in NEVER_ANY),
                *((method, path, self._missing(words)) for method, path, words in NOT_HERE),
            )
        )

    async def account(self, request: Request) -> Response:
        """The caller; `username` is the namespace, which owns what the caller creates."""
        caller = await self._callers.caller(request)
        name = caller.user.name if caller.user else caller.run.key[1] if caller.run else ""
        body = {
            "type": "user",
            "username": caller.namespace or name,
            "name": name,
            "github_url": None,
            "avatar_url": None,
        }
        return JSONResponse(body, headers=UNCACHED)

    async def none(self, request: Request) -> Response:
        """An empty list."""
        await self._callers.caller(request)
        return JSONResponse({"previous": None, "next": None, "results": []}, headers=UNCACHED)

    def _missing(self, words: str) -> Callable[[Request], Awaitable[Response]]:
        async def missing(request: Request) -> Response:
            await self._callers.caller(request)
            named = {name: str(text)[:64] for name, text in request.path_params.items()}
            raise Missing(words.format(**named))

        missing.__doc__ = words
        return missing
