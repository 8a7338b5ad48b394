"""What the two parts may do: their pods, their rights, their network."""

import pytest

PARTS = ("controller", "gateway")


def pod(rendered, part):
    return rendered.named("Deployment", f"mayfly-{part}")["spec"]["template"]["spec"]


def containers(spec):
    return spec["containers"] + spec.get("initContainers", [])


RESTRICTED = {
    "no host namespaces": lambda spec: (
        not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    ),
    "no host ports": lambda spec: (
        not any(port.get("hostPort") for c in containers(spec) for port in c.get("ports", []))
    ),
    "not privileged": lambda spec: (
        not any(c["securityContext"].get("privileged") for c in containers(spec))
    ),
    "no privilege escalation": lambda spec: all(
        c["securityContext"]["allowPrivilegeEscalation"] is False for c in containers(spec)
    ),
    "no capabilities": lambda spec: all(
        c["securityContext"]["capabilities"] == {"drop": ["ALL"]} for c in containers(spec)
    ),
    "not root": lambda spec: (
        spec["securityContext"]["runAsNonRoot"] is True
        and spec["securityContext"]["runAsUser"] == 65532
    ),
    "seccomp": lambda spec: spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
    "volume types": lambda spec: all(
        set(volume) - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
        for volume in spec["volumes"]
    ),
    "no sysctls": lambda spec: "sysctls" not in spec["securityContext"],
    # Beyond the profile:
    "read-only root": lambda spec: all(
        c["securityContext"]["readOnlyRootFilesystem"] is True for c in containers(spec)
    ),
    "no service variables": lambda spec: spec["enableServiceLinks"] is False,
    "image by digest": lambda spec: all("@sha256:" in c["image"] for c in containers(spec)),
    "memory limit": lambda spec: all(
        "memory" in c["resources"]["limits"] for c in containers(spec)
    ),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("rule", RESTRICTED)
def test_pods_pass_the_restricted_profile(default, scaled_out, part, rule):
    assert RESTRICTED[rule](pod(default, part))
    assert RESTRICTED[rule](pod(scaled_out, part))


@pytest.mark.parametrize("part", PARTS)
def test_pods_have_all_probes(default, part):
    container = pod(default, part)["containers"][0]
    paths = {p: container[p]["httpGet"]["path"] for p in container if p.endswith("Probe")}
    assert paths == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }


KINDS = ("pipelines", "pipelineversions", "pipelineruns", "pipelineruntimes", "models")
READ = {"get", "list", "watch"}

RIGHTS = {
    "mayfly-controller": {
        **{f"mayfly.dev/{kind}": READ for kind in KINDS},
        "mayfly.dev/pipelineversions": READ | {"create", "delete"},
        "mayfly.dev/pipelineruns": READ | {"delete"},
        "mayfly.dev/pipelineruntimes": READ | {"create", "patch"},
        "mayfly.dev/pipelines/status": {"update", "patch"},
        "mayfly.dev/pipelineruns/status": {"update", "patch"},
        "mayfly.dev/pipelineruntimes/status": {"update", "patch"},
        "mayfly.dev/pipelines/finalizers": {"update"},
        "mayfly.dev/pipelineruns/finalizers": {"update"},
        "mayfly.dev/pipelineruntimes/finalizers": {"update"},
        "/pods": READ | {"create", "patch", "delete"},
        "/namespaces": READ,
        "events.k8s.io/events": {"create"},
        "networking.k8s.io/networkpolicies": {"get", "create", "patch"},
        "rbac.authorization.k8s.io/clusterroles/=mayfly-controller": {"get"},
    },
    "mayfly-gateway": {
        "mayfly.dev/pipelines": READ | {"create", "patch", "delete"},
        "mayfly.dev/pipelineruns": READ | {"create", "patch", "delete"},
        "mayfly.dev/models": READ | {"create", "patch", "delete"},
        "mayfly.dev/models/status": {"patch"},
        "mayfly.dev/pipelineruns/status": {"update", "patch"},
        "mayfly.dev/pipelineversions": READ | {"delete"},
        "mayfly.dev/pipelineruntimes": READ,
        "/namespaces": READ,
        "authentication.k8s.io/tokenreviews": {"create"},
        "authorization.k8s.io/subjectaccessreviews": {"create"},
    },
    "mayfly-view": {f"mayfly.dev/{kind}": READ for kind in KINDS},
    "mayfly-edit": {
        f"mayfly.dev/{kind}": {"create", "update", "patch", "delete", "deletecollection"}
        for kind in ("pipelines", "pipelineruns", "models")
    },
}


def rights(role):
    """group/resource, with /=name where a rule is for one object, to verbs."""
    given = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    key = f"{group}/{resource}" + (f"/={name}" if name else "")
                    given.setdefault(key, set()).update(rule["verbs"])
    return given


@pytest.mark.parametrize("name", RIGHTS)
def test_cluster_rights_are_these_and_no_more(default, name):
    assert rights(default.named("ClusterRole", name)) == RIGHTS[name]


def test_the_lease_is_in_the_own_namespace(default):
    role = default.named("Role", "mayfly-controller")
    assert role["metadata"]["namespace"] == "mayfly-system"
    assert rights(role) == {
        "coordination.k8s.io/leases": {"create"},
        "coordination.k8s.io/leases/=mayfly-controller": {"get", "update", "patch"},
    }


def test_nobody_gets_secrets_or_everything(default):
    for role in default.of("ClusterRole") + default.of("Role"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
            assert "secrets" not in rule["resources"]


def test_every_role_is_bound_to_its_own_part_only(default):
    bindings = default.of("ClusterRoleBinding") + default.of("RoleBinding")
    assert len(bindings) == 3
    for binding in bindings:
        assert [s["name"] for s in binding["subjects"]] == [binding["roleRef"]["name"]]


def test_people_get_rights_by_the_usual_roles(default):
    def aggregated(name):
        labels = default.named("ClusterRole", name)["metadata"]["labels"]
        return {key.rpartition("-")[2] for key in labels if "/aggregate-to-" in key}

    assert aggregated("mayfly-view") == {"view", "edit", "admin"}
    assert aggregated("mayfly-edit") == {"edit", "admin"}


def test_rights_can_be_left_to_the_administrator(render):
    rendered = render({"rbac": {"create": False, "aggregate": False}})
    assert {m["kind"] for m in rendered} & {"ClusterRole", "Role", "RoleBinding"} == set()


def test_tokens_are_mounted_by_the_pods_that_need_them_only(default):
    for account in default.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for part in PARTS:
        assert pod(default, part)["automountServiceAccountToken"] is True
        assert pod(default, part)["serviceAccountName"] == f"mayfly-{part}"


def test_the_controller_reaches_dns_and_the_api_server_only(default):
    spec = default.named("NetworkPolicy", "mayfly-controller")["spec"]
    ports = {(p["protocol"], p["port"]) for rule in spec["egress"] for p in rule["ports"]}
    assert ports == {("UDP", 53), ("TCP", 53), ("TCP", 443), ("TCP", 6443)}
    assert spec["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("part", PARTS)
def test_policies_select_the_pods_and_let_in_their_ports(default, part):
    spec = default.named("NetworkPolicy", f"mayfly-{part}")["spec"]
    template = default.named("Deployment", f"mayfly-{part}")["spec"]["template"]
    assert spec["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    let_in = {p["port"] for rule in spec["ingress"] for p in rule["ports"]}
    assert let_in == {p["containerPort"] for p in pod(default, part)["containers"][0]["ports"]}


def test_policies_can_be_left_out(render):
    rendered = render({"networkPolicy": {"enabled": False}})
    assert rendered.of("NetworkPolicy") == []
    assert rendered.config("controller.json")["networkPolicy"]["enabled"] is False


def test_neither_part_mounts_the_key_of_the_authority(default):
    for part in PARTS:
        for volume in pod(default, part)["volumes"]:
            assert "ca.key" not in str(volume)
    mounted = [v for v in pod(default, "controller")["volumes"] if "secret" in v]
    assert [item["key"] for v in mounted for item in v["secret"]["items"]] == ["ca.crt"]


def test_no_pod_of_ours_has_a_label_for_run_pods(default):
    for deployment in default.of("Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert not [label for label in labels if label.startswith("mayfly.dev/")]


def test_ids_can_be_left_to_the_cluster(render):
    rendered = render({"podSecurity": {"setIDs": False}})
    for part in PARTS:
        assert pod(rendered, part)["securityContext"] == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    # Nobody's group, so readable by any user: the pod has but one.
    modes = [
        v["secret"]["defaultMode"] for v in pod(rendered, "gateway")["volumes"] if "secret" in v
    ]
    assert modes == [0o444, 0o444]
    assert rendered.config("controller.json")["podSetIDs"] is False
