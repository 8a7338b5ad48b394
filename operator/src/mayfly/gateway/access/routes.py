"""What else clients ask for: the account, hardware, the webhooks' secret, and what is not here."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mayfly.gateway.access.callers import Callers, Standing
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.cache.programs import Catalog
from mayfly.gateway.http.errors import Forbidden, Missing
from mayfly.gateway.http.routing import UNCACHED, under_bases
from mayfly.gateway.predictions.webhooks import shown_secret


class AccountRoutes:
    """The routes and what they need."""

    def __init__(self, callers: Callers, catalog: Catalog, key: SigningKey) -> None:
        self._callers = callers
        self._catalog = catalog
        self._key = key

    def router(self) -> APIRouter:
        """The routes."""
        version = "/models/{owner}/{name}/versions/{version}"
        deployment = "/deployments/{owner}/{name}"
        return under_bases(
            (
                ("GET", "/account", self.account),
                ("GET", "/hardware", self.hardware),
                ("GET", "/webhooks/default/secret", self.secret),
                ("GET", "/collections", self.none),
                ("GET", "/collections/{slug}", self.no_collection),
                ("GET", "/trainings", self.none),
                ("GET", "/trainings/{identity}", self.no_training),
                ("POST", "/trainings/{identity}/cancel", self.no_training),
                ("POST", f"{version}/trainings", self.no_trainings),
                ("GET", "/deployments", self.none),
                ("POST", "/deployments", self.no_deployments),
                ("GET", deployment, self.no_deployment),
                ("PATCH", deployment, self.no_deployment),
                ("DELETE", deployment, self.no_deployment),
                ("POST", f"{deployment}/predictions", self.no_deployment),
            )
        )

    async def account(self, request: Request) -> Response:
        """Who calls; `username` is the namespace, which is the owner of what it makes."""
        standing = await self._standing(request)
        name = standing.user.name if standing.user else standing.run.key[1] if standing.run else ""
        body = {
            "type": "user",
            "username": standing.namespace or name,
            "name": name,
            "github_url": None,
            "avatar_url": None,
        }
        return JSONResponse(body, headers=UNCACHED)

    async def hardware(self, request: Request) -> Response:
        """The PipelineRuntimes."""
        await self._standing(request)
        names = await self._catalog.runtimes()
        found = [{"sku": name, "name": name} for name in names]
        # A client that chooses from a list wants one; `cpu` always means the usual runtime.
        return JSONResponse(found or [{"sku": "cpu", "name": "cpu"}], headers=UNCACHED)

    async def secret(self, request: Request) -> Response:
        """What signs the webhooks of the caller's namespace."""
        standing = await self._standing(request)
        if standing.run is not None:
            raise Forbidden("A run's token may not read the webhooks' secret.")
        namespace = self._callers.own_namespace(standing)
        await self._callers.require(standing, "create", "pipelineruns", namespace)
        return JSONResponse({"key": shown_secret(self._key, namespace)}, headers=UNCACHED)

    async def none(self, request: Request) -> Response:
        """An empty list."""
        await self._standing(request)
        return JSONResponse({"previous": None, "next": None, "results": []}, headers=UNCACHED)

    async def no_collection(self, request: Request, slug: str) -> Response:
        """There are no collections."""
        await self._standing(request)
        raise Missing(f'There is no collection "{slug[:64]}".')

    async def no_training(self, request: Request, identity: str) -> Response:
        """There are no trainings."""
        await self._standing(request)
        raise Missing(f'There is no training "{identity[:64]}".')

    async def no_trainings(self, request: Request, owner: str, name: str, version: str) -> Response:
        """Nothing is trained here."""
        await self._standing(request)
        called = f"{owner[:64]}/{name[:64]}:{version[:64]}"
        raise Missing(f'"{called}" can\'t be trained: there are no trainings here.')

    async def no_deployments(self, request: Request) -> Response:
        """Nothing is deployed by this API."""
        await self._standing(request)
        raise Missing("There are no deployments here: make a Pipeline or a Model, and call it.")

    async def no_deployment(self, request: Request, owner: str, name: str) -> Response:
        """There are no deployments."""
        await self._standing(request)
        raise Missing(
            f'There is no deployment "{owner[:64]}/{name[:64]}"; call the model by its name.'
        )

    async def _standing(self, request: Request) -> Standing:
        return await self._callers.standing(request.headers, request.path_params.get("namespace"))
