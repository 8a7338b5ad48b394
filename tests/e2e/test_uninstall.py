"""Upgrade and uninstall with a run in progress. Changes the installation, so it runs alone."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.cluster.installation import SYSTEM, every_namespace_gone, reason
from support.cluster.warm import pool
from support.waiting import eventually

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "mayfly"
SLOW = "import time\ndef main() -> str:\n    time.sleep(15)\n    return 'done'\n"

OURS = (
    "clusterroles", "clusterrolebindings", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)  # fmt: skip


def helm(*arguments: str) -> str:
    done = subprocess.run(["helm", *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def values(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("helm") / "values.json"
    file.write_text(helm("get", "values", "mayfly", "-n", SYSTEM, "-o", "json"))
    return file


@pytest.fixture(scope="module", autouse=True)
def reinstalled(values):
    yield
    up = [sys.executable, "-m", "localcluster", "up"]
    subprocess.run(up, check=True, env={**os.environ, "PYTHONPATH": f"{ROOT}/local-cluster"})


@pytest.fixture(autouse=True)
def alone(kubectl) -> Iterator[None]:
    """What another test has left must go while there is an installation that lets it."""
    every_namespace_gone(kubectl)
    yield
    every_namespace_gone(kubectl)


def upgrade(values: Path, *more: str) -> None:
    helm(
        "upgrade", "--install", "mayfly", str(CHART), "-n", SYSTEM, "-f", str(values), *more,
        "--wait", "--timeout", "4m",
    )  # fmt: skip


def left(kubectl, namespace: str) -> list[str]:
    """Names of what is left of an installation, CRDs and their objects aside."""
    found = [
        name
        for kind in OURS
        for name in kubectl("get", kind, "-o", "name").split()
        if "mayfly" in name and "e2e" not in name
    ]
    kinds = "deploy,svc,cm,secret,sa,pvc,netpol,role,rolebinding,lease,ingress,pdb,pod"
    found += [
        name
        for name in kubectl("get", kinds, "-n", SYSTEM, "-o", "name").split()
        if "kube-root-ca" not in name and not name.endswith(("/default", "/e2e"))
    ]
    found += kubectl("get", "netpol,pod", "-n", namespace, "-o", "name").split()
    return found


def newly_trusting(kubectl, api: httpx.Client) -> httpx.Client:
    """The client for an installation made anew: the authority went with the old one."""
    encoded = kubectl.json("get", "secret", "mayfly-tls", "-n", SYSTEM)["data"]["ca.crt"]
    context = ssl.create_default_context(cadata=base64.b64decode(encoded).decode())
    transport = httpx.HTTPTransport(verify=context, retries=8)
    return httpx.Client(base_url=api.base_url, headers=api.headers, transport=transport)


def test_an_upgrade_changes_nothing_for_a_run(namespace, kubectl, values):
    before = kubectl.json("get", "secret", "mayfly-tls", "-n", SYSTEM)["data"]
    key = kubectl.json("get", "secret", "mayfly-signing", "-n", SYSTEM)["data"]
    with pool(namespace, 1) as warm:
        run = warm.run(SLOW)
        namespace.started(run)
        waiting = warm.filled()
        upgrade(values, "--set", "controller.logLevel=debug", "--set", "gateway.logLevel=debug")
        ended = namespace.finished(run)
        assert reason(ended) == "Succeeded", ended["status"]
        assert namespace.prediction(run)["output"] == "done"
        # What waits is as good as before, and the next run uses it.
        assert warm.filled().keys() == waiting.keys()
        last = namespace.finished(warm.run("def main() -> int:\n    return 1\n"))
        assert last["status"]["podUID"] in waiting
    assert kubectl.json("get", "secret", "mayfly-tls", "-n", SYSTEM)["data"] == before
    assert kubectl.json("get", "secret", "mayfly-signing", "-n", SYSTEM)["data"] == key


def test_an_uninstall_leaves_the_kinds_and_the_ledger(namespace, kubectl, values):
    run = namespace.run("def main() -> str:\n    return 'kept'\n")
    identity = namespace.finished(run)["status"]["id"]
    helm("uninstall", "mayfly", "-n", SYSTEM, "--wait", "--timeout", "3m")
    expected = ["persistentvolumeclaim/mayfly-gateway"]
    eventually(lambda: left(kubectl, namespace.name), 90, lambda found: found == expected)
    assert namespace.get(run)["status"]["finished"] is True
    upgrade(values)
    path = f"/v1/predictions/{identity}"
    with newly_trusting(kubectl, namespace.api) as api:
        answer = eventually(lambda: api.get(path), accept=lambda got: got.is_success)
    assert answer.json()["output"] == "kept"


def test_an_uninstall_that_may_take_all_leaves_nothing(namespace, kubectl, values):
    upgrade(values, "--set", "crds.keep=false", "--set", "gateway.persistence.keep=false")
    run = namespace.run(SLOW)
    namespace.started(run)
    helm("uninstall", "mayfly", "-n", SYSTEM, "--wait", "--timeout", "3m")
    eventually(lambda: left(kubectl, namespace.name), 90, lambda found: found == [])
    crds = json.loads(kubectl("get", "crd", "-o", "json"))["items"]
    assert [each for each in crds if each["spec"]["group"] == "mayfly.dev"] == []
