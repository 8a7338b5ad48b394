"""The run pod and its NetworkPolicy as rendered: what they may do (invariant 9)."""

from __future__ import annotations

import ipaddress

import pytest
from support.builders import run, runtime, target

from mayfly.reconcile.network import NetworkSettings, network_policy
from mayfly.reconcile.observed import PodSettings
from mayfly.reconcile.pod_status import observed_pod
from mayfly.reconcile.pods import READY_FILE, pod_for, waiting_pod

SETTINGS = PodSettings("https://gateway.test", ca_pem="PEM")


def rendered(**spec):
    return pod_for(run(), target(runtime=runtime(**spec)), 1, SETTINGS)


def test_it_passes_pod_security_restricted():
    spec = rendered()["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert {next(iter(set(each) - {"name"})) for each in spec["volumes"]} == {
        "emptyDir",
        "projected",
    }


def test_its_only_token_is_for_the_gateway():
    spec = rendered()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    (projected,) = [each["projected"] for each in spec["volumes"] if "projected" in each]
    (source,) = projected["sources"]
    assert source["serviceAccountToken"]["audience"] == "mayfly-gateway"
    values = [each.get("value", "") for each in spec["containers"][0]["env"]]
    assert not [value for value in values if "token" in value.lower() and "/" not in value]


def test_what_programs_expect_to_be_writable_is_on_the_one_bounded_volume():
    spec = rendered()["spec"]
    (container,) = spec["containers"]
    (scratch,) = [each for each in spec["volumes"] if "emptyDir" in each]
    assert scratch["emptyDir"]["sizeLimit"] == "5Gi"
    assert len(spec["volumes"]) == 2  # each costs start time
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    for path in ("/tmp", "/var/tmp", "/run"):
        assert mounts[path] == {"name": "scratch", "mountPath": path, "subPath": f"system{path}"}
    # Nobody but the kubelet can put another token where the agent reads its own.
    (token,) = [path for path, each in mounts.items() if each["name"] == "gateway-token"]
    assert not token.startswith(("/scratch", "/tmp", "/var", "/run"))


def test_it_is_owned_by_its_run_and_runs_once():
    body = rendered()
    (owner,) = body["metadata"]["ownerReferences"]
    assert owner["kind"] == "PipelineRun"
    assert owner["controller"] is True
    assert body["spec"]["restartPolicy"] == "Never"
    assert body["spec"]["activeDeadlineSeconds"] > 30 * 60


def test_a_pod_that_waits_is_one_of_a_run_that_says_when_it_is_ready():
    """The same walls, the same environment for the author's code: MAYFLY_ never reaches that."""
    made = runtime(podLabels={"team": "a"}, nodeSelector={"pool": "runs"})
    waits = waiting_pod(made, "team", "mayfly-warm-1", SETTINGS)
    own = pod_for(run(), target(runtime=made), 1, SETTINGS)
    (agent,), (cold,) = waits["spec"]["containers"], own["spec"]["containers"]
    assert agent["env"].pop() == {"name": "MAYFLY_READY_FILE", "value": READY_FILE}
    probe = agent.pop("startupProbe")
    assert READY_FILE in probe["exec"]["command"][-1]
    assert probe["periodSeconds"] == 1  # else the pod is ready ten seconds late
    assert not {"readinessProbe", "livenessProbe"} & agent.keys()  # nothing disturbs a run
    del own["spec"]["activeDeadlineSeconds"]  # which counts from the claim
    assert agent == cold
    assert waits["spec"] == own["spec"]
    labels, annotations = waits["metadata"]["labels"], waits["metadata"]["annotations"]
    assert labels == {"team": "a", "mayfly.dev/id": "waiting"}
    assert annotations.keys() - own["metadata"]["annotations"].keys() == {"mayfly.dev/template"}
    (owner,) = waits["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("PipelineRuntime", "default")


def test_the_runtime_decides_size_place_and_image():
    body = rendered(
        nodeSelector={"pool": "runs"},
        runtimeClassName="gvisor",
        imagePullSecrets=[{"name": "registry"}],
        tolerations=[{"key": "runs", "operator": "Exists"}],
        resources={"requests": {"cpu": "50m"}, "limits": {"cpu": "1", "memory": "2Gi"}},
    )["spec"]
    assert body["nodeSelector"] == {"pool": "runs"}
    assert body["runtimeClassName"] == "gvisor"
    assert body["imagePullSecrets"] == [{"name": "registry"}]
    assert body["tolerations"] == [{"key": "runs", "operator": "Exists"}]
    assert body["containers"][0]["resources"]["requests"] == {"cpu": "50m"}


def test_labels_and_annotations_of_the_runtime_never_replace_mayflys():
    given = {"team": "vision", "mayfly.dev/id": "x", "mayfly.dev/runtime": "x"}
    plain = rendered()["metadata"]
    metadata = rendered(podLabels=given, podAnnotations=given)["metadata"]
    assert metadata["labels"] == {**given, **plain["labels"]}
    assert metadata["annotations"] == {**given, **plain["annotations"]}


def test_ids_can_be_left_to_the_cluster():
    chosen = PodSettings("https://gateway.test", set_ids=False)
    spec = pod_for(run(), target(), 1, chosen)["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # Nobody's group, so readable by any user: the pod has but one.
    (projected,) = [each["projected"] for each in spec["volumes"] if "projected" in each]
    assert projected["defaultMode"] == 0o444
    (projected,) = [
        each["projected"] for each in rendered()["spec"]["volumes"] if "projected" in each
    ]
    assert projected["defaultMode"] == 0o440


def test_dns_by_value():
    settings = NetworkSettings(
        "mayfly-system",
        {"app": "gateway"},
        dns_namespace="openshift-dns",
        dns_ports=(5353,),
        dns_cidrs=("169.254.20.10/32",),
    )
    _, dns, *_ = network_policy("team", settings, None)["spec"]["egress"]
    name = {"kubernetes.io/metadata.name": "openshift-dns"}
    assert dns == {
        "to": [
            {"namespaceSelector": {"matchLabels": name}},
            {"ipBlock": {"cidr": "169.254.20.10/32"}},
        ],
        "ports": [{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}],
    }


def allows(policy, address: str) -> bool:
    ip = ipaddress.ip_address(address)
    for rule in policy["spec"]["egress"]:
        for to in rule["to"]:
            block = to.get("ipBlock")
            if block is None or ip not in ipaddress.ip_network(block["cidr"]):
                continue
            if not any(ip in ipaddress.ip_network(each) for each in block.get("except", [])):
                return True
    return False


NETWORK = NetworkSettings("mayfly-system", {"app": "gateway"}, denied=("203.0.113.0/24",))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("10.0.0.1", False),
        ("172.20.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("203.0.113.9", False),
        ("fd00::1", False),
        ("fe80::1", False),
    ],
)
def test_what_a_run_may_reach(address, allowed):
    assert allows(network_policy("team", NETWORK, None), address) is allowed


def test_a_private_range_can_be_opened():
    opened = NetworkSettings("mayfly-system", {"app": "gateway"}, allowed=("10.20.0.0/16",))
    policy = network_policy("team", opened, None)
    assert allows(policy, "10.20.3.4")
    assert not allows(policy, "10.21.0.1")


def test_the_agent_is_told_of_the_private_ranges_that_are_open():
    settings = PodSettings("https://gateway", fetch_allow=("10.20.0.0/16", "fd12::/48"))
    (container,) = pod_for(run(), target(), 1, settings)["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["MAYFLY_FETCH_ALLOW"] == "10.20.0.0/16,fd12::/48"
    (container,) = pod_for(run(), target(), 1, PodSettings("https://gateway"))["spec"]["containers"]
    assert "MAYFLY_FETCH_ALLOW" not in {each["name"] for each in container["env"]}


def test_the_internet_can_be_closed():
    closed = NetworkSettings("mayfly-system", {"app": "gateway"}, internet=False)
    policy = network_policy("team", closed, None)
    assert not allows(policy, "8.8.8.8")
    assert len(policy["spec"]["egress"]) == 2
    assert policy["spec"]["ingress"] == []


def test_a_pod_is_read_for_what_decides():
    body = {
        "metadata": {"name": "p", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "no node"}],
        },
    }
    pod = observed_pod(body)
    assert pod.deleting
    assert not pod.ever_started
    assert pod.message == "no node"


def test_why_the_cluster_takes_a_pod_away_is_seen():
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    body = {"metadata": {"name": "p", "uid": "u"}, "status": {"conditions": [condition]}}
    assert observed_pod(body).disruption == ("EvictionByEvictionAPI", "Eviction API: evicting")
    condition["status"] = "False"
    assert observed_pod(body).disruption is None


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], ""),
        ([{"name": "a", "state": {"terminated": {"exitCode": 0}}}], ""),
        (
            [{"name": "a", "state": {"terminated": {"exitCode": 1, "message": "no root"}}}],
            'the init container "a" ended with exit code 1: no root',
        ),
        (
            [
                {"name": "a", "state": {"terminated": {"exitCode": 0}}},
                {"name": "b", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}},
            ],
            'the init container "b" waits: ErrImagePull: no',
        ),
        ([{"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}}], ""),
        (
            [{"name": "a", "started": False, "state": {"running": {}}}],
            'the init container "a" has not finished its start',
        ),
        ([{"name": "a", "started": True, "state": {"running": {}}}], ""),
    ],
)
def test_what_an_injected_container_does_is_told(states, words):
    body = {"metadata": {"name": "p", "uid": "u"}, "status": {"initContainerStatuses": states}}
    assert observed_pod(body).blocked == words
