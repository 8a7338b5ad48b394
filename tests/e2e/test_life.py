"""The life of a run as people see it: output to the letter, logs while it runs, its pod's walls."""

from __future__ import annotations

import json
import os
import ssl

import httpx
from support.cluster.installation import reason
from support.waiting import eventually


def test_values_pass_through_to_the_letter(namespace):
    source = "from typing import Any\ndef main(value: Any) -> Any:\n    return value\n"
    text = '{"value": {"b": 1.0, "a": 12345678901234567890, "n": null, "s": "ü"}}'
    run = namespace.create({"pipelineSpec": {"source": {"inline": source}}, "inputJSON": text})
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]
    identity = ended["status"]["id"]
    exact = namespace.api.get(f"/v1/predictions/{identity}/output").text
    assert json.loads(exact) == json.loads(text)["value"]
    assert "1.0" in exact
    assert "12345678901234567890" in exact
    assert exact.index('"b"') < exact.index('"a"')
    assert ended["status"]["output"]["n"] is None


def test_logs_come_while_it_runs(namespace):
    source = (
        "import time\ndef main() -> int:\n    print('first', flush=True)\n"
        "    time.sleep(6)\n    print('last', flush=True)\n    return 1\n"
    )
    run = namespace.run(source)
    namespace.started(run)
    eventually(lambda: "first" in namespace.logs(run))
    assert namespace.get(run)["status"].get("phase") == "Processing"
    assert "last" not in namespace.logs(run)
    assert namespace.prediction(run)["status"] == "processing"
    ended = namespace.finished(run)
    assert namespace.logs(run).split() == ["first", "last"]
    assert "last" in ended["status"]["logsTail"]


def test_a_finished_run_stays_readable_after_its_object(namespace, kubectl):
    run = namespace.run("def main() -> str:\n    return 'kept'\n")
    identity = namespace.finished(run)["status"]["id"]
    kubectl("delete", "prun", run, "-n", namespace.name)
    answer = namespace.api.get(f"/v1/predictions/{identity}")
    assert answer.json()["output"] == "kept"
    assert answer.json()["status"] == "succeeded"


def test_the_ttl_deletes_it(namespace):
    run = namespace.run("def main() -> int:\n    return 1\n", ttlSecondsAfterFinished=1)
    eventually(lambda: run not in namespace.kubectl("get", "prun", "-n", namespace.name))
    namespace.no_pods()


def test_a_stranger_reads_nothing(namespace):
    run = namespace.run("def main() -> str:\n    return 'secret'\n")
    identity = namespace.finished(run)["status"]["id"]
    url = f"{os.environ['MAYFLY_URL']}/v1/predictions/{identity}"
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    stranger = httpx.Client(transport=httpx.HTTPTransport(verify=context, retries=8))
    assert stranger.get(url).status_code == 401
    wrong = stranger.get(url, headers={"Authorization": "Bearer nonsense"})
    assert wrong.status_code == 401
    # The demo user has no rights in this namespace: not even that the run exists is told.
    token = os.environ["MAYFLY_TOKEN"]
    other = stranger.get(url, headers={"Authorization": f"Bearer {token}"})
    stranger.close()
    assert other.status_code == 404


WALLS = """
import json, os, ssl, urllib.request, urllib.error
from pathlib import Path

def attempt(action):
    try:
        return str(action())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def call_api(token):
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    context = ssl._create_unverified_context()
    request = urllib.request.Request(f"https://{host}/api/v1/namespaces/default/pods")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        return answer.status

def main() -> dict:
    own = Path("/etc/mayfly/token")
    return {
        "uid": os.getuid(),
        "service_account": os.path.exists("/var/run/secrets/kubernetes.io"),
        "write_root": attempt(lambda: Path("/etc/x").write_text("x")),
        "write_scratch": attempt(lambda: Path("here.txt").write_text("x")),
        "environ_of_1": attempt(lambda: Path("/proc/1/environ").read_bytes()),
        "memory_of_1": attempt(lambda: open("/proc/1/mem", "rb").read(1)),
        "api": attempt(lambda: call_api("")),
        "api_with_token": attempt(lambda: call_api(own.read_text())),
        "secret_in_environ": [name for name in os.environ if "SESSION" in name],
        "services": [name for name in os.environ if name.endswith("_SERVICE_HOST")],
    }
"""


def test_the_pods_walls(namespace):
    """Invariant 9, from inside. Whether the network is closed too is up to the CNI; see README."""
    ended = namespace.finished(namespace.run(WALLS))
    assert reason(ended) == "Succeeded", ended["status"]
    found = ended["status"]["output"]
    assert found["uid"] == 65532
    assert found["service_account"] is False
    assert "Read-only file system" in found["write_root"] or "Permission" in found["write_root"]
    assert found["write_scratch"] == "1"
    assert "Permission" in found["environ_of_1"]
    assert "Permission" in found["memory_of_1"]
    for answer in (found["api"], found["api_with_token"]):
        assert "401" in answer or "403" in answer or "timed out" in answer or "URLError" in answer
    assert found["secret_in_environ"] == []
    assert [name for name in found["services"] if name != "KUBERNETES_SERVICE_HOST"] == []


def test_the_network_policy_is_there(namespace):
    namespace.finished(namespace.run("def main() -> int:\n    return 1\n"))
    policy = namespace.kubectl.json("get", "networkpolicy", "mayfly-runs", "-n", namespace.name)
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert not policy["spec"].get("ingress")
    owner = policy["metadata"]["ownerReferences"][0]
    assert owner["kind"] == "ClusterRole"


def test_packages_are_the_listed_ones(namespace):
    source = """
import importlib.metadata, sys
def main() -> dict:
    names = ["replicate", "numpy", "scikit-learn", "moviepy", "pydantic", "pillow", "httpx"]
    found = {name: importlib.metadata.version(name) for name in names}
    return {**found, "python": ".".join(map(str, sys.version_info[:2]))}
"""
    ended = namespace.finished(namespace.run(source))
    assert ended["status"]["output"] == {
        "replicate": "1.1.0b2",
        "numpy": "2.3.1",
        "scikit-learn": "1.7.0",
        "moviepy": "2.2.1",
        "pydantic": "1.10.22",
        "pillow": "11.2.1",
        "httpx": "0.28.1",
        "python": "3.13",
    }


def test_every_input_type(namespace):
    source = """
from typing import Any
from cog import Input, Path
def main(
    text: str, number: int, ratio: float, items: list[str], config: dict, anything: Any,
    picture: Path, flag: bool, limited: int = Input(default=2, min=1, max=3),
) -> dict:
    return {
        "text": text, "number": number, "ratio": ratio, "items": items, "config": config,
        "anything": anything, "bytes": picture.read_text(), "name": picture.name,
        "folder": picture.parent.name, "flag": flag, "limited": limited,
        "types": [type(number).__name__, type(ratio).__name__],
    }
"""
    given = {
        "text": "",
        "number": 3.0,
        "ratio": 2,
        "items": ["a", "b"],
        "config": {"z": 1, "a": [1.0]},
        "anything": None,
        "picture": "data:text/plain;base64,aGVsbG8=",
    }
    run = namespace.create(
        {"pipelineSpec": {"source": {"inline": source}}, "inputJSON": json.dumps(given)}
    )
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]
    output = ended["status"]["output"]
    assert output["bytes"] == "hello"
    assert output["folder"] == "tmp"
    assert output["flag"] is False
    assert output["limited"] == 2
    assert output["types"] == ["int", "float"]
    assert output["items"] == ["a", "b"]
