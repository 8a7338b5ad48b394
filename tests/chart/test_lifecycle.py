"""What upgrades change, what an uninstall leaves, how the parts are spread and replaced."""

import shutil

import pytest
import yaml

KEEP = {"helm.sh/resource-policy": "keep"}

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: mayflies.mayfly.dev
spec:
  group: mayfly.dev
  versions:
    - name: v1alpha1
      schema:
        openAPIV3Schema:
          description: "{{ not a template }}"
          maximum: 4294967296
          pattern: '^[0-9]{1,12}(\\.[0-9]{1,18})?$'
"""


@pytest.fixture
def with_a_kind(chart, tmp_path):
    """A copy of the chart with one kind of the test's own."""
    copy = tmp_path / "mayfly"
    shutil.copytree(chart, copy, ignore=shutil.ignore_patterns("crds"))
    (copy / "files" / "crds").mkdir(parents=True)
    (copy / "files" / "crds" / "mayflies.yaml").write_text(CRD)
    return copy


def test_kinds_are_installed_as_written_and_kept(render, with_a_kind):
    (crd,) = render(chart=with_a_kind).of("CustomResourceDefinition")
    assert crd["spec"] == yaml.safe_load(CRD)["spec"]
    assert crd["metadata"]["name"] == "mayflies.mayfly.dev"
    assert crd["metadata"]["annotations"] == KEEP


def test_kinds_can_go_with_the_release_or_stay_out_of_it(render, with_a_kind):
    (crd,) = render({"crds": {"keep": False}}, chart=with_a_kind).of("CustomResourceDefinition")
    assert not crd["metadata"].get("annotations")
    left_out = render({"crds": {"install": False}}, chart=with_a_kind)
    assert left_out.of("CustomResourceDefinition") == []


def test_every_generated_kind_is_rendered_unchanged(default, chart):
    files = sorted((chart / "files" / "crds").glob("*.yaml"))
    assert files, "the kinds are not generated: run `make generate`"
    for file in files:
        source = yaml.safe_load(file.read_text())
        rendered = default.named("CustomResourceDefinition", source["metadata"]["name"])
        assert rendered["spec"] == source["spec"]
    assert len(default.of("CustomResourceDefinition")) == len(files)


def test_an_uninstall_leaves_the_volume_and_its_key(default):
    for kind, name in (("PersistentVolumeClaim", "mayfly-gateway"),):
        assert default.named(kind, name)["metadata"]["annotations"] == KEEP


def test_unless_it_is_told_not_to(render):
    rendered = render({"gateway": {"persistence": {"keep": False}}})
    for kind, name in (("PersistentVolumeClaim", "mayfly-gateway"),):
        assert "annotations" not in rendered.named(kind, name)["metadata"]


def test_selectors_never_change(default, render, chart, tmp_path):
    """Kubernetes refuses a Deployment whose selector differs from the installed one."""
    newer = tmp_path / "mayfly"
    shutil.copytree(chart, newer)
    text = (newer / "Chart.yaml").read_text()
    (newer / "Chart.yaml").write_text(text.replace("0.1.0", "0.2.0"))
    changed = render({"controller": {"podLabels": {"team": "blue"}}}, chart=newer)
    for deployment in changed.of("Deployment"):
        before = default.named("Deployment", deployment["metadata"]["name"])["spec"]["selector"]
        assert deployment["spec"]["selector"] == before
        assert before.keys() == {"matchLabels"}
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert before["matchLabels"].items() <= labels.items()


def test_a_changed_configuration_restarts_the_parts(default, render):
    rendered = render({"limits": {"depth": 10}})
    for part in ("controller", "gateway"):
        before, after = (
            manifests.named("Deployment", f"mayfly-{part}")["spec"]["template"]["metadata"]
            for manifests in (default, rendered)
        )
        assert before["annotations"]["checksum/config"] != after["annotations"]["checksum/config"]


def test_sqlite_is_never_open_twice(default, scaled_out, render):
    def strategy(rendered):
        return rendered.named("Deployment", "mayfly-gateway")["spec"]["strategy"]["type"]

    assert strategy(default) == "Recreate"
    assert strategy(render({"gateway": {"persistence": {"enabled": False}}})) == "Recreate"
    assert strategy(scaled_out) == "RollingUpdate"


def test_controllers_prefer_different_nodes(default, render):
    pod = default.named("Deployment", "mayfly-controller")["spec"]["template"]["spec"]
    assert list(pod["affinity"]["podAntiAffinity"]) == [
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    own = {"nodeAffinity": {}}
    changed = render({"controller": {"affinity": own}})
    pod = changed.named("Deployment", "mayfly-controller")["spec"]["template"]["spec"]
    assert pod["affinity"] == own


def test_a_single_controller_has_no_disruption_budget(default, render):
    assert default.named("PodDisruptionBudget", "mayfly-controller")["spec"]["maxUnavailable"] == 1
    assert render({"controller": {"replicas": 1}}).of("PodDisruptionBudget") == []
    off = {"controller": {"podDisruptionBudget": {"enabled": False}}}
    assert render(off).of("PodDisruptionBudget") == []


VOLUMES = {
    "default class": ({}, {}),
    "no class": ({"storageClassName": "-"}, {"storageClassName": ""}),
    "a class": ({"storageClassName": "fast"}, {"storageClassName": "fast"}),
    "a volume": ({"volumeName": "disk"}, {"volumeName": "disk"}),
}


@pytest.mark.parametrize("case", VOLUMES)
def test_the_claim(render, case):
    values, wanted = VOLUMES[case]
    rendered = render({"gateway": {"persistence": values}})
    spec = rendered.named("PersistentVolumeClaim", "mayfly-gateway")["spec"]
    assert spec.pop("resources") == {"requests": {"storage": "10Gi"}}
    assert spec == {"accessModes": ["ReadWriteOnce"], **wanted}


def test_a_claim_of_the_administrator(render):
    rendered = render({"gateway": {"persistence": {"existingClaim": "mine"}}})
    assert rendered.of("PersistentVolumeClaim") == []
    pod = rendered.named("Deployment", "mayfly-gateway")["spec"]["template"]["spec"]
    data = next(volume for volume in pod["volumes"] if volume["name"] == "data")
    assert data["persistentVolumeClaim"] == {"claimName": "mine"}


def test_ways_in_from_outside(render):
    rendered = render(
        {
            "gateway": {
                "ingress": {"enabled": True, "host": "mayfly.example", "className": "nginx"},
                "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
                "service": {"type": "NodePort", "nodePort": 30443, "clusterIP": "10.96.0.20"},
            },
            "metrics": {"podMonitor": {"enabled": True}},
        }
    )
    service = rendered.named("Service", "mayfly-gateway")["spec"]
    assert service["clusterIP"] == "10.96.0.20"
    assert service["ports"][0]["nodePort"] == 30443
    (rule,) = rendered.named("Ingress", "mayfly-gateway")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "mayfly-gateway", "port": {"name": service["ports"][0]["name"]}}
    route = rendered.named("HTTPRoute", "mayfly-gateway")["spec"]
    assert route["rules"][0]["backendRefs"] == [{"name": "mayfly-gateway", "port": 443}]
    rendered.named("PodMonitor", "mayfly")


def test_placement_reaches_both_parts(render):
    placement = {
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "priorityClassName": "system-cluster-critical",
    }
    rendered = render({"controller": placement, "gateway": placement})
    for deployment in rendered.of("Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        assert {key: spec[key] for key in placement} == placement
