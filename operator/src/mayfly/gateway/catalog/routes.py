"""HTTP routes of models (Pipelines and Models): list, search, create, change, delete, versions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from mayfly.clock import parse_rfc3339
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.directory import Entry
from mayfly.gateway.cache.programs import Programs
from mayfly.gateway.catalog import publishing, source_archive
from mayfly.gateway.catalog.presenter import ModelPresenter
from mayfly.gateway.catalog.publishing import DRAFT_BYTES, Draft, Publishing
from mayfly.gateway.catalog.source_archive import ARCHIVE_BYTES
from mayfly.gateway.http import pages, urls
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing
from mayfly.gateway.http.multipart import Form
from mayfly.gateway.http.routing import UNCACHED, body_of, under_bases

WORDS_BYTES = 4096


class ModelRoutes:
    """HTTP routes of models and their versions, hardware and runtimes."""

    def __init__(
        self,
        *,
        presenter: ModelPresenter,
        publishing: Publishing,
        callers: Callers,
        programs: Programs,
    ) -> None:
        self._presenter = presenter
        self._publishing = publishing
        self._callers = callers
        self._programs = programs

    def router(self) -> APIRouter:
        """The routes."""
        one = "/models/{owner}/{name}"
        version = f"{one}/versions/{{version}}"
        router = under_bases(
            (
                ("GET", "/hardware", self.hardware),
                ("GET", "/models", self.list),
                ("QUERY", "/models", self.query),
                ("POST", "/models", self.create),
                ("GET", "/search", self.search),
                ("GET", one, self.get),
                ("PATCH", one, self.change),
                ("DELETE", one, self.delete),
                ("GET", f"{one}/readme", self.readme),
                ("GET", f"{one}/examples", self.examples),
                ("GET", f"{one}/versions", self.versions),
                ("POST", f"{one}/versions", self.push),
                ("GET", version, self.version),
                ("DELETE", version, self.delete_version),
                ("GET", f"{version}/source", self.source),
                ("POST", f"{one}/releases", self.release),
            )
        )
        for base in ("/v1", ""):
            for method in ("GET", "HEAD"):
                router.add_api_route(
                    f"{base}/runtimes/{{name}}/requirements.txt",
                    self.requirements,
                    methods=[method],
                    include_in_schema=base != "" and method == "GET",
                    response_class=PlainTextResponse,
                )
        return router

    # -- many ------------------------------------------------------------------------------------

    async def list(self, request: Request, cursor: str | None = None) -> Response:
        """List what the caller may call, newest first."""
        caller = await self._callers.caller(request)
        return await self._page(request, await self._presenter.visible(caller), cursor)

    async def query(self, request: Request, cursor: str | None = None) -> Response:
        """Search: models whose name, alias or description contains every word of the body."""
        caller = await self._callers.caller(request)
        text = (await body_of(request, WORDS_BYTES)).decode(errors="replace")
        found = await self._presenter.visible(caller, _unquoted(text))
        return await self._page(request, found, cursor)

    async def search(self, request: Request, query: str = "", limit: int = 20) -> Response:
        """Search, in the format of the 2.x clients."""
        caller = await self._callers.caller(request)
        found = await self._presenter.visible(caller, query[:WORDS_BYTES])
        shown = await self._presenter.many(found[: min(max(limit, 1), 50)], urls.base_of(request))
        models = [{"model": each, "metadata": {"tags": []}} for each in shown]
        body = {"query": query, "models": models, "collections": [], "pages": []}
        return JSONResponse(body, headers=UNCACHED)

    async def _page(self, request: Request, found: Sequence[Entry], cursor: str | None) -> Response:
        entries, following = pages.after(
            found, lambda each: (parse_rfc3339(each.created), each.uid), cursor
        )
        shown = await self._presenter.many(entries, urls.base_of(request))
        return pages.page(request, shown, following)

    # -- one -------------------------------------------------------------------------------------

    async def get(self, request: Request, owner: str, name: str) -> Response:
        """The model object, with its latest version."""
        _, entry = await self._find(request, owner, name)
        return await self._answer(request, entry, f"{owner}/{name}")

    async def readme(self, request: Request, owner: str, name: str) -> Response:
        """README.md of the source, or the description."""
        _, entry = await self._find(request, owner, name)
        return PlainTextResponse(await self._presenter.readme(entry), headers=UNCACHED)

    async def examples(self, request: Request, owner: str, name: str) -> Response:
        """Examples; always an empty list."""
        await self._find(request, owner, name)
        return pages.page(request, [], None)

    async def create(self, request: Request) -> Response:
        """Create a Pipeline (`source`, `files`, or neither: empty) or a Model (`endpoint`, …)."""
        caller = await self._callers.caller(request)
        draft = publishing.read(await body_of(request, DRAFT_BYTES))
        entry = await self._publishing.create(caller, draft)
        return await self._answer(request, entry, f"{entry.namespace}/{entry.name}", 201)

    async def change(self, request: Request, owner: str, name: str) -> Response:
        """Change the fields in the body: description, visibility, source and so on."""
        caller, entry = await self._find(request, owner, name)
        draft = publishing.read(await body_of(request, DRAFT_BYTES))
        entry = await self._publishing.change(caller, entry, draft)
        return await self._answer(request, entry, f"{owner}/{name}")

    async def delete(self, request: Request, owner: str, name: str) -> Response:
        """Delete a model with its versions. Predictions and their bills stay."""
        caller, entry = await self._find(request, owner, name)
        await self._publishing.delete(caller, entry)
        return Response(status_code=204)

    # -- versions --------------------------------------------------------------------------------

    async def versions(self, request: Request, owner: str, name: str) -> Response:
        """List all versions, newest first."""
        _, entry = await self._find(request, owner, name)
        return pages.page(request, self._presenter.versions(entry), None)

    async def version(self, request: Request, owner: str, name: str, version: str) -> Response:
        """One version."""
        _, entry = await self._find(request, owner, name)
        return JSONResponse(self._presenter.version(entry, version), headers=UNCACHED)

    async def delete_version(
        self, request: Request, owner: str, name: str, version: str
    ) -> Response:
        """Delete a version that is not the latest, and that no unfinished run uses."""
        caller, entry = await self._find(request, owner, name)
        await self._publishing.delete_version(caller, entry, version)
        return Response(status_code=204)

    async def push(self, request: Request, owner: str, name: str) -> Response:
        """Push a new version: JSON with `source` or `files`, or a form with `source_archive`."""
        caller = await self._callers.caller(request)
        draft = await _pushed(request)
        entry = await self._publishing.push(caller, owner, name, draft)
        latest = self._presenter.version(entry, entry.latest_version or "")
        return JSONResponse(latest, 201, UNCACHED)

    async def source(self, request: Request, owner: str, name: str, version: str) -> Response:
        """The files of a Pipeline's version, as a tar."""
        caller, entry = await self._find(request, owner, name)
        if caller.run is not None:
            raise Forbidden("A run's token may not read sources.")
        found = await self._presenter.source(entry, version)
        return Response(
            source_archive.packed(found), media_type="application/x-tar", headers=UNCACHED
        )

    async def release(self, request: Request, owner: str, name: str) -> Response:
        """The last step of an old `cog push`: check that the version is the newest one."""
        _, entry = await self._find(request, owner, name)
        try:
            identity = json.loads(await body_of(request, WORDS_BYTES))["version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Invalid("version is missing.", pointer="/version") from None
        publishing.latest_of(entry, str(identity))
        return Response(status_code=204)

    # -- inside ----------------------------------------------------------------------------------

    # -- runtimes --------------------------------------------------------------------------------

    async def hardware(self, request: Request) -> Response:
        """List the PipelineRuntimes."""
        await self._callers.caller(request)
        names = await self._programs.runtimes()
        found = [{"sku": name, "name": name} for name in names]
        # A client that chooses from a list wants one; `cpu` always means the usual runtime.
        return JSONResponse(found or [{"sku": "cpu", "name": "cpu"}], headers=UNCACHED)

    async def requirements(self, name: str) -> Response:
        """The packages of a PipelineRuntime. Needs no token: pip sends none; it is public."""
        packages = await self._programs.packages(name)
        if packages is None:
            raise Missing(f'There is no PipelineRuntime "{name}".')
        if not packages:
            raise Missing(f'PipelineRuntime "{name}" does not list its packages (spec.packages).')
        return PlainTextResponse(
            "".join(f"{package}\n" for package in packages),
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=60"},
        )

    async def _find(self, request: Request, owner: str, name: str) -> tuple[Caller, Entry]:
        caller = await self._callers.caller(request)
        return caller, await self._callers.entry(caller, owner, name)

    async def _answer(
        self, request: Request, entry: Entry, called: str, status: int = 200
    ) -> Response:
        body = await self._presenter.one(entry, called, urls.base_of(request))
        return JSONResponse(body, status, UNCACHED)


def _unquoted(text: str) -> str:
    """Search words: plain text, or the JSON string that JavaScript's client makes of it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str) else text


async def _pushed(request: Request) -> Draft:
    if not request.headers.get("content-type", "").startswith("multipart/"):
        return publishing.read(await body_of(request, DRAFT_BYTES))
    form = Form(request)
    while (part := await form.next()) is not None:
        # The schema is read from the source: openapi_schema is what an old cog made of it.
        if part.name == "source_archive":
            files = source_archive.files(await part.read(ARCHIVE_BYTES))
            return Draft(files=files, entrypoint=source_archive.entrypoint(files))
    raise Invalid("The form has no file source_archive.", pointer="/source_archive")
