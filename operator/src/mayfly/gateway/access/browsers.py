"""What is different about a request of a browser: credentials that it adds by itself.

A page of another site can make a browser send requests here. Its credentials then come along: the
session's cookie, or those of a proxy that signs people in. So a request that changes something
counts only if one of our own pages has made it. A token in the header is never added by a browser.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Forbidden, Invalid

SIGNED_IN = "mayfly.signed_in"
"""The key of an ASGI scope that says how its sender signed in: `cookie`, `proxy`; else `token`."""

PROXIED = "mayfly.proxied"
"""The key of an ASGI scope that holds the `User` whom the proxy has named."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

AGENTS = "/agent/"
"""Below it pods' agents call, who have tokens of their own: no browser signs in there."""


COOKIE_CHARACTERS = 3800
"""Browsers keep at most 4096 bytes of a cookie, with its name and its attributes."""

_COOKIE = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""What a cookie may hold as it is."""


def fits_cookie(token: str) -> bool:
    """Whether a token consists of characters that a cookie can hold."""
    return _COOKIE.fullmatch(token) is not None


def require_cookie_fits(token: str) -> None:
    """Require that a browser can keep a token.

    Raises:
        Invalid: it is too long, or has characters that no cookie holds.
    """
    if len(token) > COOKIE_CHARACTERS:
        raise Invalid(
            f"The token has {len(token)} characters, and browsers keep at most "
            f"{COOKIE_CHARACTERS} of one. Use the token of a ServiceAccount."
        )
    if not fits_cookie(token):
        raise Invalid("The token has characters that a browser can't keep.")


def of_browser(request: Request) -> bool:
    """Whether a browser has sent this: they all name the origin of what changes something."""
    return "sec-fetch-site" in request.headers or "origin" in request.headers


def of_own_page(request: Request) -> bool:
    """Whether a page of this very origin has sent this, as the browser says."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == urls.origin_of(request)


def refusal_of_others(request: Request) -> Forbidden | None:
    """Why a request with the browser's own credentials does not count; None if it does."""
    if request.method in SAFE or of_own_page(request):
        return None
    return Forbidden(
        "A browser's session changes something only from the web UI's own pages at "
        f"{urls.origin_of(request)}. Programs send a token: Authorization: Bearer <token>."
    )
