"""The demo's last part: runs at once, on every pod that waits, and one on a pod of its own."""

import json
import ssl
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

from localcluster.builds import cache
from localcluster.clusters.choice import Cluster
from localcluster.installation.chart import DEMO_NAMESPACE, Access
from localcluster.progress import Step, step

_NAME = "demo-start"
_PIPELINE = {
    "apiVersion": "mayfly.dev/v1alpha1",
    "kind": "Pipeline",
    "metadata": {"name": _NAME},
    "spec": {"source": {"inline": 'def main() -> str:\n    return "here"\n'}},
}
_LONGEST = 60.0


class Start(NamedTuple):
    """How a run started.

    Attributes:
        pod: the name of its pod.
        seconds: from the request to the call of `main()`, by the clocks of this machine and of
            the node.
    """

    pod: str
    seconds: float

    @property
    def waited(self) -> bool:
        """Whether the pod had waited for a run."""
        return self.pod.startswith("mayfly-warm-")


def compare(cluster: Cluster, access: Access) -> None:
    """Start one run more than pods wait, all at once, and print how soon each started."""
    kubectl = cluster.kubectl
    kubectl.apply(json.dumps(_PIPELINE), DEMO_NAMESPACE)
    with step("start runs at once", cache.folder() / "logs" / "starts.log") as current:
        ready = '--for=jsonpath={.status.conditions[?(@.type=="Ready")].status}=True'
        kubectl("-n", DEMO_NAMESPACE, "wait", ready, f"mpl/{_NAME}", "--timeout=60s")
        current.wait(lambda: _waiting(cluster) > 0, _LONGEST, "pods wait, and none is starting")
        count = _waiting(cluster) + 1
        with ThreadPoolExecutor(count) as at_once:
            made = list(at_once.map(lambda _: _create(access), range(count)))
        starts = [_start(cluster, current, *each) for each in made]
    kubectl("-n", DEMO_NAMESPACE, "delete", "mpl", _NAME, "--wait=false")
    print(f"\n{'runs at once':20}  main() called after")
    for each in sorted(starts, key=lambda start: start.seconds):
        where = "on a pod that waited" if each.waited else "on a pod of its own"
        print(f"{where:20}  {each.seconds * 1000:16.0f} ms")


def _waiting(cluster: Cluster) -> int:
    """How many pods wait; 0 while one of them is starting, which might be ready for the last run.

    A pod that a run has just taken is still labelled as one that waits.
    """
    here = ("-n", DEMO_NAMESPACE, "get")
    runs = cluster.kubectl.json(*here, "prun")["items"]
    taken = {each.get("status", {}).get("podName") for each in runs}
    pods = cluster.kubectl.json(*here, "pods", "-l", "mayfly.dev/id=waiting")["items"]
    free = [each for each in pods if each["metadata"]["name"] not in taken]
    return len(free) if all(map(_is_ready, free)) else 0


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def _create(access: Access) -> tuple[str, float]:
    """Make a prediction. Returns its id, and when it was asked for."""
    request = urllib.request.Request(
        f"{access.url}/v1/models/{DEMO_NAMESPACE}/{_NAME}/predictions",
        data=b'{"input": {}}',
        headers={
            "Authorization": f"Bearer {access.token}",
            "Content-Type": "application/json",
            "Prefer": "respond-async",
        },
    )
    trust = ssl.create_default_context(cafile=str(access.trusted_roots))
    asked = time.time()
    with urllib.request.urlopen(request, context=trust, timeout=30) as response:
        return str(json.load(response)["id"]), asked


def _start(cluster: Cluster, current: Step, identity: str, asked: float) -> Start:
    found: dict[str, Any] = {}

    def finished() -> bool:
        selector = f"--field-selector=status.id={identity}"
        for each in cluster.kubectl.json("-n", DEMO_NAMESPACE, "get", "prun", selector)["items"]:
            found.update(each.get("status", {}))
        return bool(found.get("finished"))

    current.wait(finished, _LONGEST, "both runs have finished")
    began = datetime.fromisoformat(found["startedAt"]).timestamp()
    return Start(found["podName"], began - asked)
