"""A real Prometheus reads the installed chart: every dashboard and every alert finds its data."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator

import pytest
from support.cluster import example_models
from support.cluster.installation import SYSTEM, Kubectl, reason, runtime
from support.cluster.prometheus import Prometheus
from support.families import alerts, declared, family_of, names_in, queries
from support.waiting import eventually

from mayfly.api.v1alpha1.names import WARM_LABEL

pytestmark = pytest.mark.timeout(900)  # the first one may build the models' image

SECONDS = 120.0
"""Other tests kill the gateway meanwhile; then a counter begins again."""

GOOD = "def main(number: int) -> int:\n    print('working')\n    return number\n"
BAD = "def main() -> None:\n    raise ValueError('no')\n"
CALLS = """
import replicate

model = replicate.use("NAMESPACE/echo")

def main(number: int) -> str:
    return model(text=str(number))
"""
SLOW = "import time\n\ndef main() -> None:\n    time.sleep(600)\n"


@pytest.fixture(scope="module")
def prometheus(kubectl: Kubectl, tmp_path_factory) -> Iterator[Prometheus]:
    server = Prometheus(kubectl, tmp_path_factory.mktemp("prometheus"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def pooled(kubectl, namespace) -> Iterator[str]:
    """A runtime, one pod of which waits in the test's namespace."""
    spec = {**kubectl.json("get", "mprt", "default")["spec"], "warm": {"min": 1}}
    with runtime(kubectl, f"pooled-{namespace.name}", spec) as name:
        kubectl("label", "namespace", namespace.name, f"{WARM_LABEL}={name}")
        yield name


def work(namespace, pooled) -> None:
    """Runs that end in each way, one by name, one of a pool, and calls of a Model."""
    example_models.pipeline(namespace, "numbers", GOOD)
    from_pool = {"source": {"inline": GOOD}, "runtime": pooled}
    runs = [
        namespace.create({"pipelineSpec": from_pool, "input": {"number": 1}}),
        namespace.run(BAD),
        namespace.run(CALLS.replace("NAMESPACE", namespace.name), input={"number": 2}),
        namespace.create({"pipelineRef": {"name": "numbers"}, "input": {"number": 3}}),
    ]
    slow = namespace.run(SLOW)
    namespace.started(slow)
    namespace.kubectl(
        *("patch", "prun", slow, "-n", namespace.name, "--type=merge"),
        *("-p", '{"spec":{"cancel":true}}'),
    )
    ends = [reason(namespace.finished(run, seconds=240)) for run in (*runs, slow)]
    assert ends == ["Succeeded", "UserError", "Succeeded", "Succeeded", "Canceled"]


def finds(prometheus: Prometheus, expr: str) -> bool:
    """Whether an expression has at least one number."""
    return any(not math.isnan(float(each["value"][1])) for each in prometheus.query(expr))


def test_every_dashboard_and_alert_finds_its_data(
    prometheus, namespace, pooled, models_image
) -> None:
    example_models.start(namespace, models_image, "echo")
    parts = "count by (component) (mayfly_build_info)"
    eventually(lambda: len(prometheus.query(parts)) == 2, seconds=SECONDS)
    work(namespace, pooled)

    known = declared()
    stored = prometheus.ask("label/__name__/values")
    there = {family_of(name, known) for name in stored}
    assert known.keys() - there == set()

    def blind() -> list[str]:
        return [each.label for each in queries() if not finds(prometheus, each.expr)]

    # A rate wants two looks at a counter after it moved.
    eventually(blind, seconds=SECONDS, accept=lambda seen: not seen)

    groups = prometheus.ask("rules")["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert rules.keys() == {rule["alert"] for rule in alerts()}
    for rule in rules.values():
        assert (rule["health"], rule.get("lastError", "")) == ("ok", "")
    for rule in alerts():
        prometheus.query(rule["expr"])
        assert names_in(rule["expr"]) <= set(stored), rule["alert"]


def test_the_variables_of_a_dashboard_have_values(prometheus, namespace) -> None:
    namespace.finished(namespace.run(GOOD, input={"number": 1}))

    def values(label: str) -> list[str]:
        match = {"match[]": "mayfly_payer_runs_total"}
        return list(prometheus.ask(f"label/{label}/values", **match))

    for label in ("namespace", "pipeline"):
        found = eventually(lambda label=label: values(label), seconds=SECONDS)
        picked = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": ".*", "$pipeline": ".*"}
        picked[f"${label}"] = found[0]
        for query in queries(picked):
            if query.dashboard == "pipeline":
                prometheus.query(query.expr)


@pytest.mark.parametrize("component", ["controller", "gateway"])
def test_promtool_finds_no_fault_in_what_they_expose(kubectl, component) -> None:
    chosen = f"app.kubernetes.io/name=mayfly,app.kubernetes.io/component={component}"

    def text() -> str:
        pods = kubectl.json("get", "pods", "-n", SYSTEM, "-l", chosen)["items"]
        for pod in pods:
            path = f"{SYSTEM}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
            shown = kubectl("get", "--raw", f"/api/v1/namespaces/{path}", check=False)
            if "mayfly_build_info" in shown:
                return shown
        return ""

    shown = eventually(text, seconds=SECONDS)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=shown, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert len([line for line in shown.splitlines() if not line.startswith("#")]) <= 500
