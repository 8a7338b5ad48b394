"""What runs find in their image: `/v1/runtimes/{name}/requirements.txt`, for pip to read."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from mayfly.gateway.cache.programs import Catalog
from mayfly.gateway.http.errors import Missing


class RuntimeRoutes:
    """The route and what it needs."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
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

    async def requirements(self, name: str) -> Response:
        """The packages of a PipelineRuntime. No token: pip sends none, and there is no secret."""
        packages = await self._catalog.packages(name)
        if packages is None:
            raise Missing(f'There is no PipelineRuntime "{name}".')
        if not packages:
            raise Missing(f'PipelineRuntime "{name}" does not say its packages (spec.packages).')
        return PlainTextResponse(
            "".join(f"{package}\n" for package in packages),
            headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=60"},
        )
