"""Secrets as people give them: named on the run, read by leave, in the pod and nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import json
import shlex
from pathlib import Path

import pytest
from support.cluster.installation import message, reason
from support.waiting import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "secret"
VALUE = "hunter2-hunter2"
TAKES = """
from cog import Secret
def main(key: Secret) -> int:
    return len(key.get_secret_value())
"""
REF = {"secretKeyRef": {"name": "tokens", "key": "api"}}


def taking(key) -> dict:
    return {"pipelineSpec": {"source": {"inline": TAKES}}, "input": {"key": key}}


def keep(namespace) -> None:
    """`kubectl create secret`."""
    namespace.kubectl(
        "create", "secret", "generic", "tokens", "-n", namespace.name, f"--from-literal=api={VALUE}"
    )


def allow(namespace) -> None:
    """As docs/authors.md says."""
    role = "mayfly-secret-tokens"
    for command in (
        f"create role {role} --verb=get --resource=secrets --resource-name=tokens",
        f"create rolebinding {role} --role={role} --serviceaccount=mayfly-system:mayfly-gateway",
    ):
        namespace.kubectl(*command.split(), "-n", namespace.name)


def add_pipeline(namespace, source: str, **spec) -> None:
    secrets = [{"env": "API_KEY", **REF}]
    namespace.apply(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": "p"},
            "spec": {"source": {"inline": source}, "secrets": secrets, **spec},
        }
    )


def withheld(namespace, spec) -> str:
    """The words of a run that ends because of its secrets."""
    ended = namespace.finished(namespace.create(spec))
    assert reason(ended) == "SecretUnavailable", ended["status"]
    assert reason(ended, "Started") == "NotStarted"
    assert ended["status"]["phase"] == "Failed"
    assert ended["status"]["usage"]["totalCost"] == "0"
    assert ended["status"]["error"] == message(ended)
    namespace.no_pods()
    return message(ended)


def test_the_example(namespace):
    key = "correct-horse-battery-staple"
    namespace.kubectl("apply", "-n", namespace.name, "-f", str(EXAMPLE / "secret.yaml"))
    made = namespace.kubectl(
        "create", "-n", namespace.name, "-f", str(EXAMPLE / "run.yaml"), "-o", "name"
    )
    run = made.strip().split("/")[1]
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]
    signed = hmac.new(key.encode(), b"a letter to Ada", hashlib.sha256).hexdigest()
    assert ended["status"]["output"] == signed
    assert namespace.logs(run) == "as it is: **********, and by accident: [redacted]\n"
    shown = namespace.prediction(run)
    assert shown["input"]["key"] == {"secretKeyRef": {"name": "signing-key", "key": "value"}}
    told = json.dumps([shown, ended]) + namespace.kubectl(
        "logs", "-n", "mayfly-system", "deploy/mayfly-gateway"
    )
    # The source is on the object too, but the key is not in it.
    assert key not in told


def test_what_is_missing_is_told_with_the_command_that_helps(namespace):
    keep(namespace)
    error = withheld(namespace, taking(REF))
    assert f'may not read Secret "tokens" in namespace {namespace.name} (key "api")' in error
    # As a person would: copy the line.
    for command in error.partition("to allow it, run: ")[2].split(" && "):
        program, *arguments = shlex.split(command)
        assert program == "kubectl"
        namespace.kubectl(*arguments)
    run = namespace.create(taking(REF))
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]
    assert ended["status"]["output"] == len(VALUE)

    other = {"secretKeyRef": {"name": "tokens", "key": "other"}}
    error = withheld(namespace, taking(other))
    assert 'has no key "other"' in error
    _, *arguments = shlex.split(error.partition("to add it, run: ")[2])
    namespace.kubectl(*arguments)
    assert namespace.finished(namespace.create(taking(other)))["status"]["output"] == len("VALUE")

    namespace.kubectl("delete", "secret", "tokens", "-n", namespace.name)
    error = withheld(namespace, taking(REF))
    assert 'There is no Secret "tokens"' in error
    _, *arguments = shlex.split(error.partition("to create it, run: ")[2])
    namespace.kubectl(*arguments)
    assert namespace.finished(namespace.create(taking(REF)))["status"]["output"] == len("VALUE")


PRINTS = """
import os, sys, time
AT_IMPORT = os.environ["API_KEY"]
def main() -> None:
    print("whole", AT_IMPORT)
    sys.stdout.write("in two " + AT_IMPORT[:6])
    sys.stdout.flush()
    time.sleep(5)
    print(AT_IMPORT[6:], flush=True)
    time.sleep(5)
    raise ValueError(f"wrong key {AT_IMPORT}")
"""


def test_a_pipelines_secret_and_what_is_told_of_it(namespace):
    keep(namespace)
    allow(namespace)
    add_pipeline(namespace, PRINTS)
    run = namespace.create({"pipelineRef": {"name": "p"}})
    pod = namespace.started(run)["status"]["podName"]
    lines = ["whole [redacted]", "in two [redacted]"]
    eventually(lambda: namespace.logs(run).splitlines() == lines)
    stdout = namespace.kubectl("logs", pod, "-n", namespace.name)
    assert stdout.splitlines() == lines
    ended = namespace.finished(run)
    assert reason(ended) == "UserError"
    assert ended["status"]["error"] == "ValueError: wrong key [redacted]"
    assert "wrong key [redacted]" in namespace.logs(run)
    assert VALUE not in json.dumps([ended, namespace.prediction(run)]) + namespace.logs(run)


def test_a_value_on_the_run_is_refused(namespace):
    ended = namespace.finished(namespace.create(taking(VALUE)))
    assert reason(ended, "Accepted") == "InvalidInput"
    assert "name a Secret of its namespace" in message(ended, "Accepted")
    assert VALUE not in json.dumps(ended["status"])
    assert namespace.pods() == []


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_another_namespace_is_not_given_them(namespace, visibility):
    keep(namespace)
    allow(namespace)
    add_pipeline(namespace, PRINTS, visibility=visibility)
    other = f"{namespace.name}-caller"
    namespace.kubectl("create", "namespace", other)
    try:
        caller = type(namespace)(namespace.kubectl, other, namespace.api)
        spec = {"pipelineRef": {"name": "p", "namespace": namespace.name}}
        ended = caller.finished(caller.create(spec))
        assert reason(ended, "Accepted") == "Forbidden"
        words = "has secrets" if visibility == "public" else "is private"
        assert words in message(ended, "Accepted")
        assert caller.pods() == []
    finally:
        namespace.kubectl("delete", "namespace", other, "--timeout=90s")
