"""HTTP routes of the account, and of Replicate features that Mayfly does not have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly.clock import rfc3339_seconds
from mayfly.gateway.access.authentication import bearer
from mayfly.gateway.access.browsers import SIGNED_IN, require_cookie_fits
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.access.sign_in import SignInCodes
from mayfly.gateway.access.whoami import Whoami
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Forbidden, Missing
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

    def __init__(self, callers: Callers, whoami: Whoami, codes: SignInCodes) -> None:
        self._callers = callers
        self._whoami = whoami
        self._codes = codes

    def router(self) -> APIRouter:
        """The routes."""
        return under_bases(
            (
                ("GET", "/account", self.account),
                ("GET", "/me", self.me),
                ("POST", "/sign-in-links", self.sign_in_link),
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

    async def me(self, request: Request) -> Response:
        """Who the caller is, and what it may do in which namespace."""
        return JSONResponse(await self._whoami.of(request), headers=UNCACHED)

    async def sign_in_link(self, request: Request) -> Response:
        """A link that signs its first user in to the web UI, within 5 minutes."""
        caller = await self._callers.caller(request)
        if caller.user is None:
            raise Forbidden("A run's token may not make sign-in links.")
        if SIGNED_IN in request.scope:
            # Else a page could carry a session out of its browser, which is to keep it.
            raise Forbidden("A sign-in link is made with a token: Authorization: Bearer <token>.")
        token = bearer(request.headers)
        require_cookie_fits(token)
        code = await self._codes.make(token)
        base = urls.host_of(urls.base_of(request))
        body = {
            "url": f"{base}/ui/sign-in#{code.text}",
            "expires_at": rfc3339_seconds(code.expires_at),
        }
        return JSONResponse(body, 201, UNCACHED)

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
