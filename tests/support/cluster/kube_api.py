"""The Kubernetes API over HTTP, for requests that tests repeat.

kubectl does the same, but each call is a process that takes a fifth of a second of CPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]

CORE, OURS = "/api/v1", "/apis/mayfly.dev/v1alpha1"
KINDS = {
    "prun": (OURS, "pipelineruns"),
    "mpl": (OURS, "pipelines"),
    "mplv": (OURS, "pipelineversions"),
    "mprt": (OURS, "pipelineruntimes"),
    "mmdl": (OURS, "models"),
    "pod": (CORE, "pods"),
    "node": (CORE, "nodes"),
    "namespace": (CORE, "namespaces"),
    "secret": (CORE, "secrets"),
    "service": (CORE, "services"),
    "serviceaccount": (CORE, "serviceaccounts"),
    "configmap": (CORE, "configmaps"),
    "deploy": ("/apis/apps/v1", "deployments"),
    "rolebinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "networkpolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
}
"""By kubectl's names of the kinds; some may have a plural "s"."""

CLUSTER_WIDE = {"PipelineRuntime"}
"""Kinds that tests apply and that have no namespace."""


class KubeAPI:
    """Client of an API server, with its credentials."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def get(self, *words: str) -> Json:
        """The result of `kubectl get WORDS -o json`: an object, or a list of objects.

        Raises:
            AssertionError: the server does not return it.
        """
        path, query = address(*words)
        try:
            answer = self._client.get(path, params=query)
        except httpx.RemoteProtocolError:
            # The server had closed a connection that was idle; to read once more harms nobody.
            answer = self._client.get(path, params=query)
        assert answer.is_success, f"get {' '.join(words)}: {answer.text}"
        body: Json = answer.json()
        return body

    def create(self, kind: str, body: Json, namespace: str = "") -> Json:
        """Create an object, with each of its fields checked as `kubectl create` has it.

        Raises:
            AssertionError: the server refuses it.
        """
        query = {"fieldValidation": "Strict"}
        answer = self._client.post(resource(kind, namespace), params=query, json=body)
        assert answer.is_success, f"create {kind}: {answer.text}"
        made: Json = answer.json()
        return made

    def apply(self, body: Json, namespace: str) -> None:
        """Create or change an object, as `kubectl apply --server-side` does.

        Raises:
            AssertionError: the server refuses it.
        """
        version, kind = body["apiVersion"], body["kind"].lower()
        group = f"/apis/{version}" if "/" in version else CORE
        # Every kind that tests apply has the plural that English gives it.
        plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        place = group if body["kind"] in CLUSTER_WIDE else f"{group}/namespaces/{namespace}"
        name = body["metadata"]["name"]
        query = {"fieldManager": "tests", "fieldValidation": "Strict", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        answer = self._client.patch(
            f"{place}/{plural}/{name}",
            params=query,
            headers=headers,
            content=json.dumps(body),
        )
        assert answer.is_success, f"apply {plural} {name}: {answer.text}"

    def token(self, namespace: str, account: str, audience: str) -> str:
        """A token of a ServiceAccount, as of `kubectl create token`.

        Raises:
            AssertionError: the server refuses it.
        """
        path = f"{resource('serviceaccount', namespace)}/{account}/token"
        answer = self._client.post(path, json={"spec": {"audiences": [audience]}})
        assert answer.is_success, f"token of {account}: {answer.text}"
        return str(answer.json()["status"]["token"])

    def merge(self, kind: str, namespace: str, name: str, patch: Json, part: str = "") -> None:
        """Merge-patch an object, or a subresource of it.

        Raises:
            AssertionError: the server refuses it.
        """
        path = "/".join(filter(None, (resource(kind, namespace), name, part)))
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = self._client.patch(path, content=json.dumps(patch), headers=headers)
        assert answer.is_success, f"patch {kind} {name}: {answer.text}"

    def delete(self, kind: str, namespace: str = "", name: str = "") -> None:
        """Delete an object that may be gone, or all of a namespace; wait for none, nor for pods.

        Raises:
            AssertionError: the server refuses it.
        """
        path = "/".join(filter(None, (resource(kind, namespace), name)))
        answer = self._client.delete(path, params={"gracePeriodSeconds": "0"})
        assert answer.is_success or answer.status_code == 404, f"delete {kind}: {answer.text}"


@dataclass
class Words:
    """The parsed arguments of a `kubectl get`."""

    positional: list[str]
    namespace: str = ""
    selector: str = ""


def address(*words: str) -> tuple[str, dict[str, str]]:
    """The path and query of a `kubectl get`."""
    told = _read(*words)
    kind, _, name = told.positional[0].partition("/")
    name = name or (told.positional[1] if len(told.positional) > 1 else "")
    query = {"labelSelector": told.selector} if told.selector else {}
    return "/".join(filter(None, (resource(kind, told.namespace), name))), query


def resource(kind: str, namespace: str = "") -> str:
    """The path of a kind's objects."""
    group, plural = KINDS.get(kind) or KINDS[kind.removesuffix("s")]
    return f"{group}/namespaces/{namespace}/{plural}" if namespace else f"{group}/{plural}"


def _read(*words: str) -> Words:
    told, rest = Words([]), iter(words)
    for word in rest:
        match word:
            case "-n":
                told.namespace = next(rest)
            case "-l":
                told.selector = next(rest)
            case _:
                assert not word.startswith("-"), f"only kubectl itself knows {word}"
                told.positional.append(word)
    return told
