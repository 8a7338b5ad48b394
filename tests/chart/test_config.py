"""The files that the processes read: exactly what their own models take."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from mayfly.api.v1alpha1.pipelineruntime import PipelineRuntime
from mayfly.config import ControllerConfig, GatewayConfig


def test_the_controller_knows_its_files_and_names(default):
    config = ControllerConfig.model_validate(default.config("controller.json"))
    assert config.gateway_url == "https://mayfly-gateway.mayfly-system.svc"
    assert config.depth_limit == 250
    default.named("ClusterRole", config.owner_cluster_role)
    lease = default.named("Role", "mayfly-controller")["rules"][1]
    assert lease["resourceNames"] == [config.lease_name]


def test_run_pods_are_told_of_the_labels_that_the_gateway_has(default):
    labels = default.config("controller.json")["networkPolicy"]["gatewayPodLabels"]
    pod = default.named("Deployment", "mayfly-gateway")["spec"]["template"]["metadata"]["labels"]
    assert labels.items() <= pod.items()


def test_the_gateway_takes_its_file(default, scaled_out):
    for rendered in (default, scaled_out):
        GatewayConfig.model_validate(rendered.config("gateway.json"))


def test_the_gateway_knows_its_own_name(default):
    config = GatewayConfig.model_validate(default.config("gateway.json"))
    account = default.named("ServiceAccount", "mayfly-gateway")["metadata"]
    assert config.service_account == f"{account['namespace']}:{account['name']}"


def test_a_range_that_is_open_to_runs_is_read_at_the_start(render):
    config = render({"networkPolicy": {"allowed": ["10.20.0.0/16"]}}).config("controller.json")
    allowed = ControllerConfig.model_validate(config).network_policy.allowed
    assert [str(each) for each in allowed] == ["10.20.0.0/16"]
    config["networkPolicy"]["allowed"] = ["10.20.0.1/16"]  # as a NetworkPolicy reads it
    allowed = ControllerConfig.model_validate(config).network_policy.allowed
    assert [str(each) for each in allowed] == ["10.20.0.0/16"]
    config["networkPolicy"]["allowed"] = ["10.20.0.1/33"]
    with pytest.raises(ValidationError, match="does not appear to be an IPv4 or IPv6 network"):
        ControllerConfig.model_validate(config)


def test_the_gateway_gets_the_limits_to_the_byte(default):
    limits = GatewayConfig.model_validate(default.config("gateway.json")).limits
    assert limits.files_bytes == 4 * 1024**3
    assert limits.import_ms == 10_000


def test_a_password_comes_by_the_environment(scaled_out):
    pod = scaled_out.named("Deployment", "mayfly-gateway")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    reference = {"secretKeyRef": {"name": "postgres", "key": "url"}}
    assert {"name": "MAYFLY_DATABASE_URL", "valueFrom": reference} in container["env"]
    assert container["envFrom"] == [{"secretRef": {"name": "s3-keys"}}]


def test_the_default_runtime_is_one_that_the_kind_takes(render):
    rendered = render(
        {
            "runtime": {
                "default": {
                    "tolerations": [{"key": "runs", "operator": "Exists"}],
                    "nodeSelector": {"pool": "runs"},
                    "podLabels": {"team": "vision"},
                    "podAnnotations": {"team": "vision"},
                    "runtimeClassName": "gvisor",
                    "imagePullSecrets": [{"name": "registry"}],
                }
            }
        }
    )
    manifest = rendered.config("runtime.json")
    runtime = PipelineRuntime.model_validate(manifest)
    assert runtime.metadata.name == "default"
    assert runtime.body()["spec"] == manifest["spec"]


def test_empty_settings_are_left_out_of_the_runtime(default):
    spec = default.config("runtime.json")["spec"]
    assert set(spec) == {"image", "packages", "resources", "maxPods", "price"}


def test_the_default_runtime_says_the_packages_of_the_images_lock_file(default):
    lock = Path(__file__).parents[2] / "runtime-image" / "requirements.txt"
    locked = re.findall(r"^([^\s#]+==[^\s]+)", lock.read_text(), re.MULTILINE)
    packages = default.config("runtime.json")["spec"]["packages"]
    assert packages == locked
    assert "replicate==1.1.0b2" in packages


def test_an_image_of_ones_own_says_its_own_packages(render):
    rendered = render({"runtime": {"default": {"packages": ["torch==2.9.1+cpu"]}}})
    assert rendered.config("runtime.json")["spec"]["packages"] == ["torch==2.9.1+cpu"]


def test_every_file_of_the_configuration_is_mounted(default):
    for part in ("controller", "gateway"):
        config = default.config(f"{part}.json")
        pod = default.named("Deployment", f"mayfly-{part}")["spec"]["template"]["spec"]
        folders = {
            mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]
        }
        files = {
            f"{folders[volume['name']]}/{item['path']}"
            for volume in pod["volumes"]
            for item in volume.get("configMap", volume.get("secret", {})).get("items", [])
        }
        named = {value for key, value in config.items() if key.endswith("File") and value}
        environment = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
        assert named | {environment["MAYFLY_CONFIG"]} <= files


def test_a_port_that_is_not_the_usual_one_is_said(render):
    rendered = render({"gateway": {"service": {"port": 8443}}})
    assert rendered.config("gateway.json")["internalURL"].endswith(".svc:8443")
    assert rendered.named("Service", "mayfly-gateway")["spec"]["ports"][0]["port"] == 8443


def test_waiting_pods_by_value(default, render):
    assert "warm" not in default.config("runtime.json")["spec"]
    for given in ({"min": 2}, {"min": 1, "max": 1000}, {"max": 4}):
        rendered = render({"runtime": {"default": {"warm": given}}})
        assert rendered.config("runtime.json")["spec"]["warm"] == given
    none = render({"runtime": {"default": {"warm": None}}})
    assert "warm" not in none.config("runtime.json")["spec"]


def test_dns_by_value(render):
    dns = {"namespace": "openshift-dns", "ports": [5353], "cidrs": ["169.254.20.10/32"]}
    rendered = render({"networkPolicy": {"dns": dns}})
    policy = ControllerConfig.model_validate(rendered.config("controller.json")).network_policy
    assert policy.dns_namespace == "openshift-dns"
    assert policy.dns_ports == (5353,)
    assert [str(each) for each in policy.dns_cidrs] == ["169.254.20.10/32"]
    own = rendered.named("NetworkPolicy", "mayfly-controller")["spec"]["egress"][0]["ports"]
    assert own == [{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}]


def test_labels_and_annotations_of_run_pods(render, refusal):
    given = {"team": "vision"}
    rendered = render({"runtime": {"default": {"podLabels": given, "podAnnotations": given}}})
    spec = rendered.config("runtime.json")["spec"]
    assert spec["podLabels"] == spec["podAnnotations"] == given
    for field in ("podLabels", "podAnnotations"):
        said = refusal({"runtime": {"default": {field: {"mayfly.dev/id": "x"}}}})
        assert f'runtime.default.{field} has the key "mayfly.dev/id"' in said


def test_by_default_no_proxy_is_believed_and_there_is_no_path(default):
    config = GatewayConfig.model_validate(default.config("gateway.json"))
    assert (config.proxy_auth, config.path) == (None, "")
    pod = default.named("Deployment", "mayfly-gateway")["spec"]["template"]["spec"]
    assert "proxy" not in [each["name"] for each in pod["volumes"]]


def test_a_proxy_that_is_believed_has_a_secret_that_is_mounted(render):
    proxy = {
        "enabled": True,
        "userHeader": "X-Auth-Request-Email",
        "groupsHeader": "",
        "existingSecret": {"name": "proxy-knows", "key": "word"},
    }
    rendered = render({"gateway": {"proxyAuth": proxy}})
    believed = GatewayConfig.model_validate(rendered.config("gateway.json")).proxy_auth
    assert believed is not None
    assert (believed.user_header, believed.groups_header) == ("X-Auth-Request-Email", "")
    assert believed.secret_header == "X-Mayfly-Proxy-Secret"
    pod = rendered.named("Deployment", "mayfly-gateway")["spec"]["template"]["spec"]
    volume = next(each for each in pod["volumes"] if each["name"] == "proxy")["secret"]
    assert volume["secretName"] == "proxy-knows"
    mounts = pod["containers"][0]["volumeMounts"]
    folder = next(each for each in mounts if each["name"] == "proxy")
    assert folder["readOnly"] is True
    assert believed.secret_file == f"{folder['mountPath']}/{volume['items'][0]['path']}"
    assert volume["items"] == [{"key": "word", "path": "secret"}]


@pytest.mark.parametrize(
    "ingress",
    [
        {"path": "/tools/mayfly"},
        {"path": "/tools/mayfly/"},
        {"path": "/other", "annotations": {"example.com/strip": "true"}},
    ],
)
def test_a_path_of_a_host_that_others_share(render, ingress):
    url = "https://example.com/tools/mayfly"
    values = {"path": "/tools/mayfly", "externalURL": url}
    rendered = render(
        {"gateway": {**values, "ingress": {"enabled": True, "host": "example.com", **ingress}}}
    )
    config = GatewayConfig.model_validate(rendered.config("gateway.json"))
    assert (config.path, config.external_url) == ("/tools/mayfly", url)
