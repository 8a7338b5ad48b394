"""Inputs and sources: what is wrong costs no pod; what only a pod can find out costs nothing."""

from __future__ import annotations

import json

import pytest
from support.installation import Namespace, message, reason
from support.waiting import eventually

RULES = """
from cog import Input
def main(
    code: str = Input(default="ab-1", regex="^[a-z]+-[0-9]+$"),
    colour: str = Input(default="red", choices=["red", "green"]),
    name: str = Input(default="Ada", min_length=3, max_length=5),
    words: list[str] = Input(default=None),
) -> str:
    return code
"""


def refused(namespace: Namespace, run: str, why: str, words: str) -> None:
    ended = namespace.finished(run)
    assert reason(ended) == "Refused", message(ended)
    assert (reason(ended, "Accepted"), message(ended, "Accepted")) == (why, words)
    assert message(ended) == ended["status"]["error"] == words
    assert reason(ended, "Started") == "NotStarted"
    assert ended["status"]["usage"]["activeMilliseconds"] == 0
    assert "podName" not in ended["status"]


def test_the_rules_of_inputs_name_the_field(namespace):
    cases = {
        "code": ("AB", 'code: must match ^[a-z]+-[0-9]+$ (got "AB")'),
        "colour": ("blue", 'colour: must be one of "red", "green" (got "blue")'),
        "name": ("Al", "name: must have at least 3 characters (got 2)"),
        # 65,537 bytes in fewer characters: the limit counts UTF-8.
        "words": (["short", "é" * 32_768 + "x"], "words[1]: has 65537 bytes, over 65536"),
    }
    runs = {field: namespace.run(RULES, input={field: cases[field][0]}) for field in cases}
    long = namespace.run(RULES, input={"name": "Charles"})
    all_wrong = namespace.run(RULES, input={field: value for field, (value, _) in cases.items()})
    for field, run in runs.items():
        refused(namespace, run, "InvalidInput", cases[field][1])
    refused(namespace, long, "InvalidInput", "name: must have at most 5 characters (got 7)")
    told = namespace.finished(all_wrong)["status"]["error"]
    assert [field for field in cases if f"{field}" in told] == list(cases)
    assert namespace.pods() == []


def test_sources_that_cant_be_used(namespace):
    cases = {
        "def main(x: complex) -> int:\n    return 1\n": (
            "complex can't be the type of an input (main.py line 1: def main(x: complex) -> int:)"
        ),
        "from cog import BasePredictor\nclass P(BasePredictor):\n    def predict(self): ...\n": (
            "P is a class: a pipeline has no setup, write a function main() "
            "(main.py line 2: class P(BasePredictor):)"
        ),
        "def main(**everything: str) -> int:\n    return 1\n": (
            "main() takes **everything: name each input "
            "(main.py line 1: def main(**everything: str) -> int:)"
        ),
        "def main(untold) -> int:\n    return 1\n": (
            "the input 'untold' has no annotation (main.py line 1: def main(untold) -> int:)"
        ),
    }
    runs = {namespace.run(source): words for source, words in cases.items()}
    for run, words in runs.items():
        refused(namespace, run, "InvalidSource", words)
    assert namespace.pods() == []


def test_several_files_import_each_other(namespace):
    files = {
        "app/start.py": "from app.parts import twice\nimport shared\n"
        "def go(n: shared.Number) -> int:\n    return twice(n) + shared.ONE\n",
        "app/parts.py": "import shared\ndef twice(n):\n    return 2 * n * shared.ONE\n",
        "shared.py": "Number = int\nONE = 1\n",
    }
    spec = {"source": {"files": files}, "entrypoint": "app/start.py:go"}
    run = namespace.create({"pipelineSpec": spec, "input": {"n": 20}})
    wrong = namespace.create({"pipelineSpec": spec, "input": {"n": "twenty"}})
    missing = {**spec, "entrypoint": "app/none.py:go"}
    guilty = {**spec, "source": {"files": {**files, "shared.py": "ONE = 1\nNumber = complex\n"}}}
    elsewhere = namespace.create({"pipelineSpec": guilty, "input": {"n": 20}})
    nowhere = namespace.create({"pipelineSpec": missing, "input": {"n": 20}})
    # The type was read from the other file.
    refused(namespace, wrong, "InvalidInput", "n: must be an integer, not a string")
    refused(
        namespace,
        elsewhere,
        "InvalidSource",
        "complex can't be the type of an input (shared.py line 2: Number = complex)",
    )
    refused(
        namespace,
        nowhere,
        "InvalidSource",
        "the entrypoint 'app/none.py:go' names a file that is not there",
    )
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == 41
    namespace.no_pods()


READS = "from cog import Path\ndef main(file: Path) -> str:\n    return file.read_text()\n"

SERVER = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://PRIVATE/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path in {"/there.txt", "/secret"}:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"there")
        else:
            self.send_error(404)

http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""

PUBLIC = "192.88.99.77"
"""Of a range that was given back and is routed nowhere, but is none of the private ones: as an
external address of a Service it leads to that Service's pods, and so stands for the internet."""


@pytest.fixture
def server(namespace: Namespace, kubectl) -> str:
    """An HTTP server in a pod; its private host. It has the address `PUBLIC` too."""
    host = f"server.{namespace.name}.svc.cluster.local"
    image = kubectl.json("get", "mprt", "default")["spec"]["image"]
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/mayfly/bin/python", "-u", "-c", SERVER.replace("PRIVATE", host)],
        "readinessProbe": {"httpGet": {"path": "/there.txt", "port": 8080}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "labels": {"app": "server"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {
            "selector": {"app": "server"},
            "ports": [{"port": 80, "targetPort": 8080}],
            "externalIPs": [PUBLIC],
        },
    }
    # Where policies are enforced, what keeps the agent away must be the agent, not the policy.
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "open"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    for body in (pod, service, policy):
        namespace.apply(body)
    kubectl("wait", "--for=condition=Ready", "pod/server", "-n", namespace.name, "--timeout=120s")
    eventually(lambda: has_endpoint(namespace))
    return host


def has_endpoint(namespace: Namespace) -> bool:
    slices = namespace.kubectl.json(
        "get", "endpointslices", "-n", namespace.name, "-l", "kubernetes.io/service-name=server"
    )["items"]
    return any(each.get("endpoints") for each in slices)


def test_files_that_cant_be_fetched(namespace, kubectl, server):
    private = "a private address: it is not fetched from"
    address = kubectl.json("get", "service", "server", "-n", namespace.name)["spec"]["clusterIP"]
    cases = {
        f"http://{server}/there.txt": f"{server} is at {address}, {private}",
        "http://169.254.169.254/latest/meta-data": (
            f"169.254.169.254 is at 169.254.169.254, {private}"
        ),
        "http://[::1]:8080/x": f"::1 is at ::1, {private}",
        "http://no-such-name.invalid/x": "no-such-name.invalid: the name can't be resolved",
        f"http://{PUBLIC}/missing.png": f"{PUBLIC} answered 404 Not Found",
        f"http://{PUBLIC}/away": f"{server} is at {address}, {private}",
        "data:text/plain;base64,!!": "a data: URI that is not base64",
    }
    runs = {url: namespace.run(READS, input={"file": url}) for url in cases}
    # That it can be fetched from at all, or nothing here would say anything.
    there = namespace.run(READS, input={"file": f"http://{PUBLIC}/there.txt"})
    refused(
        namespace,
        namespace.run(READS, input={"file": "ftp://example.com/x"}),
        "InvalidInput",
        "file: must be the URL of a file (http, https or data), not "
        + json.dumps("ftp://example.com/x"),
    )
    for url, words in cases.items():
        ended = namespace.finished(runs[url], seconds=240)
        told = f"file: could not fetch the file: {words}"
        assert (reason(ended), message(ended)) == ("InputFetchFailed", told), url
        assert ended["status"]["error"] == told
        assert reason(ended, "Started") == "NotStarted"
        assert ended["status"]["usage"]["activeMilliseconds"] == 0
    fetched = namespace.finished(there, seconds=240)
    assert (reason(fetched), fetched["status"].get("output")) == ("Succeeded", "there"), message(
        fetched
    )
    asked = kubectl("logs", "server", "-n", namespace.name)
    assert "/missing.png" in asked
    assert "/away" in asked
    assert "/secret" not in asked
    eventually(lambda: [pod["metadata"]["name"] for pod in namespace.pods()] == ["server"])
