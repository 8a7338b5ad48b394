"""Inputs and sources: what is wrong costs no pod; what only a pod can find out costs nothing."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from support.cluster.installation import Json, Kubectl, Namespace, message, reason
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
    """The run ended without a pod, and says why wherever a person may look."""
    ended = namespace.finished(run)
    assert reason(ended) == "Refused", message(ended)
    assert (reason(ended, "Accepted"), message(ended, "Accepted")) == (why, words)
    assert message(ended) == ended["status"]["error"] == words
    assert namespace.prediction(run)["error"] == words
    assert reason(ended, "Started") == "NotStarted"
    assert ended["status"]["usage"]["activeMilliseconds"] == 0
    assert "podName" not in ended["status"]


def output(namespace: Namespace, run: str) -> object:
    """What a run returned that must have succeeded."""
    ended = namespace.finished(run, seconds=240)
    assert reason(ended) == "Succeeded", message(ended)
    return ended["status"]["output"]


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
    most = namespace.run(RULES, input={"words": ["x" * 65_536], "code": "z-9"})
    for field, run in runs.items():
        refused(namespace, run, "InvalidInput", cases[field][1])
    refused(namespace, long, "InvalidInput", "name: must have at most 5 characters (got 7)")
    refused(namespace, all_wrong, "InvalidInput", "; ".join(words for _, words in cases.values()))
    assert output(namespace, most) == "z-9"
    namespace.no_pods()


def test_sources_that_cant_be_used_name_file_and_line(namespace):
    cases = {
        "def main(x: complex) -> int:\n    return 1\n": (
            "complex can't be the type of an input (main.py line 1: def main(x: complex) -> int:)"
            + USABLE
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
            + USABLE
        ),
        "def start() -> int:\n    return 1\n": (
            "there is no function main in main.py: it has start"
        ),
    }
    runs = {namespace.run(source): words for source, words in cases.items()}
    for run, words in runs.items():
        refused(namespace, run, "InvalidSource", words)
    assert namespace.pods() == []


USABLE = (
    "; an input may be str, int, float, bool, dict, Any, Literal, cog.Path, cog.File or "
    "cog.Secret, a list, set or tuple of one of these, or one of these | None"
)

FILES = {
    "app/start.py": "from app.parts import twice\nimport shared\n"
    "def go(n: shared.Number) -> int:\n    return twice(n) + shared.ONE\n",
    "app/parts.py": "from . import deep\nimport shared\n"
    "def twice(n):\n    return deep.TWO * n * shared.ONE\n",
    "app/deep.py": "import app.parts\nTWO = 2\n",
    "shared.py": "Number = int\nONE = 1\n",
}


def several(n: object, entrypoint: str = "app/start.py:go", **changed: str) -> Json:
    """A run of several files; `changed` has other texts by a file's name without folder."""
    files = {
        name: changed.get(name.rsplit("/")[-1].removesuffix(".py"), text)
        for name, text in FILES.items()
    }
    template = {"source": {"files": files}, "entrypoint": entrypoint}
    return {"pipelineSpec": template, "input": {"n": n}}


def test_several_files_import_each_other(namespace):
    run = namespace.create(several(20))
    wrong = {
        # The type was read from the other file.
        namespace.create(several("twenty")): (
            "InvalidInput",
            "n: must be an integer, not a string",
        ),
        namespace.create(several(20, shared="ONE = 1\nNumber = complex\n")): (
            "InvalidSource",
            "complex can't be the type of an input (shared.py line 2: Number = complex)" + USABLE,
        ),
        # Nothing but the import of an import leads to it.
        namespace.create(several(20, deep="import app.parts\nTWO = = 2\n")): (
            "InvalidSource",
            "syntax error: invalid syntax at app/deep.py line 2: TWO = = 2",
        ),
        namespace.create(several(20, entrypoint="app/none.py:go")): (
            "InvalidSource",
            "the entrypoint 'app/none.py:go' names a file that does not exist",
        ),
        namespace.create(several(20, entrypoint="app/start.py:stop")): (
            "InvalidSource",
            "there is no function stop in app/start.py: it has go",
        ),
    }
    for name, (why, words) in wrong.items():
        refused(namespace, name, why, words)
    assert output(namespace, run) == 41
    namespace.no_pods()


EXACT = (
    '{ "value" : {"z":1.0, "a":12345678901234567890123, "tiny":1e-7, "b":[1.50,-0.0],\n'
    '  "text":"\\u00e9\\ud83d\\ude00<&>", "twice":1, "twice":2}, "unknown": 3 }'
)

TELLS = """
from typing import Any
def main(value: Any) -> dict:
    return {"repr": repr(value)}
"""


def test_input_json_reaches_main_as_it_was_written(namespace):
    run = namespace.run(TELLS, inputJSON=EXACT)
    told = output(namespace, run)
    # Equal keys: the last one counts, as in every JSON reader of Python's.
    value = {
        "z": 1.0,
        "a": 12345678901234567890123,
        "tiny": 1e-7,
        "b": [1.50, -0.0],
        "text": "é😀<&>",
        "twice": 2,
    }
    assert told == {"repr": repr(value)}
    assert namespace.get(run)["spec"]["inputJSON"] == EXACT
    # A name that the pipeline does not take is ignored, and that is said.
    assert "unknown" in namespace.logs(run)
    namespace.no_pods()


def test_input_json_that_cant_be_read_is_told_in_words(namespace):
    cases = {
        '{"value": 1': "spec.inputJSON: the input is not JSON: Expecting ',' delimiter: "
        "line 1 column 12 (char 11)",
        '{"value": NaN}': "spec.inputJSON: the input is not JSON: it holds NaN",
        '{"value": 1e999}': "spec.inputJSON: the input holds a number that is too large: 1e999",
        '{"value": ' + "[" * 60_000 + "]" * 60_000 + "}": (
            "spec.inputJSON: the input is nested too deeply"
        ),
        '["value"]': "spec.inputJSON is not a JSON object: {…}",
    }
    runs = {namespace.run(TELLS, inputJSON=text): words for text, words in cases.items()}
    for run, words in runs.items():
        refused(namespace, run, "InvalidInput", words)
    assert namespace.pods() == []


def test_a_deeply_nested_input_harms_nobody(namespace):
    """`Any` takes it as it is: nothing on the way may count on shallow values."""
    source = (
        "from typing import Any\ndef main(value: Any) -> int:\n    depth = 0\n"
        "    while value:\n        value, depth = value[0], depth + 1\n    return depth\n"
    )
    nested = json.loads("[" * 800 + "]" * 800)
    given = namespace.run(source, input={"value": nested})
    verbatim = namespace.run(source, inputJSON=json.dumps({"value": nested}))
    assert output(namespace, given) == 799
    assert output(namespace, verbatim) == 799
    namespace.no_pods()


def test_an_input_that_no_object_can_hold(namespace, kubectl):
    """6 MiB by kubectl: the API server itself refuses it, and docs/authors.md says what to do."""

    def refusal(value: str) -> str:
        body = {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "PipelineRun",
            "metadata": {"name": "large"},
            "spec": {"pipelineSpec": {"source": {"inline": TELLS}}, "input": {"value": value}},
        }
        command = ["kubectl", "create", "-n", namespace.name, "-f", "-"]
        done = subprocess.run(
            command, input=json.dumps(body), text=True, capture_output=True, check=False
        )
        assert done.returncode != 0
        return done.stderr

    told = refusal("x" * 6 * 2**20)
    assert "is too large" in told or "too large" in told, told
    assert kubectl("get", "prun", "-n", namespace.name, "-o", "name") == ""
    # What it still takes, the controller refuses in our words; "é" has two bytes.
    over = namespace.run(TELLS, input={"value": "é" * 65_537})
    words = "spec.input is larger than 128 KiB; send larger input through the HTTP API"
    refused(namespace, over, "InvalidInput", words)
    assert namespace.pods() == []
    most = namespace.run(
        "def main(value: str) -> str:\n    import hashlib\n"
        "    return hashlib.sha256(value.encode()).hexdigest()\n",
        input={"value": "é" * 65_000},
    )
    assert output(namespace, most) == hashlib.sha256(("é" * 65_000).encode()).hexdigest()
    namespace.no_pods()


# -- files by URL ---------------------------------------------------------------------------------

READS = "from cog import Path\ndef main(file: Path) -> str:\n    return file.read_text()\n"

SERVER = """
import http.server, time

class Handler(http.server.BaseHTTPRequestHandler):
    def begin(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self):
        if self.path == "/there.txt":
            self.begin(200, Content_Length="5")
            self.wfile.write(b"there")
        elif self.path == "/away":
            self.begin(302, Location="http://169.254.169.254/latest", Content_Length="0")
        elif self.path == "/moved":
            self.begin(302, Location="/there.txt", Content_Length="0")
        elif self.path == "/announced":
            self.begin(200, Content_Length=str(2 * 2**30))
            time.sleep(600)
        elif self.path == "/endless":
            self.begin(200)
            while True:
                self.wfile.write(bytes(2**20))
        elif self.path == "/slow":
            self.begin(200)
            while True:
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.2)
        elif self.path == "/short":
            self.begin(200, Content_Length="10")
            self.wfile.write(b"half")
        else:
            self.send_error(404)

http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""

ALLOWED = ipaddress.ip_network("10.96.200.0/24")
"""`networkPolicy.allowed` of the local and the kind cluster's values: Services of file servers."""


@dataclass(frozen=True)
class Server:
    """An HTTP server in a pod: at an address that is allowed, and at one that is not."""

    allowed: str
    private: str


@pytest.fixture
def server(namespace: Namespace, kubectl: Kubectl) -> Iterator[Server]:
    container = {
        "name": "server",
        "image": kubectl.json("get", "mprt", "default")["spec"]["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/mayfly/bin/python", "-u", "-c", SERVER],
        "readinessProbe": {
            "httpGet": {"path": "/there.txt", "port": 8080},
            "periodSeconds": 1,
            # Once it serves it serves: a slow answer on a busy node must not take it away.
            "timeoutSeconds": 10,
            "failureThreshold": 60,
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "labels": {"app": "server"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    # Where policies are enforced they see the pod behind the Service, whose range is not open.
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "server"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}]}],
        },
    }
    for body in (pod, policy, service("private")):
        namespace.apply(body)
    # Another test's Service may have the address.
    for address in random.sample(list(ALLOWED.hosts()), 5):
        body = json.dumps(service("allowed", clusterIP=str(address)))
        told = kubectl("apply", "-n", namespace.name, "-f", "-", stdin=body, check=False)
        if "created" in told:
            break
    else:
        pytest.fail(told)
    kubectl("wait", "--for=condition=Ready", "pod/server", "-n", namespace.name, "--timeout=120s")
    private = kubectl.json("get", "service", "private", "-n", namespace.name)["spec"]["clusterIP"]
    for each in (str(address), private):
        # A Service refuses connections until the node has heard that its pod is ready.
        look = f"import urllib.request as u; print(u.urlopen('http://{each}/there.txt').read())"
        asked = ("exec", "server", "-n", namespace.name, "--", "/opt/mayfly/bin/python", "-c", look)
        eventually(lambda words=asked: "b'there'" in kubectl(*words, check=False), 60)
    yield Server(str(address), private)
    kubectl("delete", "pod", "server", "-n", namespace.name, "--grace-period=0", "--force")


def service(name: str, **spec: str) -> Json:
    ports = [{"port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "server"}, "ports": ports, **spec},
    }


def test_files_by_url(namespace, kubectl, server):
    good, bad, private = server.allowed, server.private, "a private address, which is not allowed"
    name = f"private.{namespace.name}.svc.cluster.local"
    gateway = kubectl.json("get", "configmap", "mayfly-config", "-n", "mayfly-system")["data"]
    own = json.loads(gateway["controller.json"])["gatewayURL"]
    wrong = {
        f"http://{good}/none.png": f"{good} answered 404 Not Found",
        f"http://{good}/away": f"169.254.169.254 is at 169.254.169.254, {private}",
        f"http://{good}/announced": f"{good}: the file has {2 * 2**30} bytes, over {2**30}",
        f"http://{good}/endless": f"{good}: the file is larger than {2**30} bytes",
        f"http://{good}/short": f"{good}: the connection broke after 4 bytes",
        f"http://{bad}/there.txt": f"{bad} is at {bad}, {private}",
        f"http://{name}/there.txt": f"{name} is at {bad}, {private}",
        "http://[::1]:8080/x": f"::1 is at ::1, {private}",
        "http://no-such-name.invalid/x": "no-such-name.invalid: the name can't be resolved",
        f"{own}/none.png": f"{urlsplit(own).hostname} answered 404 Not Found",
        "data:text/plain;base64,!!": "a data: URI that is not base64",
    }
    there = {url: namespace.run(READS, input={"file": url}) for url in (
        f"http://{good}/there.txt", f"http://{good}/moved", "data:,there"
    )}  # fmt: skip
    runs = {url: namespace.run(READS, input={"file": url}) for url in wrong}
    slow = namespace.run(READS, input={"file": f"http://{good}/slow"}, startDeadline="40s")
    scheme = namespace.run(READS, input={"file": "ftp://example.com/x"})
    refused(
        namespace,
        scheme,
        "InvalidInput",
        'file: must be the URL of a file (http, https or data), not "ftp://example.com/x"',
    )
    for url, run in there.items():
        assert output(namespace, run) == "there", url
    for url, words in wrong.items():
        told = f"file: could not fetch the file: {words}"
        unstarted(namespace, runs[url], "InputFetchFailed", told)
    ended = namespace.finished(slow, seconds=240)
    assert reason(ended) == "StartDeadlineExceeded"
    assert message(ended).endswith(f"its files were still being fetched from {good}")
    kept = kubectl("logs", "server", "-n", namespace.name)
    assert "/none.png" in kept


def unstarted(namespace: Namespace, run: str, why: str, words: str) -> None:
    """The run's pod found out, before main() was called: nothing is billed."""
    ended = namespace.finished(run, seconds=240)
    assert (reason(ended), message(ended)) == (why, words)
    assert ended["status"]["error"] == namespace.prediction(run)["error"] == words
    assert reason(ended, "Started") == "NotStarted"
    assert ended["status"]["usage"]["activeMilliseconds"] == 0
    assert float(ended["status"]["usage"]["cost"]) == 0
