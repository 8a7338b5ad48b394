"""`models`: the example models on a cluster, from the image to the last one that is ready."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from localcluster import __main__ as command_line
from localcluster.clone import ROOT
from localcluster.clusters.given import GivenCluster
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.installation import models

NAMES = sorted(each.parent.name for each in (ROOT / "examples/models").glob("*/predict.py"))
REFERENCE = "registry.example/models@sha256:1"


@pytest.fixture
def cluster(here, tools, monkeypatch) -> GivenCluster:
    tools.install("kubectl", "helm")
    made = GivenCluster(here.beside("current"))
    made.up()
    items = [{"metadata": {"name": name}} for name in reversed(NAMES)]
    tools.answer("kubectl", "get", "mmdl", "json", out=json.dumps({"items": items}))
    monkeypatch.setenv("MAYFLY_CLUSTER", "current")
    monkeypatch.setenv("MAYFLY_MODELS_IMAGE", REFERENCE)
    tools.forget_calls()
    return made


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["localcluster", "models", *words])
        code = command_line.main()
        return code, *capsys.readouterr()

    return run


def items(name):
    manifest = yaml.safe_load(models.manifest(REFERENCE))["items"]
    return {each["kind"]: each for each in manifest if each["metadata"]["name"] == name}


def test_it_applies_waits_and_says_what_to_try(cluster, call, tools):
    code, out, err = call()
    assert (code, out) == (0, "")
    assert f"ready in default: {', '.join(NAMES)}" in err
    assert "kubectl create -n default -f examples/calls/run.yaml" in err
    (apply,) = tools.calls("kubectl", "apply")
    assert apply.words[:3] == ["apply", "-n", "default"]
    assert apply.stdin == models.manifest(REFERENCE)
    waited = [each.words[-2] for each in tools.calls("kubectl", "wait")]
    assert waited == ["--for=condition=Available", "--for=condition=Ready"]


def test_into_a_namespace_of_ones_own(cluster, call, tools):
    assert call("--namespace", "mine")[0] == 0
    (apply,) = tools.calls("kubectl", "apply")
    assert apply.words[:3] == ["apply", "-n", "mine"]
    assert all("mine" in each.words for each in tools.calls("kubectl", "wait"))


def test_a_given_cluster_needs_a_reference_of_the_image(cluster, call, tools, monkeypatch):
    monkeypatch.delenv("MAYFLY_MODELS_IMAGE")
    code, _, err = call()
    assert code == 1
    assert "your cluster must be able to pull the images" in err
    assert "  MAYFLY_MODELS_IMAGE=…@sha256:…\n" in err
    assert "OPERATOR" not in err
    assert tools.calls("kubectl", "apply") == []


def test_where_nothing_runs(cluster, call, tools):
    tools.answer("kubectl", "--raw=/readyz", code=1)
    assert call()[0::2] == (
        1,
        "\nthe cluster of your kubeconfig does not run: `make up` starts it\n",
    )


def test_where_mayfly_is_not_installed(cluster, call, tools):
    tools.answer("kubectl", "models.mayfly.dev", code=1)
    assert "Mayfly is not installed there: run `make up` first" in call()[2]


def test_a_namespace_that_is_not_there(cluster, call, tools):
    tools.answer("kubectl", "namespace", "nowhere", code=1)
    code, _, err = call("--namespace", "nowhere")
    assert code == 1
    assert "there is no namespace nowhere: `kubectl create namespace nowhere`" in err


def test_one_that_does_not_get_ready_is_shown(cluster, tools, monkeypatch):
    monkeypatch.setattr(models, "_LONGEST", 0.1)
    tools.answer("kubectl", "wait", code=1)
    tools.answer("kubectl", "pods,mmdl", out="pod/echo ImagePullBackOff\n")
    with pytest.raises(Failure, match=r"(?s)every model is ready.*pod/echo ImagePullBackOff"):
        models.install(cluster, "default")


@pytest.mark.parametrize("name", NAMES)
def test_each_predictor_has_a_server_a_service_and_a_model(name):
    found = items(name)
    assert set(found) == {"Deployment", "Service", "Model"}
    pod = found["Deployment"]["spec"]["template"]
    (server,) = pod["spec"]["containers"]
    assert server["image"] == REFERENCE
    assert server["workingDir"] == f"/models/{name}"
    assert server["readinessProbe"]["httpGet"]["path"] == "/health-check"
    assert found["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    service = found["Model"]["spec"]["endpoint"]["service"]
    assert service == {"name": name, "port": found["Service"]["spec"]["ports"][0]["port"]}
    assert found["Deployment"]["spec"]["replicas"] == 1
    labels = {label: each for label, _, each in [models.SELECTOR.partition("=")]}
    assert all(labels.items() <= each["metadata"]["labels"].items() for each in found.values())


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_pod_security_restricted(name):
    pod = items(name)["Deployment"]["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert server["securityContext"]["allowPrivilegeEscalation"] is False
    assert server["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False
    assert {next(iter(set(each) - {"name"})) for each in pod["volumes"]} == {"emptyDir"}


def test_the_image_has_every_predictor_and_what_reads_their_schemas(tmp_path):
    recipes.MODELS.copy(tmp_path)
    copied = {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.py")}
    assert {f"{name}/predict.py" for name in NAMES} <= copied
    assert {"schemas.py", "mayfly_runtime/spec/schema.py"} <= copied
    assert Path(tmp_path / "requirements.txt").exists()
