"""Installs the example models: one image, and a server and a Model for each."""

import json
from string import Template

from localcluster.builds import cache
from localcluster.clone import ROOT
from localcluster.clusters.choice import Cluster
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.progress import step

MANIFEST = ROOT / "examples" / "models" / "models.yaml"
SELECTOR = "app.kubernetes.io/part-of=example-models"

_LONGEST = 300.0


def install(cluster: Cluster, namespace: str) -> list[str]:
    """Build the image, apply the manifest in a namespace, and wait until every model is ready.

    Returns:
        The models' names.

    Raises:
        Failure: Mayfly or the namespace does not exist, or a model does not become ready.
    """
    kubectl = cluster.kubectl
    if not kubectl.ok("get", "customresourcedefinition", "models.mayfly.dev"):
        raise Failure("Mayfly is not installed there: run `make up` first")
    if not kubectl.ok("get", "namespace", namespace):
        raise Failure(f"there is no namespace {namespace}: `kubectl create namespace {namespace}`")
    reference = cluster.image(recipes.MODELS)
    log = cache.folder() / "logs" / "models.log"
    with step(f"start the example models in {namespace}", log) as current:
        kubectl.apply(manifest(reference), namespace)

        def ready() -> bool:
            wait = ("-n", namespace, "wait", "-l", SELECTOR, "--timeout=5s")
            return kubectl.ok(*wait, "--for=condition=Available", "deployment") and kubectl.ok(
                *wait, "--for=condition=Ready", "mmdl"
            )

        try:
            current.wait(ready, _LONGEST, "every model is ready")
        except Failure as failure:
            shown = kubectl.attempt(
                "-n", namespace, "get", "pods,mmdl", "-o", "wide", "-l", SELECTOR
            )
            raise Failure(f"{failure}\n{shown.stdout}") from None
    found = kubectl.json("-n", namespace, "get", "mmdl", "-l", SELECTOR)["items"]
    return sorted(each["metadata"]["name"] for each in found)


def manifest(reference: str) -> str:
    """The manifest with the image reference filled in; a quoted string is valid YAML."""
    return Template(MANIFEST.read_text()).substitute(image=json.dumps(reference))
