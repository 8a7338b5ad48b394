"""The NetworkPolicy of run pods, one per namespace.

The label that it selects is on the pod from its creation, so that no claim causes a CNI update at
the worst moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mayfly.api.v1alpha1.names import RUN_ID_LABEL
from mayfly_runtime.spec import addresses

Json = dict[str, Any]

NAME = "mayfly-runs"


@dataclass(frozen=True)
class NetworkSettings:
    """What run pods may reach.

    Attributes:
        internet: the public internet.
        gateway_namespace: namespace of the gateway's pods.
        gateway_labels: labels of the gateway's pods.
        gateway_port: the port that they listen on.
        dns_namespace: namespace of the cluster's DNS.
        dns_ports: the ports of its pods.
        dns_cidrs: addresses of DNS servers that are no pods, such as NodeLocal DNS.
        denied: further CIDRs that are denied (public ranges of the cluster's own).
        allowed: private CIDRs that are allowed nevertheless, on any port.
        extra_egress: further egress rules, as in a NetworkPolicy.
    """

    gateway_namespace: str
    gateway_labels: dict[str, str]
    gateway_port: int = 8443
    internet: bool = True
    dns_namespace: str = "kube-system"
    dns_ports: tuple[int, ...] = (53,)
    dns_cidrs: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    extra_egress: tuple[Json, ...] = field(default_factory=tuple)


def network_policy(namespace: str, settings: NetworkSettings, owner: Json | None) -> Json:
    """The policy of one namespace: no ingress; egress to gateway, DNS and the internet.

    Args:
        namespace: of the run pods.
        settings: the installation's.
        owner: a cluster-wide owner, so that an uninstall deletes the policy.
    """
    metadata: Json = {
        "name": NAME,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/managed-by": "mayfly"},
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchExpressions": [{"key": RUN_ID_LABEL, "operator": "Exists"}]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": _egress(settings),
        },
    }


def _egress(settings: NetworkSettings) -> list[Json]:
    gateway = {
        "to": [
            {
                "namespaceSelector": _namespace(settings.gateway_namespace),
                "podSelector": {"matchLabels": dict(settings.gateway_labels)},
            }
        ],
        "ports": [{"protocol": "TCP", "port": settings.gateway_port}],
    }
    dns = {
        "to": [
            {"namespaceSelector": _namespace(settings.dns_namespace)},
            *({"ipBlock": {"cidr": each}} for each in settings.dns_cidrs),
        ],
        "ports": [
            {"protocol": protocol, "port": port}
            for port in settings.dns_ports
            for protocol in ("UDP", "TCP")
        ],
    }
    rules = [gateway, dns]
    if settings.internet:
        v4 = [*addresses.NOT_PUBLIC_V4, *(each for each in settings.denied if ":" not in each)]
        v6 = [*addresses.NOT_PUBLIC_V6, *(each for each in settings.denied if ":" in each)]
        v6 += [range_ for each in v4 for range_ in addresses.embedded(each)]
        rules.append(
            {
                "to": [
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": v4}},
                    {"ipBlock": {"cidr": "::/0", "except": v6}},
                ]
            }
        )
    if settings.allowed:
        every = [range_ for each in settings.allowed for range_ in _with_embedded(each)]
        rules.append({"to": [{"ipBlock": {"cidr": each}} for each in every]})
    return [*rules, *settings.extra_egress]


def _with_embedded(cidr: str) -> list[str]:
    return [cidr, *addresses.embedded(cidr)]


def _namespace(name: str) -> Json:
    return {"matchLabels": {"kubernetes.io/metadata.name": name}}
