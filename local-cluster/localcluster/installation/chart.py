"""Installs the chart, and gives the demo user access."""

import base64
import json
import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from localcluster.builds import cache
from localcluster.clone import ROOT
from localcluster.clusters.choice import Cluster
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.progress import Command, step
from localcluster.state import State, write

NAMESPACE = "mayfly-system"
RELEASE = "mayfly"
DEMO_NAMESPACE = "default"
DEMO_USER = "demo"
WARM_POOL = "mayfly.dev/warm=default"
"""The label of a namespace in which pods of the default runtime wait for runs."""

_TOKEN_SECONDS = 24 * 3600
_TOKEN_SPARE = 2 * 3600  # a token that `env` hands out is good for at least this long


@dataclass(frozen=True)
class Access:
    """URL, token and certificates of a client of the public API."""

    url: str
    token: str
    trusted_roots: Path


def build_images(cluster: Cluster) -> dict[str, str]:
    """Build both images and make them available to the cluster; returns their references."""
    return {recipe.name: cluster.image(recipe) for recipe in recipes.INSTALLED}


def image_values(references: dict[str, str]) -> list[str]:
    """The chart's values that name the images, each for a `--set` of helm."""
    return [
        f"image.reference={references['operator']}",
        f"runtime.default.image={references['runtime']}",
    ]


def install(cluster: Cluster, references: dict[str, str]) -> None:
    """Run `helm upgrade --install`, and wait until everything is ready."""
    chart = ROOT / "charts" / "mayfly"
    command: list[str | Path] = [cluster.helm, "upgrade", "--install", RELEASE, chart]
    command += ["--namespace", NAMESPACE, "--create-namespace"]
    command += [word for path in cluster.values for word in ("--values", path)]
    command += [word for value in image_values(references) for word in ("--set", value)]
    command += ["--wait", "--timeout", "5m"]
    with cluster.state.locked(), step("install Mayfly", _log("install")) as current:
        _forget_interrupted(cluster)
        if cluster.manifests:
            cluster.kubectl.apply(cluster.manifests)
            _free_volume(cluster)
        try:
            current.run(command, env=cluster.kubectl.env)
        except Failure as failure:
            raise Failure(f"{failure}\n{_what_is_wrong(cluster)}") from None
        _make_demo_user(cluster)
        if cluster.warm:
            cluster.kubectl("label", "namespace", DEMO_NAMESPACE, WARM_POOL, "--overwrite")


def uninstall(cluster: Cluster) -> None:
    """Run `helm uninstall`, if the release exists."""
    with step("uninstall Mayfly", _log("uninstall")) as current:
        command: Command = [cluster.helm, "uninstall", RELEASE, "--namespace", NAMESPACE]
        current.run(
            [*command, "--ignore-not-found", "--wait", "--timeout", "3m"], env=cluster.kubectl.env
        )
        kubectl = cluster.kubectl
        kubectl("-n", DEMO_NAMESPACE, "delete", "--ignore-not-found", "serviceaccount", DEMO_USER)
        kubectl("-n", DEMO_NAMESPACE, "delete", "--ignore-not-found", "rolebinding", "mayfly-demo")


def access(cluster: Cluster) -> Access:
    """The demo user's access; cached."""
    try:
        _trust(cluster)
        return Access(cluster.url, _token(cluster), cluster.state.trusted_roots)
    except Failure as failure:
        raise Failure(
            f"Mayfly is not installed there: run `make up` first\n  ({failure})"
        ) from None


def _forget_interrupted(cluster: Cluster) -> None:
    """Remove a release that a killed helm left pending: helm refuses to work on it."""
    pending = "status in (pending-install, pending-upgrade, pending-rollback)"
    selector = f"owner=helm,name={RELEASE},{pending}"
    cluster.kubectl("-n", NAMESPACE, "delete", "secret", "--ignore-not-found", "-l", selector)


def _free_volume(cluster: Cluster) -> None:
    """Make a Released volume usable again: it stays bound to its deleted claim."""
    volume = cluster.kubectl.json("get", "persistentvolume", "mayfly-gateway")
    if volume.get("status", {}).get("phase") == "Released":
        forget = '{"spec": {"claimRef": null}}'
        cluster.kubectl("patch", "persistentvolume", "mayfly-gateway", "-p", forget)


def _make_demo_user(cluster: Cluster) -> None:
    """Create a ServiceAccount with the role `edit`, to which the chart adds Mayfly's kinds."""
    metadata = {"name": DEMO_USER, "namespace": DEMO_NAMESPACE}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "mayfly-demo", "namespace": DEMO_NAMESPACE},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "edit",
        },
        "subjects": [{"kind": "ServiceAccount", **metadata}],
    }
    items = [account, binding]
    cluster.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def _token(cluster: Cluster) -> str:
    """A token of the demo user, reused until it is about to expire, for this cluster only."""
    account = cluster.kubectl.json("-n", DEMO_NAMESPACE, "get", "serviceaccount", DEMO_USER)
    uid = account["metadata"]["uid"]
    try:
        kept = json.loads(cluster.state.token.read_text())
        if kept["uid"] == uid and kept["until"] > time.time() + _TOKEN_SPARE:
            return str(kept["token"])
    except (FileNotFoundError, ValueError, KeyError):
        pass  # none yet
    create = ["-n", DEMO_NAMESPACE, "create", "token", DEMO_USER, "--audience", "mayfly"]
    token = cluster.kubectl(*create, f"--duration={_TOKEN_SECONDS}s").strip()
    until = int(time.time()) + _TOKEN_SECONDS
    write(cluster.state.token, json.dumps({"uid": uid, "until": until, "token": token}))
    return token


def _trust(cluster: Cluster) -> None:
    """A CA bundle with the system's roots and the chart's CA: SSL_CERT_FILE replaces the roots."""
    path = r"-o=jsonpath={.data.ca\.crt}"
    encoded = cluster.kubectl("-n", NAMESPACE, "get", "secret", "mayfly-tls", path)
    authority = base64.b64decode(encoded).decode()
    state = cluster.state
    roots = _system_roots(state)
    text = (roots.read_text() if roots else "") + "\n" + authority
    if not state.trusted_roots.exists() or state.trusted_roots.read_text() != text:
        write(state.trusted_roots, text, 0o644)


def _system_roots(state: State) -> Path | None:
    """The system's roots; not our own bundle, if `eval "$(make -s env)"` was run before."""
    defaults = ssl.get_default_verify_paths()
    fallbacks = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    named = [os.environ.get("SSL_CERT_FILE"), defaults.openssl_cafile, *fallbacks]
    for path in (Path(name) for name in named if name):
        if path.is_file() and path != state.trusted_roots:
            return path
    return None


def _what_is_wrong(cluster: Cluster) -> str:
    """A diagnosis of a failed installation, for the error message."""
    pods = cluster.kubectl.attempt("-n", NAMESPACE, "get", "pods").stdout
    events = cluster.kubectl.attempt(
        "-n",
        NAMESPACE,
        "get",
        "events",
        "--field-selector=type=Warning",
        "--sort-by=.lastTimestamp",
    ).stdout
    last = "\n".join(events.splitlines()[-8:])
    return f"{pods}{last}\n  kubectl -n {NAMESPACE} logs deployment/mayfly-controller says more"


def _log(name: str) -> Path:
    return cache.folder() / "logs" / f"{name}.log"
