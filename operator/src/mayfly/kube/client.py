"""Client of the Kubernetes API in raw JSON, on the official client's connection and credentials.

The official client's typed models take most of a controller's memory and drop unknown fields, so
objects stay dictionaries here; `mayfly.api` adds types where that helps.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from mayfly.kube.errors import KubeError, NotFound, Unavailable, error_for
from mayfly.kube.kinds import ACCESS_REVIEWS, TOKEN_REVIEWS, Kind

Json = dict[str, Any]

REQUEST_SECONDS = 15.0
"""Longer than any healthy answer, short enough to notice a dead connection."""

WATCH_SECONDS = 300
"""The API server ends a watch after this time; the client then resumes it."""

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


class Cluster:
    """A connection to the API server.

    Attributes:
        writes: how many writes were sent, by (verb, plural); the benchmarks use it.
        results: their results, by (verb, plural, word): ok, or the kind of `KubeError`.
    """

    def __init__(self, api: kubernetes_client.ApiClient) -> None:
        self._api = api
        self.writes: Counter[tuple[str, str]] = Counter()
        self.results: Counter[tuple[str, ...]] = Counter()

    @classmethod
    async def connect(cls, kubeconfig: str | None = None) -> Self:
        """Connect with the pod's ServiceAccount, or with a kubeconfig file if one is given."""
        configuration = kubernetes_client.Configuration()
        configuration.connection_pool_maxsize = 100
        # Else each request asks, on a thread, for proxies in the environment and for a .netrc.
        configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
        if kubeconfig:
            await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, client_configuration=configuration
            )
        else:
            kubernetes_config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        return cls(kubernetes_client.ApiClient(configuration))

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """Read one object.

        Raises:
            NotFound: it does not exist.
            KubeError: any other error.
        """
        return await self._json("GET", kind.path(namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        field_selector: str | None = None,
        label_selector: str | None = None,
        limit: int | None = None,
        continue_: str | None = None,
    ) -> Json:
        """Read one page of a list: the List object itself, with its metadata."""
        query = {
            "fieldSelector": field_selector,
            "labelSelector": label_selector,
            "limit": limit,
            "continue": continue_,
        }
        return await self._json("GET", kind.path(namespace), query)

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, chunk: int = 200, **selectors: Any
    ) -> AsyncIterator[Json]:
        """Every page of a list."""
        token: str | None = None
        while True:
            page = await self.list(kind, namespace, limit=chunk, continue_=token, **selectors)
            yield page
            token = page.get("metadata", {}).get("continue")
            if not token:
                return

    async def create(self, kind: Kind, namespace: str | None, body: Json) -> Json:
        """Create an object.

        Raises:
            Conflict: the name exists.
            Refused: validation, policy, quota or RBAC is against it.
        """
        return await self._write("POST", kind, kind.path(namespace), body)

    async def write_status(self, kind: Kind, body: Json) -> Json:
        """Replace `/status`; the body carries the resourceVersion that was read.

        Raises:
            Conflict: the object has changed since.
            NotFound: it was deleted.
        """
        metadata = body["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"], "status")
        return await self._write("PUT", kind, path, body)

    async def patch_status(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        """Merge-patch `/status`; the patch carries `metadata.resourceVersion`.

        Raises:
            Conflict: the object has changed since.
            NotFound: it was deleted.
        """
        path = kind.path(namespace, name, "status")
        return await self._write("PATCH", kind, path, patch, content_type=MERGE_PATCH)

    async def patch(self, kind: Kind, namespace: str | None, name: str, patch: Json) -> Json:
        """Merge-patch an object."""
        path = kind.path(namespace, name)
        return await self._write("PATCH", kind, path, patch, content_type=MERGE_PATCH)

    async def json_patch(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Json]
    ) -> Json:
        """JSON-patch an object.

        Raises:
            NotFound: it does not exist.
            Refused: with status 422 if a `test` does not hold.
        """
        path = kind.path(namespace, name)
        return await self._write("PATCH", kind, path, list(operations), content_type=JSON_PATCH)

    async def apply(self, kind: Kind, namespace: str | None, body: Json, manager: str) -> Json:
        """Server-side apply: create the object, or update the fields in the body."""
        path = kind.path(namespace, body["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true"}
        return await self._write("PATCH", kind, path, body, query, content_type=APPLY_PATCH)

    async def replace(self, kind: Kind, namespace: str | None, body: Json) -> Json:
        """PUT an object; the body carries the resourceVersion that was read."""
        path = kind.path(namespace, body["metadata"]["name"])
        return await self._write("PUT", kind, path, body)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object; if a UID is given, only if the object has it.

        Raises:
            NotFound: it does not exist.
            Conflict: another object has the name now.
        """
        options: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._write("DELETE", kind, kind.path(namespace, name), options)

    async def token_review(self, token: str, audiences: Sequence[str]) -> Json:
        """Send a TokenReview; returns its status."""
        spec: Json = {"token": token}
        if audiences:
            spec["audiences"] = list(audiences)
        body = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": "TokenReview", "spec": spec}
        review = await self._json("POST", TOKEN_REVIEWS.path(None), body=body)
        return dict(review.get("status") or {})

    async def subject_access_review(self, spec: Json) -> Json:
        """Send a SubjectAccessReview; returns its status."""
        body = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": "SubjectAccessReview",
            "spec": spec,
        }
        review = await self._json("POST", ACCESS_REVIEWS.path(None), body=body)
        return dict(review.get("status") or {})

    async def watch_events(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str,
        field_selector: str | None = None,
        label_selector: str | None = None,
        timeout_seconds: int = WATCH_SECONDS,
    ) -> AsyncIterator[Json]:
        """The events ({type, object}) of one watch request, bookmarks included, until it ends.

        Raises:
            Gone: the resource version is too old.
            Unavailable: the connection broke.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "fieldSelector": field_selector,
            "labelSelector": label_selector,
            "timeoutSeconds": timeout_seconds,
        }
        # Bookmarks come every minute, so a silence of twice that is a dead connection.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=130)
        try:
            response = await self._send("GET", kind.path(namespace), query, limit=timeout)
            try:
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        failure = event["object"]
                        raise error_for(failure.get("code", 500), failure.get("message", ""))
                    yield event
            finally:
                response.close()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unavailable(0, f"the watch of {kind.plural} broke: {error}") from error

    async def _write(
        self,
        verb: str,
        kind: Kind,
        path: str,
        body: Json | Sequence[Json],
        query: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        self.writes[verb, kind.plural] += 1
        try:
            answer = await self._json(verb, path, query, body, content_type)
        except KubeError as error:
            self.results[verb, kind.plural, error.word] += 1
            raise
        self.results[verb, kind.plural, "ok"] += 1
        return answer

    async def _json(
        self,
        verb: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Json | Sequence[Json] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            response = await self._send(verb, path, query, body, content_type, timeout)
            return dict(json.loads(await response.read()))
        except KubeError:
            raise
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise Unavailable(0, f"{verb} {path}: no answer: {error}") from error

    async def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Json | Sequence[Json] | None = None,
        content_type: str = "application/json",
        limit: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        suffix = f"?{urlencode(given)}" if given else ""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        # The client's own hook refreshes tokens that rotate (ServiceAccount, exec plugins).
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, verb, body)
        rest = await self._api.rest_client.request(  # type: ignore[no-untyped-call]
            verb,
            f"{self._api.configuration.host}{path}{suffix}",
            headers=headers,
            body=body,
            _request_timeout=limit,
        )
        response: aiohttp.ClientResponse = rest.response
        if response.status >= 400:
            raise error_for(response.status, _message(await response.read()))
        return response


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        return body[:500].decode(errors="replace")


async def find_object(
    cluster: Cluster, kind: Kind, namespace: str | None, name: str
) -> Json | None:
    """Read one object; None if it does not exist.

    Raises:
        KubeError: any other error.
    """
    try:
        return await cluster.get(kind, namespace, name)
    except NotFound:
        return None
