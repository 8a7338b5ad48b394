"""The demo: one run of the image example, from `kubectl create` to the picture on disk."""

import json
import ssl
import tempfile
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localcluster.builds import cache
from localcluster.clone import ROOT
from localcluster.clusters.choice import Cluster
from localcluster.failure import Failure
from localcluster.installation import chart, starts
from localcluster.installation.chart import DEMO_NAMESPACE, Access
from localcluster.kubectl import Kubectl
from localcluster.progress import step

_EXAMPLE = ROOT / "examples" / "image" / "run.yaml"
_LONGEST = 300.0
_FINISHED = "--for=jsonpath={.status.finished}=true"


def run(cluster: Cluster) -> None:
    """Create the run, wait for its end, print its result, and download its file."""
    access = chart.access(cluster)
    kubectl = cluster.kubectl
    name = kubectl("-n", DEMO_NAMESPACE, "create", "-f", str(_EXAMPLE), "-o", "name").strip()
    print(f"\n$ kubectl create -f {_EXAMPLE.relative_to(ROOT)}\n{name} created", flush=True)
    finished = _wait(kubectl, name)
    _report(finished)
    with cluster.gateway() as url:
        reached = Access(url, access.token, access.trusted_roots)
        for path in _fetch_files(reached, finished):
            print(f"file      {path}")
        if cluster.warm:
            starts.compare(cluster, reached)
        link = _sign_in_link(reached) if url == _lasting(cluster) else ""
    print(f"\n$ kubectl get prun\n{kubectl('-n', DEMO_NAMESPACE, 'get', 'prun')}")
    _where_next(name, finished["status"]["id"], link)
    if _condition(finished, "Succeeded").get("status") != "True":
        raise Failure(f"{name} did not succeed: {_words(_condition(finished, 'Succeeded'))}")


def _wait(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Wait until the run is finished and its cost is known, showing the phase meanwhile."""
    with step(
        f"wait for {name.partition('/')[2]}", cache.folder() / "logs" / "demo.log"
    ) as current:

        def ended() -> bool:
            seconds = "--timeout=5s"
            return kubectl.ok("-n", DEMO_NAMESPACE, "wait", _FINISHED, name, seconds)

        try:
            current.wait(ended, _LONGEST, "the run has finished")
        except Failure as failure:
            described = kubectl.attempt("-n", DEMO_NAMESPACE, "describe", name).stdout
            raise Failure(f"{failure}\n{described}") from None
    found: dict[str, Any] = kubectl.json("-n", DEMO_NAMESPACE, "get", name)
    return found


def _report(finished: dict[str, Any]) -> None:
    status = finished.get("status", {})
    usage = status.get("usage", {})
    print(f"phase     {status.get('phase')}  {_words(_condition(finished, 'Succeeded'))}")
    print(f"output    {json.dumps(status.get('output'))}")
    if status.get("error"):
        print(f"error     {status['error']}")
    logs = status.get("logsTail") or ""
    print("logs      " + logs.rstrip().replace("\n", "\n          "))
    print(f"active    {usage.get('activeMilliseconds', 0) / 1000:.3f} s")
    print(f"cost      {usage.get('totalCost', usage.get('cost', '?'))} {usage.get('currency', '')}")


def _fetch_files(access: Access, finished: dict[str, Any]) -> list[Path]:
    """Download the files of the output, which has download URLs in the public API."""
    trust = ssl.create_default_context(cafile=str(access.trusted_roots))
    identity = finished["status"]["id"]
    request = urllib.request.Request(
        f"{access.url}/v1/predictions/{identity}",
        headers={"Authorization": f"Bearer {access.token}"},
    )
    with urllib.request.urlopen(request, context=trust, timeout=30) as response:
        prediction = json.load(response)
    urls = [url for url in _strings(prediction.get("output")) if url.startswith("https://")]
    saved = []
    for number, url in enumerate(urls):
        suffix = Path(urlsplit(url).path).suffix or ".png"
        target = _target(f"mayfly-demo-output{'' if number == 0 else f'-{number + 1}'}{suffix}")
        with urllib.request.urlopen(url, context=trust, timeout=60) as response:
            target.write_bytes(response.read())
        saved.append(target)
    return saved


def _target(name: str) -> Path:
    """A path in the current folder, or in a temporary one if that is not writable."""
    try:
        Path(name).touch()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="mayfly-demo-")) / name
    return Path(name).absolute()


def _strings(value: Any) -> list[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []


def _condition(run_: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = run_.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind), {})


def _words(condition: dict[str, Any]) -> str:
    return " ".join(filter(None, (condition.get("reason"), condition.get("message"))))


def _lasting(cluster: Cluster) -> str:
    """The gateway's URL that is valid after this command too; "" if there is none."""
    try:
        return cluster.url
    except Failure:
        return ""


def _sign_in_link(access: Access) -> str:
    """A link that signs in to the web UI as the demo user; "" if the gateway makes none."""
    trust = ssl.create_default_context(cafile=str(access.trusted_roots))
    request = urllib.request.Request(
        f"{access.url}/v1/sign-in-links",
        method="POST",
        headers={"Authorization": f"Bearer {access.token}"},
    )
    try:
        with urllib.request.urlopen(request, context=trust, timeout=30) as response:
            return str(json.load(response)["url"])
    except (OSError, ValueError, KeyError):
        return ""


def _where_next(name: str, identity: str, link: str) -> None:
    print(
        f"""Where to look next
  eval "$(make -s env)"             kubectl, helm, the API's address and a token, in this shell
  kubectl describe {name}
  curl -sH "Authorization: Bearer $MAYFLY_TOKEN" --cacert "$SSL_CERT_FILE" \\
    $MAYFLY_URL/v1/predictions/{identity}
  make down                         removes the cluster, keeps the cache"""
    )
    if link:
        print(f"\nOpen {link}\nin a browser (valid once, 5 minutes)")
