"""HTTP routes of files: upload, list, get, delete, download with a token or by signed link.

Downloads are sent with headers that keep browsers from executing them, and never as redirects,
because clients do not follow redirects.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from mayfly.clock import Clock
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.files.fields import METADATA_BYTES
from mayfly.gateway.files.links import link_holds
from mayfly.gateway.files.store import ID, Files, StoredFile
from mayfly.gateway.files.uploads import Uploads
from mayfly.gateway.http import pages, urls
from mayfly.gateway.http.errors import Forbidden, Missing
from mayfly.gateway.http.multipart import Form
from mayfly.gateway.http.routing import UNCACHED, under_bases
from mayfly_runtime.spec.disposition import attachment

FORM_BYTES = METADATA_BYTES + 16 * 1024
"""Maximum size of a form without its file: an announced length includes it."""


class FileRoutes:
    """HTTP routes of files."""

    def __init__(
        self, files: Files, uploads: Uploads, callers: Callers, key: SigningKey, clock: Clock
    ) -> None:
        self._files = files
        self._uploads = uploads
        self._callers = callers
        self._key = key
        self._clock = clock

    def router(self) -> APIRouter:
        """The routes."""
        router = under_bases(
            (
                ("POST", "/files", self.create),
                ("GET", "/files", self.list),
                ("GET", "/files/{file_id}", self.get),
                ("DELETE", "/files/{file_id}", self.delete),
                ("GET", "/files/{file_id}/download", self.download_own),
            )
        )
        router.include_router(self.links())
        return router

    def links(self) -> APIRouter:
        """The routes of signed links only: Models' servers follow them without TLS."""
        router = APIRouter()
        for base in ("/v1", ""):
            router.add_api_route(
                f"{base}/files/{{file_id}}/download/{{name}}",
                self.download,
                methods=["GET", "HEAD"],
                include_in_schema=False,
            )
        return router

    # -- with a token ----------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        """Upload a file: a form with the file `content`.

        It may have `filename`, `type`, and `metadata` as JSON or as `metadata[key]`.
        """
        caller = await self._callers.caller(request)
        length = request.headers.get("content-length", "")
        announced = int(length) - FORM_BYTES if length.isdecimal() else None
        upload = await self._uploads.take(caller, Form(request), announced)
        return JSONResponse(self._uploads.body(upload, urls.base_of(request)), 201, UNCACHED)

    async def list(self, request: Request, cursor: str | None = None) -> Response:
        """List uploads, newest first."""
        caller = await self._callers.caller(request)
        found = await self._uploads.page(caller, pages.position(cursor), pages.SIZE + 1)
        shown, following = pages.cut(found, lambda each: (each.stored.created_at, each.stored.id))
        base = urls.base_of(request)
        return pages.page(request, (self._uploads.body(each, base) for each in shown), following)

    async def get(self, request: Request, file_id: str) -> Response:
        """Get a file's metadata."""
        found = await self._uploads.find(await self._callers.caller(request), file_id)
        return JSONResponse(self._uploads.body(found, urls.base_of(request)), headers=UNCACHED)

    async def delete(self, request: Request, file_id: str) -> Response:
        """Delete an upload."""
        await self._uploads.delete(await self._callers.caller(request), file_id)
        return Response(status_code=204)

    async def download_own(self, request: Request, file_id: str) -> Response:
        """Download a file, with a token."""
        found = await self._uploads.find(await self._callers.caller(request), file_id)
        return await self._sent(found.stored)

    # -- by signed link --------------------------------------------------------------------------

    async def download(
        self, file_id: str, name: str, expires: str = "", signature: str = ""
    ) -> Response:
        """Download a file, by signed link."""
        if not ID.fullmatch(file_id) or not link_holds(
            self._key, file_id, name, expires, signature, self._clock()
        ):
            raise Forbidden("The link is not valid any more; read the prediction again.")
        stored = await self._files.find(file_id)
        if stored is None:
            raise Missing("There is no such file.")
        return await self._sent(stored)

    async def _sent(self, stored: StoredFile) -> Response:
        return StreamingResponse(
            await self._files.read(stored.id),
            media_type=stored.content_type,
            headers={
                "Content-Length": str(stored.size),
                "Content-Disposition": attachment(stored.name),
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "Cache-Control": "private, max-age=3600",
                "Access-Control-Allow-Origin": "*",
            },
        )
