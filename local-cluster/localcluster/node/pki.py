"""Keys, certificates and kubeconfigs, created once with the openssl command."""

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localcluster.failure import Failure
from localcluster.node import network
from localcluster.state import State, write

NODE_NAME = "mayfly-local"
API_PORT = 6443

_DAYS = "3650"  # longer than any throw-away cluster lives


@dataclass(frozen=True)
class _Certificate:
    """The subject of a certificate; with `hosts` it is also a server certificate."""

    name: str
    user: str
    group: str = ""
    hosts: tuple[str, ...] = ()
    kubeconfig: bool = False
    authority: str = "ca"


_AUTHORITIES = ("ca", "front-proxy-ca")
_CERTIFICATES = (
    _Certificate("admin", "mayfly-local-admin", "system:masters", kubeconfig=True),
    _Certificate("controller-manager", "system:kube-controller-manager", kubeconfig=True),
    _Certificate("scheduler", "system:kube-scheduler", kubeconfig=True),
    _Certificate("proxy", "system:kube-proxy", kubeconfig=True),
    _Certificate(
        "kubelet",
        f"system:node:{NODE_NAME}",
        "system:nodes",
        hosts=(f"DNS:{NODE_NAME}", f"IP:{network.NODE_ADDRESS}"),
        kubeconfig=True,
    ),
    _Certificate("kubelet-client", "mayfly-local-apiserver", "system:masters"),
    _Certificate(
        "apiserver",
        "kube-apiserver",
        hosts=(
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "DNS:localhost",
            "IP:127.0.0.1",
            f"IP:{network.API_SERVICE}",
            f"IP:{network.NODE_ADDRESS}",
        ),
    ),
    # Extension API servers believe user names only from a holder of this one.
    _Certificate("front-proxy", "front-proxy", authority="front-proxy-ca"),
    # etcd's client and server: without a certificate any user of this machine could write to it.
    _Certificate("etcd", "etcd", hosts=("DNS:localhost", "IP:127.0.0.1")),
)


def prepare(state: State) -> None:
    """Create what is missing, authorities first."""
    folder = state.pki
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for authority in _AUTHORITIES:
        if not (folder / f"{authority}.crt").exists():
            extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign,cRLSign"]
            _make(folder, authority, extensions)
    if not (folder / "sa.pub").exists():
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl("genpkey", *curve, "-out", str(folder / "sa.key"))
        _openssl("pkey", "-in", str(folder / "sa.key"), "-pubout", "-out", str(folder / "sa.pub"))
    for certificate in _CERTIFICATES:
        if not (folder / f"{certificate.name}.crt").exists():
            _issue(folder, certificate)
        if certificate.kubeconfig:
            config = _kubeconfig(folder, certificate)
            write(folder / f"{certificate.name}.kubeconfig", config)
            if certificate.name == "admin":
                write(state.kubeconfig, config)


def _issue(folder: Path, certificate: _Certificate) -> None:
    uses = "clientAuth,serverAuth" if certificate.hosts else "clientAuth"
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={uses}",
    ]
    if certificate.hosts:
        extensions.append(f"subjectAltName={','.join(certificate.hosts)}")
    _make(folder, certificate.name, extensions, certificate)


def _make(
    folder: Path, name: str, extensions: list[str], certificate: _Certificate | None = None
) -> None:
    """Create a key and a certificate, signed by the authority unless it is the authority."""
    subject = [f"CN={certificate.user if certificate else f'mayfly-local {name}'}"]
    if certificate and certificate.group:
        subject.append(f"O={certificate.group}")
    config = folder / f"{name}.cnf"
    lines = ["[req]", "distinguished_name=subject", "x509_extensions=extensions", "prompt=no"]
    lines += ["[subject]", *subject, "[extensions]", *extensions]
    write(config, "\n".join(lines) + "\n")
    signer: list[str] = []
    if certificate:
        authority = folder / certificate.authority
        signer = ["-CA", f"{authority}.crt", "-CAkey", f"{authority}.key"]
    draft = folder / f"{name}.crt.draft"
    _openssl(
        "req", "-x509", "-config", str(config), "-days", _DAYS, "-nodes", *signer,
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-keyout", str(folder / f"{name}.key"), "-out", str(draft),
    )  # fmt: skip
    draft.rename(folder / f"{name}.crt")  # last: its presence says that the key is whole too


def _kubeconfig(folder: Path, certificate: _Certificate) -> str:
    """A kubeconfig as JSON, which is valid YAML and needs no library."""

    def embedded(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    cluster = {
        "server": f"https://{network.NODE_ADDRESS}:{API_PORT}",
        "certificate-authority-data": embedded("ca.crt"),
    }
    user = {
        "client-certificate-data": embedded(f"{certificate.name}.crt"),
        "client-key-data": embedded(f"{certificate.name}.key"),
    }
    name = "mayfly-local"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": certificate.user, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": certificate.user}}],
            "current-context": name,
        },
        indent=1,
    )


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
