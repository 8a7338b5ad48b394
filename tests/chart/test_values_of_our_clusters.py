"""The values of our clusters: the chart takes them, and they fit what is around them."""

import ipaddress
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from localcluster import state
from localcluster.clusters.kind import KindCluster
from localcluster.clusters.local import LocalCluster
from localcluster.installation import chart
from localcluster.node import network
from mayfly.api.v1alpha1 import PipelineRuntime
from mayfly.api.v1alpha1.names import WARM_LABEL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "local-cluster"
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def helm() -> str:
    found = os.environ.get("MAYFLY_HELM") or shutil.which("helm")
    if not found:
        pytest.fail("no helm: put it on PATH or name it in MAYFLY_HELM")
    return found


@pytest.fixture(scope="session")
def template(helm):
    def run(values: str, *more: str) -> subprocess.CompletedProcess:
        command = [helm, "template", "mayfly", str(ROOT / "charts" / "mayfly")]
        command += ["--namespace", "mayfly-system", "--kube-version", "1.35.0"]
        command += ["--values", str(FOLDER / values)]
        command += ["--set", f"image.reference=localhost/mayfly/operator@{DIGEST}"]
        command += ["--set", f"runtime.default.image=localhost/mayfly/runtime@{DIGEST}", *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def rendered(template):
    made = {}

    def of(values: str) -> list[dict]:
        if values not in made:
            done = template(values)
            assert done.returncode == 0, done.stderr
            made[values] = [item for item in yaml.safe_load_all(done.stdout) if item]
        return made[values]

    return of


@pytest.fixture
def here(tmp_path, monkeypatch) -> state.State:
    """A local cluster's folder that is not this machine's own."""
    monkeypatch.setenv("MAYFLY_LOCAL_STATE", str(tmp_path / "state"))
    for name in ("MAYFLY_VALUES", "MAYFLY_URL"):
        monkeypatch.delenv(name, raising=False)
    return state.current()


def values_of(name: str) -> dict:
    return yaml.safe_load((FOLDER / name).read_text())


def one(manifests: list[dict], kind: str, name: str) -> dict:
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("values", ["values-local.yaml", "values-kind.yaml"])
def test_the_chart_takes_them(rendered, values):
    controller = one(rendered(values), "Deployment", "mayfly-controller")
    assert controller["spec"]["replicas"] == 2


@pytest.mark.parametrize("values", ["values-local.yaml", "values-kind.yaml"])
def test_the_schema_is_asked(template, values):
    done = template(values, "--set", "gateway.service.nodeport=30443")
    assert done.returncode != 0
    assert "nodeport" in done.stderr


@pytest.mark.parametrize("values", ["values-local.yaml", "values-kind.yaml"])
def test_pods_of_the_runtime_that_the_namespace_is_labelled_with_wait(rendered, values):
    config = one(rendered(values), "ConfigMap", "mayfly-config")["data"]
    runtime = PipelineRuntime.model_validate(json.loads(config["runtime.json"]))
    assert f"{WARM_LABEL}={runtime.metadata.name}" == chart.WARM_POOL
    assert runtime.spec.warm
    assert 0 < runtime.spec.warm.min <= runtime.spec.warm.most < runtime.spec.max_pods


def test_kinds_port_leads_to_the_gateway(rendered, here):
    config = yaml.safe_load((ROOT / "kind-config.yaml").read_text())
    (node,) = config["nodes"]
    (mapped,) = node["extraPortMappings"]
    url = urlsplit(KindCluster(here).url)
    assert (url.scheme, url.hostname, url.port) == (
        "https",
        mapped["listenAddress"],
        mapped["hostPort"],
    )
    assert mapped["protocol"] == "TCP"
    values = values_of("values-kind.yaml")
    assert values["gateway"]["service"]["nodePort"] == mapped["containerPort"]
    assert url.hostname in values["tls"]["extraIPs"]
    service = one(rendered("values-kind.yaml"), "Service", "mayfly-gateway")["spec"]
    assert service["type"] == "NodePort"
    assert [port["nodePort"] for port in service["ports"]] == [mapped["containerPort"]]


def test_kind_is_reached_from_this_machine_only():
    config = yaml.safe_load((ROOT / "kind-config.yaml").read_text())
    listens = config["nodes"][0]["extraPortMappings"][0]["listenAddress"]
    assert ipaddress.ip_address(listens).is_loopback


def test_kind_limits_the_processes_of_a_pod():
    (node,) = yaml.safe_load((ROOT / "kind-config.yaml").read_text())["nodes"]
    (patch,) = (yaml.safe_load(each) for each in node["kubeadmConfigPatches"])
    assert patch["kind"] == "KubeletConfiguration"
    assert 0 < patch["podPidsLimit"] <= 4096


def test_the_local_gateways_address(rendered, here):
    address = network.GATEWAY_SERVICE
    assert LocalCluster(here).url == f"https://{address}"
    assert address in values_of("values-local.yaml")["tls"]["extraIPs"]
    service = one(rendered("values-local.yaml"), "Service", "mayfly-gateway")["spec"]
    assert service["clusterIP"] == address
    assert [port["port"] for port in service["ports"]] == [443]


def test_the_local_addresses_fit_their_ranges():
    services, pods = (
        ipaddress.ip_network(text) for text in (network.SERVICE_RANGE, network.POD_RANGE)
    )
    for address in (network.API_SERVICE, network.DNS_SERVICE, network.GATEWAY_SERVICE):
        assert ipaddress.ip_address(address) in services
    assert ipaddress.ip_address(network.NODE_ADDRESS) in pods
    assert not services.overlaps(pods)


@pytest.fixture
def owned(monkeypatch) -> list[tuple[Path, int]]:
    """Whose a folder was made, without being root."""
    made: list[tuple[Path, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, user, group: made.append((path, user)))
    return made


def test_the_local_gateways_volume_is_the_one_that_is_claimed(rendered, here, owned):
    volume = yaml.safe_load(LocalCluster(here).manifests)
    claims = [m for m in rendered("values-local.yaml") if m["kind"] == "PersistentVolumeClaim"]
    (claim,) = (m["spec"] for m in claims)
    assert claim["volumeName"] == volume["metadata"]["name"] == "mayfly-gateway"
    assert claim["storageClassName"] == volume["spec"]["storageClassName"] == ""
    assert claim["resources"]["requests"]["storage"] == volume["spec"]["capacity"]["storage"]
    assert claim["accessModes"] == volume["spec"]["accessModes"]
    assert volume["spec"]["hostPath"]["path"] == str(here.gateway_volume)
    assert here.gateway_volume.is_dir()


def test_the_local_gateway_may_write_to_its_volume(rendered, here, owned):
    assert LocalCluster(here).manifests
    pod = one(rendered("values-local.yaml"), "Deployment", "mayfly-gateway")["spec"]["template"]
    assert owned == [(here.gateway_volume, pod["spec"]["securityContext"]["runAsUser"])]
