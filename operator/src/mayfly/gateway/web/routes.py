"""HTTP routes below /ui: the web UI's files, and the session of a browser."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from mayfly.clock import Clock
from mayfly.gateway.access.authentication import CREATE_TOKEN
from mayfly.gateway.access.browsers import PROXIED, of_browser, of_own_page, require_cookie_fits
from mayfly.gateway.access.sign_in import SignInCodes
from mayfly.gateway.access.whoami import Whoami
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing, Unauthenticated
from mayfly.gateway.http.routing import UNCACHED, body_of
from mayfly.gateway.web.pages import ASSETS, INDEX, Page, Pages
from mayfly.gateway.web.session import cookie, no_cookie, sign_in

BODY_BYTES = 64 * 1024

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Only our own files, and nothing inline: text that a run prints can't become code."""

GUARDED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FOR_EVER = "public, max-age=31536000, immutable"


class WebRoutes:
    """HTTP routes below /ui."""

    def __init__(self, pages: Pages, whoami: Whoami, codes: SignInCodes, clock: Clock) -> None:
        self._pages = pages
        self._whoami = whoami
        self._codes = codes
        self._clock = clock

    def router(self) -> APIRouter:
        """The routes; none is part of the public API."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/ui/session", self.now, methods=["GET"])
        router.add_api_route("/ui/session", self.begin, methods=["POST"])
        router.add_api_route("/ui/session", self.end, methods=["DELETE"])
        router.add_api_route("/ui", self.front, methods=["GET", "HEAD"])
        router.add_api_route("/ui/{path:path}", self.page, methods=["GET", "HEAD"])
        return router

    # -- files -----------------------------------------------------------------------------------

    async def front(self, request: Request) -> Response:
        """Lead to where the index's links hold."""
        return RedirectResponse(f"{urls.prefix_of(request)}/ui/", 308)

    async def page(self, request: Request, path: str) -> Response:
        """A file of the web UI; the index at every path that is none: it has pages of its own."""
        found = self._pages.find(path) if path != INDEX else None
        if found is not None:
            return _file(request, path, found)
        index = self._pages.index(urls.prefix_of(request))
        if index is None:
            raise Missing(
                f"The web UI is not installed here: there is no {INDEX} in {self._pages.folder}. "
                "The API and kubectl do without it."
            )
        if path.startswith(ASSETS):
            raise Missing("There is no such file; after an upgrade, load the page again.")
        headers = {**GUARDED, "Cache-Control": "no-store"}
        return Response(index, media_type="text/html", headers=headers)

    # -- session ---------------------------------------------------------------------------------

    async def now(self, request: Request) -> Response:
        """Who is signed in, as of /v1/me; null for nobody, which is no error of a page."""
        try:
            me = await self._whoami.of(request)
        except Unauthenticated:
            return JSONResponse(None, headers=UNCACHED)
        return JSONResponse(me, headers=UNCACHED)

    async def begin(self, request: Request) -> Response:
        """Sign in: {"token": …}, or {"code": …} of a link. The answer is as of /v1/me."""
        if of_browser(request) and not of_own_page(request):
            # Else another site could sign its visitor in as somebody else.
            raise Forbidden("Sign in on the web UI's own page.")
        if PROXIED in request.scope:
            raise Invalid("The proxy in front of the gateway has signed you in already.")
        kind, text = _credential(await body_of(request, BODY_BYTES))
        token = await self._codes.redeem(text) if kind == "code" else _pasted(text)
        require_cookie_fits(token)
        sign_in(request.scope, token)
        try:
            me = await self._whoami.of(Request(request.scope))
        except Unauthenticated as error:
            raise Unauthenticated(_with_command(error.detail)) from None
        headers = {**UNCACHED, "Set-Cookie": cookie(request, token, self._clock())}
        return JSONResponse(me, headers=headers)

    async def end(self, request: Request) -> Response:
        """Sign out: the browser forgets the token."""
        return Response(status_code=204, headers={**UNCACHED, "Set-Cookie": no_cookie(request)})


def _file(request: Request, path: str, page: Page) -> Response:
    encoding = page.best(request.headers.get("accept-encoding", ""))
    headers = {
        **GUARDED,
        "Cache-Control": FOR_EVER if path.startswith(ASSETS) else "no-cache",
        "ETag": page.etag if not encoding else f'{page.etag[:-1]}-{encoding}"',
        "Vary": "Accept-Encoding",
    }
    known = request.headers.get("if-none-match", "")
    if headers["ETag"] in {each.strip().removeprefix("W/") for each in known.split(",")}:
        return Response(status_code=304, headers=headers)
    if encoding:
        headers["Content-Encoding"] = encoding
    # As a header: Starlette would add a charset to the type of a text that has none.
    headers["Content-Type"] = page.content_type
    return Response(page.bodies[encoding], headers=headers)


def _credential(body: bytes) -> tuple[str, str]:
    """What somebody signs in with: `token` or `code`, and its text.

    Raises:
        Invalid: neither or both are given.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if isinstance(given, dict) and len(given) == 1:
        kind, text = next(iter(given.items()))
        if kind in {"token", "code"} and isinstance(text, str):
            return kind, text.strip()
    raise Invalid('Send {"token": "…"} or {"code": "…"}, as JSON.')


def _pasted(text: str) -> str:
    """A token as somebody has copied it, perhaps with the header's first word.

    Raises:
        Unauthenticated: it is none.
    """
    token = text.removeprefix("Bearer ").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Unauthenticated(_with_command("This is not a token."))
    return token


def _with_command(words: str) -> str:
    return words if CREATE_TOKEN in words else f"{words} Make one: {CREATE_TOKEN}"
