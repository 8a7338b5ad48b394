"""Downloads by signed link: no token, no redirect, and nothing that a browser would run."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from mayfly.clock import Clock
from mayfly.gateway.errors import Forbidden, Missing
from mayfly.gateway.files import ID, Files
from mayfly.gateway.signing import SigningKey, link_holds


class FileRoutes:
    """The routes and what they need."""

    def __init__(self, files: Files, key: SigningKey, clock: Clock) -> None:
        self._files = files
        self._key = key
        self._clock = clock

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        for base in ("/v1", ""):
            router.add_api_route(
                f"{base}/files/{{file_id}}/download/{{name}}",
                self.download,
                methods=["GET", "HEAD"],
                include_in_schema=False,
            )
        return router

    async def download(
        self, file_id: str, name: str, expires: str = "", signature: str = ""
    ) -> Response:
        """The bytes of a file, to whoever has the link."""
        if not ID.fullmatch(file_id) or not link_holds(
            self._key, file_id, name, expires, signature, self._clock()
        ):
            raise Forbidden("The link is not valid any more; read the prediction again.")
        stored = await self._files.find(file_id)
        if stored is None:
            raise Missing("There is no such file.")
        return StreamingResponse(
            await self._files.read(file_id),
            media_type=stored.content_type,
            headers={
                "Content-Length": str(stored.size),
                "Content-Disposition": _attachment(stored.name),
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "Cache-Control": "private, max-age=3600",
                "Access-Control-Allow-Origin": "*",
            },
        )


def _attachment(name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
