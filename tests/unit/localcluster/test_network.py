"""The network's parsing and its care for the host's settings."""

import json
import os

import pytest

from localcluster.failure import Failure
from localcluster.node import network


def nft(*tables: tuple[str, str]) -> str:
    listed = [{"table": {"family": family, "name": name}} for family, name in tables]
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0"}}, *listed]})


@pytest.mark.parametrize(
    ("out", "found"),
    [
        ("", []),
        (nft(), []),
        (nft(("ip", "filter"), ("inet", "mayfly-local"), ("ip6", "mayfly-local")), []),
        (
            nft(("ip6", "kube-proxy"), ("ip", "nat"), ("ip", "mayfly-local"), ("ip", "kube-proxy")),
            [("ip", "kube-proxy"), ("ip", "mayfly-local"), ("ip6", "kube-proxy")],
        ),
    ],
)
def test_tables(tools, out, found):
    tools.install("nft")
    tools.answer("nft", "list", out=out)
    assert network.tables() == found


def test_no_tables_without_nft():
    assert network.tables() == []


def test_services_are_forgotten_but_not_our_own_table(tools):
    tools.install("nft")
    tools.answer("nft", "list", out=nft(("ip", "mayfly-local"), ("ip", "kube-proxy")))
    network.forget_services()
    assert [call.words for call in tools.calls("nft", "delete")] == [
        ["delete", "table", "ip", "kube-proxy"]
    ]


def test_remove(tools, here, monkeypatch):
    tools.install("nft", "ip")
    tools.answer("nft", "list", out=nft(("ip", "mayfly-local"), ("ip", "theirs")))
    monkeypatch.setattr(network, "bridge_exists", lambda: True)
    network.remove(here)
    assert [call.words for call in tools.calls("ip")] == [["link", "delete", "mayfly0"]]
    assert [call.words for call in tools.calls("nft", "delete")] == [
        ["delete", "table", "ip", "mayfly-local"]
    ]


def test_a_command_that_fails_is_a_failure_with_its_words(tools, here, monkeypatch):
    tools.install("ip")
    tools.answer("ip", "link", err="Operation not permitted", code=2)
    monkeypatch.setattr(network, "bridge_exists", lambda: True)
    with pytest.raises(Failure, match="`ip link delete mayfly0` failed: Operation not permitted"):
        network.remove(here)


@pytest.fixture
def sysctls():
    """Ours as files: forwarding is off, and there is no bridge module."""
    values = {"net/ipv4/ip_forward": "0", "kernel/panic": "0", "vm/overcommit_memory": "2"}
    for name, value in values.items():
        path = network._sysctl(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def now() -> dict[str, str]:
        return {name: network._sysctl(name).read_text().strip() for name in values}

    assert now() == values
    return now


def test_prepare_sets_and_remove_writes_back(here, tools, sysctls):
    tools.install("ip", "nft")
    before = sysctls()
    network.prepare(here)
    assert sysctls() == {**before, "net/ipv4/ip_forward": "1"}
    network._sysctl("kernel/panic").write_text("10\n")  # kubelet
    network.prepare(here)  # heals, and must not take these for the host's own
    network.remove(here)
    assert sysctls() == before


def test_prepare_makes_the_bridge_ours_once(here, tools, monkeypatch):
    tools.install("ip", "nft")
    network.prepare(here)
    assert len(tools.calls("ip", "add", "mayfly0", "bridge")) == 1
    assert len(tools.calls("ip", "alias", str(here.folder))) == 1
    (rules,) = tools.calls("nft", "-f")
    assert f"ip saddr {network.POD_RANGE} ip daddr != {network.POD_RANGE} masquerade" in rules.stdin
    (config,) = (here.folder / "cni" / "conf").iterdir()
    (plugin,) = json.loads(config.read_text())["plugins"]
    assert plugin["bridge"] == "mayfly0"
    assert plugin["ipam"]["dataDir"].startswith(str(here.folder))

    monkeypatch.setattr(network, "bridge_exists", lambda: True)
    network.prepare(here)
    assert len(tools.calls("ip", "add")) == 1


def test_restoring_where_nothing_was_remembered(here, sysctls):
    before = sysctls()
    network.remove(here)
    assert sysctls() == before


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("nameserver 127.0.0.53", True),
        ("  nameserver\t127.0.0.1", True),
        ("nameserver ::1", True),
        ("nameserver 10.0.0.2", False),
        ("nameserver 1127.0.0.1", False),
        ("nameserver fe80::1%eth0", False),
        ("search example.com", False),
        ("# nameserver 127.0.0.1", False),
    ],
)
def test_name_servers_that_only_the_host_reaches(line, left_out):
    assert network._loopback(line) is left_out


@pytest.mark.parametrize(
    ("proxy", "before", "kept"),
    [
        ("HTTPS_PROXY", "", []),
        ("http_proxy", "intern.example", ["intern.example"]),
        ("ALL_PROXY", "a,,localhost,b", ["a", "b"]),
    ],
)
def test_the_clusters_addresses_bypass_a_proxy(monkeypatch, proxy, before, kept):
    monkeypatch.setenv(proxy, "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", before)
    monkeypatch.setenv("no_proxy", "")
    network.bypass_proxies()
    once = os.environ["NO_PROXY"]
    names = once.split(",")
    assert names[: len(kept)] == kept
    assert {network.GATEWAY_SERVICE, network.NODE_ADDRESS, "127.0.0.1"} <= set(names)
    assert len(names) == len(set(names))
    assert os.environ["no_proxy"] == once
    network.bypass_proxies()
    assert os.environ["NO_PROXY"] == once


def test_without_a_proxy_nothing_is_set(monkeypatch):
    network.bypass_proxies()
    assert "NO_PROXY" not in os.environ
