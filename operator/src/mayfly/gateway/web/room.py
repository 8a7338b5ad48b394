"""Builds the web room."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter

from mayfly.gateway.access.room import AccessControl
from mayfly.gateway.process import Process
from mayfly.gateway.web.pages import Pages
from mayfly.gateway.web.routes import WebRoutes

FOLDER = "MAYFLY_WEB"
"""The environment variable that names the folder of the built web UI."""

INSTALLED = Path(sys.prefix) / "share" / "mayfly" / "web"
"""Where the image has it."""


@dataclass(frozen=True)
class Web:
    """What the room offers: the web UI over HTTP."""

    pages: Pages
    routers: Sequence[APIRouter]


def build(process: Process, access: AccessControl) -> Web:
    """Build the room from the rooms below it."""
    pages = Pages(Path(os.environ.get(FOLDER) or INSTALLED))
    routes = WebRoutes(pages, access.whoami, access.codes, process.clock)
    return Web(pages, [routes.router()])
