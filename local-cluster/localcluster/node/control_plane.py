"""etcd, the API server, the controller-manager and the scheduler, as processes of the host."""

from pathlib import Path

from localcluster.clone import MANIFESTS
from localcluster.kubectl import Kubectl
from localcluster.node import network, pki
from localcluster.node.processes import Processes, Program
from localcluster.progress import Command, Step
from localcluster.state import State

NAMES = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")

# Not etcd's usual ports: a developer's own etcd may run beside this one.
_ETCD_CLIENTS = "https://127.0.0.1:23790"
_ETCD_PEERS = "https://127.0.0.1:23800"


def start(state: State, binaries: Path, processes: Processes, current: Step) -> bool:
    """Start what is not running, in order of dependency."""
    started = [
        processes.start(_etcd(state, binaries)),
        processes.start(_apiserver(state, binaries)),
    ]
    kubectl = Kubectl(binaries / "kubectl", state.kubeconfig)
    # Started before the bootstrap roles exist, the controller-manager exits at once.
    processes.wait(
        ("etcd", "kube-apiserver"), lambda: _ready(kubectl), "the API server is ready", current
    )
    started.append(processes.start(_controller_manager(state, binaries)))
    started.append(processes.start(_scheduler(state, binaries)))
    return any(started)


def _ready(kubectl: Kubectl) -> bool:
    names = ("system:kube-controller-manager", "system:kube-scheduler")
    return (
        kubectl.ok("get", "--raw=/readyz")
        and kubectl.ok("get", "clusterrole", *names, "system:node-proxier")
        and kubectl.ok("get", "clusterrolebinding", *names)
    )


def _etcd(state: State, binaries: Path) -> Program:
    certificate, key, authority = (state.pki / name for name in ("etcd.crt", "etcd.key", "ca.crt"))
    command: Command = [
        binaries / "etcd",
        "--name=local",
        f"--data-dir={state.folder / 'etcd'}",
        f"--listen-client-urls={_ETCD_CLIENTS}",
        f"--advertise-client-urls={_ETCD_CLIENTS}",
        f"--listen-peer-urls={_ETCD_PEERS}",
        f"--initial-advertise-peer-urls={_ETCD_PEERS}",
        f"--initial-cluster=local={_ETCD_PEERS}",
        *(f"--{peer}cert-file={certificate}" for peer in ("", "peer-")),
        *(f"--{peer}key-file={key}" for peer in ("", "peer-")),
        *(f"--{peer}trusted-ca-file={authority}" for peer in ("", "peer-")),
        *(f"--{peer}client-cert-auth" for peer in ("", "peer-")),
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=1h",
        "--quota-backend-bytes=4294967296",
        # A throw-away cluster: a power cut may cost its data, and then `up` makes a new one.
        # In return a write costs no disk flush, which is most of the API's latency on a laptop.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    return Program("etcd", command, inputs=[certificate])


def _apiserver(state: State, binaries: Path) -> Program:
    own = state.pki
    policy = MANIFESTS / "audit-policy.yaml"
    # A copy, so that the running process does not read from a clone that may go away.
    copied = state.folder / "audit-policy.yaml"
    copied.write_text(policy.read_text())
    command: Command = [
        binaries / "kube-apiserver",
        f"--advertise-address={network.NODE_ADDRESS}",
        # The bridge's address only: nothing of the cluster is open to the host's network.
        f"--bind-address={network.NODE_ADDRESS}",
        f"--secure-port={pki.API_PORT}",
        f"--tls-cert-file={own / 'apiserver.crt'}",
        f"--tls-private-key-file={own / 'apiserver.key'}",
        f"--client-ca-file={own / 'ca.crt'}",
        f"--etcd-servers={_ETCD_CLIENTS}",
        f"--etcd-cafile={own / 'ca.crt'}",
        f"--etcd-certfile={own / 'etcd.crt'}",
        f"--etcd-keyfile={own / 'etcd.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={network.SERVICE_RANGE}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={own / 'sa.pub'}",
        f"--service-account-signing-key-file={own / 'sa.key'}",
        f"--kubelet-certificate-authority={own / 'ca.crt'}",
        f"--kubelet-client-certificate={own / 'kubelet-client.crt'}",
        f"--kubelet-client-key={own / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={own / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={own / 'front-proxy.crt'}",
        f"--proxy-client-key-file={own / 'front-proxy.key'}",
        f"--audit-policy-file={copied}",
        f"--audit-log-path={state.folder / 'audit.log'}",
        "--audit-log-maxsize=100",
        "--audit-log-maxbackup=2",
    ]
    # Garbage is collected half as often: a tenth less CPU for a hundred MB.
    env = {"GOGC": "200"}
    return Program("kube-apiserver", command, inputs=[own / "apiserver.crt", policy], env=env)


def _controller_manager(state: State, binaries: Path) -> Program:
    own = state.pki
    kubeconfig = own / "controller-manager.kubeconfig"
    command: Command = [
        binaries / "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={own / 'sa.key'}",
        f"--root-ca-file={own / 'ca.crt'}",
        f"--cluster-signing-cert-file={own / 'ca.crt'}",
        f"--cluster-signing-key-file={own / 'ca.key'}",
        f"--service-cluster-ip-range={network.SERVICE_RANGE}",
    ]
    return Program("kube-controller-manager", command, inputs=[kubeconfig])


def _scheduler(state: State, binaries: Path) -> Program:
    kubeconfig = state.pki / "scheduler.kubeconfig"
    command: Command = [
        binaries / "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]
    return Program("kube-scheduler", command, inputs=[kubeconfig])
