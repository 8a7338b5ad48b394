"""The example models on the cluster, and helpers for runs that call them."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import yaml
from support.cluster.installation import Json, Namespace, message, reason
from support.waiting import eventually

from localcluster import state
from localcluster.builds import cache
from localcluster.clusters.choice import Cluster, choose
from localcluster.images import recipes
from localcluster.installation import models
from localcluster.lock import exclusive

READY_SECONDS = 240.0


def cluster() -> Cluster:
    return choose(state.current())


def image() -> str:
    """The reference of the models' image; built and loaded by one process at a time."""
    with exclusive(cache.folder() / "example-models.lock", "load the example models"):
        return cluster().image(recipes.MODELS)


def start(namespace: Namespace, reference: str, *names: str, **spec: Any) -> None:
    """Start some of the models in a namespace; `more` is merged into each Model's spec."""
    listed = yaml.safe_load(models.manifest(reference))["items"]
    items = [each for each in listed if each["metadata"]["name"] in names]
    for each in items:
        if each["kind"] == "Model":
            each["spec"].update(spec)
    namespace.apply({"apiVersion": "v1", "kind": "List", "items": items})
    for name in names:
        available(namespace, name)
        model_ready(namespace, name)


def available(namespace: Namespace, name: str) -> None:
    """Wait until a model's pod is available."""
    eventually(
        lambda: namespace.kubectl.json("get", "deploy", name, "-n", namespace.name),
        READY_SECONDS,
        _rolled_out,
    )


def _rolled_out(deployment: Json) -> bool:
    asked, seen = deployment["spec"]["replicas"], deployment.get("status", {})
    current = seen.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return current and all(seen.get(each, 0) == asked for each in counts)


def model_ready(namespace: Namespace, name: str) -> None:
    namespace.ready("mmdl", name, READY_SECONDS)


def pipeline(namespace: Namespace, name: str, source: str, **spec: Any) -> None:
    """Create a Pipeline, and wait until it can be called."""
    body = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": {"source": {"inline": textwrap.dedent(source)}, **spec},
    }
    namespace.apply(body)
    eventually(
        lambda: (
            namespace.kubectl.json("get", "mpl", name, "-n", namespace.name)
            .get("status", {})
            .get("latestVersion")
        )
    )


def ran(namespace: Namespace, source: str, **given: Any) -> str:
    """Run this source, which must succeed; returns its log."""
    run = namespace.run(textwrap.dedent(source), input=given)
    ended = namespace.finished(run, seconds=240)
    log = namespace.logs(run)
    assert reason(ended) == "Succeeded", f"{message(ended)}\n{log}"
    return log


def failed(namespace: Namespace, source: str, **given: Any) -> tuple[str, str]:
    """Run this source, which must fail; returns its error and log."""
    run = namespace.run(textwrap.dedent(source), input=given)
    ended = namespace.finished(run, seconds=240)
    assert reason(ended) == "UserError", message(ended)
    return ended["status"]["error"], namespace.logs(run)


def identity(namespace: Namespace, run: str) -> str:
    """A run's id in the API, once it has one."""
    return str(eventually(lambda: namespace.get(run).get("status", {}).get("id")))


def prediction(namespace: Namespace, identity: str) -> Json:
    answer = namespace.api.get(f"/v1/predictions/{identity}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def below(namespace: Namespace, run: str) -> list[Json]:
    """The predictions that a run has made, from the API; oldest first."""
    answer = namespace.api.get(f"/v1/predictions/{identity(namespace, run)}/tree")
    assert answer.status_code == 200, answer.text
    listed: list[Json] = answer.json()["predictions"][1:]
    return sorted(listed, key=lambda each: str(each["created_at"]))


def called(namespace: Namespace, run: str, status: str, seconds: float = 120.0) -> Json:
    """The first prediction that a run has made, once it is in this state."""
    found: list[Json] = eventually(
        lambda: below(namespace, run),
        seconds=seconds,
        accept=lambda seen: bool(seen) and seen[0]["status"] == status,
    )
    return found[0]


class Person:
    """A person with the role `edit` in one namespace."""

    def __init__(self, namespace: Namespace, name: str = "person") -> None:
        self.namespace = namespace
        api, here = namespace.kubectl.api, namespace.name
        api.create("serviceaccount", {"metadata": {"name": name}}, here)
        binding = {
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "edit",
            },
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": here}],
        }
        api.create("rolebinding", binding, here)
        self.token = api.token(here, name, "mayfly")

    def request(self, method: str, path: str, body: Any = None) -> Json:
        """Send a request to the API; returns the JSON of the answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        answer = self.namespace.api.request(method, path, content=content, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def cancel(self, identity: str) -> Json:
        return self.request("POST", f"/v1/predictions/{identity}/cancel")

    def create(self, model: str, **given: Any) -> Json:
        """Call `owner/name`; returns the prediction as answered."""
        return self.request("POST", f"/v1/models/{model}/predictions", {"input": given})

    def until(self, identity: str, *statuses: str, seconds: float = 120.0) -> Json:
        """Wait until a prediction is in one of these states."""
        return eventually(
            lambda: prediction(self.namespace, identity),
            seconds=seconds,
            accept=lambda seen: seen["status"] in statuses,
        )

    def ended(self, identity: str, seconds: float = 120.0) -> Json:
        return self.until(identity, "succeeded", "failed", "canceled", seconds=seconds)
