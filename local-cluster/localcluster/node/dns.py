"""CoreDNS, the cluster's name server."""

import re
import socket
from pathlib import Path
from string import Template

from localcluster.clone import MANIFESTS
from localcluster.kubectl import Kubectl
from localcluster.node import network
from localcluster.progress import Step
from localcluster.state import State

_NAME = "kubernetes.default.svc.cluster.local"


def start(state: State, kubectl: Kubectl, image: str, current: Step) -> None:
    """Apply CoreDNS and wait until it answers.

    The Deployment's status is not sufficient: after all processes were killed, it is outdated.
    """
    template = Template((MANIFESTS / "coredns.yaml").read_text())
    upstream = _has_upstream(state.folder / "resolv.conf")
    kubectl.apply(
        template.substitute(
            image=image,
            address=network.DNS_SERVICE,
            # Without a name server on the host `forward` would keep CoreDNS from starting.
            forward="forward . /etc/resolv.conf" if upstream else "",
        )
    )
    current.wait(answers, 120, "CoreDNS answers")


def answers() -> bool:
    """Whether the name of the API's Service resolves at the DNS Service's address."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in _NAME.split("."))
    header = bytes.fromhex("6d66 0100 0001 0000 0000 0000")  # an id, "recurse", one question
    question = labels + bytes.fromhex("00 0001 0001")  # an address, of the internet
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect((network.DNS_SERVICE, 53))
            probe.send(header + question)
            reply = probe.recv(512)
        except OSError:
            return False
    return reply.endswith(socket.inet_aton(network.API_SERVICE))


def _has_upstream(path: Path) -> bool:
    return re.search(r"^\s*nameserver\s", path.read_text(), re.MULTILINE) is not None
