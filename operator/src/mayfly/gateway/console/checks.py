"""Checks of a source and of an input, by the very code that creates; nothing is made.

What is wrong with a source or an input is the answer, not an error: `valid` is false. A body that
is no such thing at all is refused like that of a create.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from mayfly.api.v1alpha1.source import Source
from mayfly.gateway.access.callers import Callers
from mayfly.gateway.catalog import publishing
from mayfly.gateway.catalog.publishing import DRAFT_BYTES, Draft, Publishing
from mayfly.gateway.http.errors import Forbidden, Invalid
from mayfly.gateway.http.routing import UNCACHED, body_of, under_bases
from mayfly.gateway.predictions import request as order
from mayfly.gateway.predictions.create import Creator
from mayfly.gateway.predictions.request import BODY_EXTRA
from mayfly.gateway.predictions.targets import Targets
from mayfly.reconcile.observed import SourceProblem

Json = dict[str, Any]


class CheckRoutes:
    """HTTP routes of checks."""

    def __init__(
        self,
        *,
        callers: Callers,
        publishing: Publishing,
        targets: Targets,
        creator: Creator,
        input_bytes: int,
    ) -> None:
        self._callers = callers
        self._publishing = publishing
        self._targets = targets
        self._creator = creator
        self._input_bytes = input_bytes

    def router(self) -> APIRouter:
        """The routes."""
        return under_bases(
            (
                ("POST", "/check", self.source),
                ("POST", "/models/{owner}/{name}/check", self.input),
            )
        )

    async def source(self, request: Request) -> Response:
        """Check a pipeline's source: its schema, or what is wrong and where."""
        caller = await self._callers.caller(request)
        if caller.run is not None:
            raise Forbidden("A run's token may not check sources.")
        draft = publishing.read(await body_of(request, DRAFT_BYTES))
        if not draft.has_source:
            raise Invalid("Send one of source and files.", pointer="/source")
        problem = _refused(draft)
        schema = problem or await self._publishing.schema(draft)
        found: Json = {"valid": True, "openapi_schema": schema, "errors": []}
        if isinstance(schema, SourceProblem):
            errors = [_error(draft, schema)]
            found = {"valid": False, "openapi_schema": None, "errors": errors}
        return JSONResponse(found, headers=UNCACHED)

    async def input(self, request: Request, owner: str, name: str) -> Response:
        """Check an input for a model, or for one version of it."""
        caller = await self._callers.caller(request)
        body = await body_of(request, self._input_bytes + BODY_EXTRA)
        errors: list[dict[str, str]] = []
        try:
            wanted = order.read(body, {}, self._input_bytes)
        except Invalid as problem:
            if problem.pointer != "/input":
                raise
            errors = problem.errors
            await self._targets.find(caller, owner=owner, name=name)
        else:
            if "/" in (wanted.version or ""):
                raise Invalid("version is the id of a version.", pointer="/version")
            target = await self._targets.find(
                caller, owner=owner, name=name, version=wanted.version
            )
            refusal = await self._creator.check(caller, target, wanted)
            errors = refusal.errors if refusal else []
        return JSONResponse({"valid": not errors, "errors": errors}, headers=UNCACHED)


def _refused(draft: Draft) -> SourceProblem | None:
    """What the API server would not take; None if it takes it."""
    try:
        words = Source.model_validate(draft.source_body()).refused
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        words = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return SourceProblem(words) if words else None


def _error(draft: Draft, problem: SourceProblem) -> Json:
    """A problem with its place in the body; `file` and `line` only where they are known."""
    place, pointer = {}, "/source" if draft.files is None else "/files"
    if problem.file:
        place["file"] = problem.file
        if draft.files is not None and problem.file in draft.files:
            pointer += "/" + problem.file.replace("~", "~0").replace("/", "~1")
    line = {"line": problem.line} if problem.line else {}
    return {"detail": problem.message, **place, **line, "pointer": pointer}
