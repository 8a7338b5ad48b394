"""The chart on clusters of IPv6, of IPv4 and of both."""

import pytest

from mayfly.config import GatewayConfig

EVERY_SERVICE = {"metrics": {"serviceMonitor": {"enabled": True}}}
NAMES = {"mayfly-gateway", "mayfly-gateway-callbacks", "mayfly-metrics"}


def test_the_families_of_services_are_the_clusters_unless_chosen(render):
    rendered = render(EVERY_SERVICE).of("Service")
    assert {each["metadata"]["name"] for each in rendered} == NAMES
    for service in rendered:
        assert not {"ipFamilies", "ipFamilyPolicy"} & service["spec"].keys()


@pytest.mark.parametrize(
    "chosen",
    [
        {"ipFamilyPolicy": "PreferDualStack"},
        {"ipFamilies": ["IPv6"]},
        {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]},
    ],
)
def test_every_service_has_the_chosen_families(render, chosen):
    for service in render({**EVERY_SERVICE, "services": chosen}).of("Service"):
        fields = {"ipFamilies", "ipFamilyPolicy"} & service["spec"].keys()
        assert {field: service["spec"][field] for field in fields} == chosen


def test_the_charts_policies_are_of_no_family(default):
    """A rule without a peer, or with selectors alone, holds for IPv6 and IPv4."""
    policies = default.of("NetworkPolicy")
    assert len(policies) == 2
    assert "ipBlock" not in str(policies)


def test_the_gateway_listens_on_every_address(default):
    assert GatewayConfig.model_validate(default.config("gateway.json")).listen_host == "::"


@pytest.mark.parametrize("address", ["fd00:10:96::", "::1", "fd00::a:1", "10.96.0.80"])
def test_a_cluster_ip_of_either_family_stays_text(render, address):
    rendered = render({"gateway": {"service": {"clusterIP": address}}})
    assert rendered.named("Service", "mayfly-gateway")["spec"]["clusterIP"] == address


def test_an_image_of_a_registry_with_an_ipv6_address(render, required):
    image = "[fd00::1]:5000/mayfly@" + required["image"]["reference"].partition("@")[2]
    rendered = render({"image": {"reference": image}, "runtime": {"default": {"image": image}}})
    for deployment in rendered.of("Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == image
    assert rendered.config("runtime.json")["spec"]["image"] == image
