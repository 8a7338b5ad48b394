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
    "event": (CORE, "events"),
    "secret": (CORE, "secrets"),
    "service": (CORE, "services"),
    "serviceaccount": (CORE, "serviceaccounts"),
    "configmap": (CORE, "configmaps"),
    "resourcequota": (CORE, "resourcequotas"),
    "deploy": ("/apis/apps/v1", "deployments"),
    "rolebinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "networkpolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
}
"""By kubectl's names of the kinds; some may have a plural "s"."""

CLUSTER_WIDE = {
    "PipelineRuntime",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
"""Kinds that tests apply and that have no namespace."""


@dataclass(frozen=True)
class Answer:
    """What the server says to a write.

    Attributes:
        accepted: it did it.
        words: why not; else its warnings, if there are any.
        body: the object, or the Status that refuses it.
    """

    accepted: bool
    words: str
    body: Json


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
        answer = self._created(resource(kind, namespace), body)
        assert answer.accepted, f"create {kind}: {answer.words}"
        return answer.body

    def try_create(
        self, body: Json, namespace: str, *, user: str = "", dry_run: bool = False
    ) -> Answer:
        """Create an object that may be refused.

        Args:
            body: the object, with its kind.
            namespace: where, unless the kind has none.
            user: who does it; an administrator by default.
            dry_run: the server checks it, and keeps nothing.
        """
        return self._created(_place(body, namespace), body, user, dry_run=dry_run)

    def _created(self, path: str, body: Json, user: str = "", *, dry_run: bool = False) -> Answer:
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return _answer(self._client.post(path, params=query, json=body, headers=_as(user)))

    def apply(self, body: Json, namespace: str) -> None:
        """Create or change an object, as `kubectl apply --server-side` does.

        Raises:
            AssertionError: the server refuses it.
        """
        path = f"{_place(body, namespace)}/{body['metadata']['name']}"
        query = {"fieldManager": "tests", "fieldValidation": "Strict", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        content = json.dumps(body)
        answer = self._client.patch(path, params=query, headers=headers, content=content)
        assert answer.is_success, f"apply {path}: {answer.text}"

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
        answer = self.try_merge(kind, namespace, name, patch, part)
        assert answer.accepted, f"patch {kind} {name}: {answer.words}"

    def try_merge(
        self, kind: str, namespace: str, name: str, patch: Json, part: str = "", *, user: str = ""
    ) -> Answer:
        """Merge-patch an object, or a subresource of it, as a user; it may be refused."""
        path = "/".join(filter(None, (resource(kind, namespace), name, part)))
        headers = {"Content-Type": "application/merge-patch+json", **_as(user)}
        content = json.dumps(patch)
        return _answer(self._client.patch(path, content=content, headers=headers))

    def remove_namespace(self, name: str) -> None:
        """Remove a namespace where no controller of Kubernetes does; what is in it stays.

        Raises:
            AssertionError: the server refuses it.
        """
        self.delete("namespace", name=name)
        path = f"{resource('namespace')}/{name}/finalize"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}
        answer = self._client.put(path, json=body)
        assert answer.is_success, f"remove namespace {name}: {answer.text}"

    def may(self, user: str, verb: str, what: str, namespace: str) -> bool:
        """Whether a user has a right, as `kubectl auth can-i --as` says it.

        Args:
            user: who.
            verb: such as "get".
            what: RESOURCE[.GROUP][/SUBRESOURCE].
            namespace: where.
        """
        full, _, sub = what.partition("/")
        plural, _, group = full.partition(".")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": sub}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": namespace, **asked}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = _answer(self._client.post(path, json=review, headers=_as(user)))
        assert answer.accepted, answer.words
        return bool(answer.body["status"]["allowed"])

    def ready(self) -> bool:
        """Whether the server says that it is ready; not if it does not answer."""
        try:
            return self._client.get("/readyz").text == "ok"
        except httpx.TransportError:
            return False

    def serves(self, kind: str) -> bool:
        """Whether the server has a kind, and lists its objects."""
        return self._client.get(resource(kind)).is_success

    def delete(self, kind: str, namespace: str = "", name: str = "") -> None:
        """Delete an object that may be gone, or all of a namespace; wait for none, nor for pods.

        Raises:
            AssertionError: the server refuses it.
        """
        path = "/".join(filter(None, (resource(kind, namespace), name)))
        answer = self._client.delete(path, params={"gracePeriodSeconds": "0"})
        assert answer.is_success or answer.status_code == 404, f"delete {kind}: {answer.text}"


def _answer(answer: httpx.Response) -> Answer:
    try:
        body: Json = answer.json()
    except ValueError:  # a server that starts or stops has no Status for it
        body = {"message": answer.text}
    said = answer.headers.get("warning", "") if answer.is_success else str(body["message"])
    return Answer(answer.is_success, said, body)


def _as(user: str) -> dict[str, str]:
    return {"Impersonate-User": user} if user else {}


def _place(body: Json, namespace: str) -> str:
    """The path of the objects of a body's kind."""
    version, kind = body["apiVersion"], body["kind"].lower()
    group = f"/apis/{version}" if "/" in version else CORE
    # Every kind that tests make has the plural that English gives it.
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return (
        f"{group}/{plural}"
        if body["kind"] in CLUSTER_WIDE
        else (f"{group}/namespaces/{namespace}/{plural}")
    )


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
