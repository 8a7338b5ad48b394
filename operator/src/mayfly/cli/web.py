"""`mayfly open`: a link that signs in to the web UI."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from typing import Annotated

import typer

from mayfly.cli.api import Api, Failure

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""What a desktop sets; without one, `webbrowser` would start a browser in this very terminal."""


def open_ui(
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the link, and open no browser.")
    ] = False,
) -> None:
    """Print a link that signs in to the web UI, once and within 5 minutes, and open it.

    A browser is opened where there is a terminal and a display.
    """
    made = Api.of_environment().post("/v1/sign-in-links")
    try:
        url, expires = str(made["url"]), str(made["expires_at"])
    except (KeyError, TypeError):
        raise Failure("The gateway does not answer like Mayfly.") from None
    print(url, flush=True)
    print(f"Valid once, until {expires}. Whoever opens it acts as you.", file=sys.stderr)
    if not only_print and sys.stdout.isatty() and has_display(os.environ, sys.platform):
        webbrowser.open(url)


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser has a screen here."""
    return platform in {"darwin", "win32"} or any(environment.get(each) for each in DISPLAYS)
