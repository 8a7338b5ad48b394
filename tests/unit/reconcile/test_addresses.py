"""One rule for addresses: agent, gateway and NetworkPolicy judge each alike."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.gateway.http.outbound import Ranges
from mayfly.reconcile.network import NetworkSettings, network_policy
from mayfly_runtime.spec import addresses

DENIED, ALLOWED = "203.0.115.0/24", "10.20.0.0/16"


def policy_lets(address, settings):
    for rule in network_policy("team", settings, None)["spec"]["egress"]:
        for block in (to["ipBlock"] for to in rule["to"] if "ipBlock" in to):
            inside = address in ip_network(block["cidr"])
            if inside and not any(address in ip_network(x) for x in block.get("except", [])):
                return True
    return False


def judges(text):
    """What gateway, agent and policy say."""
    address = ip_address(text)
    denied, allowed = (ip_network(DENIED),), (ip_network(ALLOWED),)
    settings = NetworkSettings("s", {}, denied=(DENIED,), allowed=(ALLOWED,))
    agent = addresses.is_public(address) or addresses.within(address, allowed)
    return Ranges(allowed, denied).holds(address), agent, policy_lets(address, settings)


PUBLIC = ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::1",
          "10.20.1.2", "64:ff9b::a14:102", "2002:a14:102::1"]  # fmt: skip
PRIVATE = ["10.0.0.1", "169.254.169.254", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
           "2002:a00:1::1", "2002:c0a8:101::", "fec0::1", "fd00::1", "fe80::1", "::1", "::a00:1",
           "64:ff9b:1::a00:1", "2001:0:a00:1::"]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_and_opened_addresses_are_reached(text):
    assert judges(text) == (True, True, True)


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_not_in_any_notation(text):
    assert judges(text) == (False, False, False)


@pytest.mark.parametrize("text", ["203.0.115.9", "64:ff9b::cb00:7309", "2002:cb00:7309::"])
def test_a_denied_range_is_denied_to_gateway_and_policy_in_any_notation(text):
    gateway, _, policy = judges(text)
    assert (gateway, policy) == (False, False)


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_as_itself(address):
    for network in addresses.embedded(f"{address}/32"):
        inside = ip_network(network)[0]
        assert addresses.judged(inside) == address
        assert addresses.is_public(inside) == addresses.is_public(address)
        assert judges(str(inside))[::2] == judges(str(address))[::2]
