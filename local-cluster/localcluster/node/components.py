"""The node: containerd, kubelet and kube-proxy, as processes of the host."""

import json
import shutil
from pathlib import Path

from localcluster.failure import Failure
from localcluster.kubectl import Kubectl
from localcluster.node import cgroups, control_plane, network, pki
from localcluster.node.containerd import Containerd
from localcluster.node.processes import Processes, Program
from localcluster.progress import Command, Step
from localcluster.state import State, write

NAMES = ("kube-proxy", "kubelet", "containerd")


def start_containerd(state: State, processes: Processes, pause_image: str, current: Step) -> bool:
    """Start containerd; it needs no cluster, so images can be loaded while the rest starts."""
    config = state.folder / "containerd" / "config.toml"
    write(config, _containerd_config(state, pause_image))
    binary = shutil.which("containerd")
    if binary is None:
        raise Failure("containerd is not installed")
    started = processes.start(Program("containerd", [binary, "--config", config], inputs=[config]))
    containerd = Containerd(state)
    processes.wait(("containerd",), containerd.answers, "containerd answers", current)
    return started


def start_kubelet(state: State, binaries: Path, processes: Processes) -> bool:
    """Start the kubelet."""
    cgroups.prepare()
    config, client = state.folder / "kubelet.json", state.pki / "kubelet.kubeconfig"
    write(config, json.dumps(_kubelet_config(state), indent=1))
    command: Command = [
        binaries / "kubelet",
        f"--config={config}",
        f"--kubeconfig={client}",
        f"--root-dir={state.folder / 'kubelet'}",
        f"--hostname-override={pki.NODE_NAME}",
        f"--node-ip={network.NODE_ADDRESS}",
    ]
    inputs = [config, client, state.folder / "resolv.conf"]
    return processes.start(Program("kubelet", command, inputs=inputs))


def start_proxy(state: State, binaries: Path, processes: Processes) -> bool:
    """Start kube-proxy; restart it if the Service addresses do not work."""
    config = state.folder / "kube-proxy.json"
    write(config, json.dumps(_proxy_config(state), indent=1))
    command: Command = [binaries / "kube-proxy", f"--config={config}"]
    program = Program("kube-proxy", command, inputs=[config])
    if processes.current(program) and network.api_service_answers(state.pki / "ca.crt"):
        return False
    processes.stop(program.name)
    network.forget_services()
    return processes.start(program)


def wait_ready(kubectl: Kubectl, processes: Processes, since: str, current: Step) -> None:
    """Wait until the node is Ready, by a status that the kubelet wrote after `since`.

    The API server still has the last status of a kubelet that was killed.
    """

    def ready() -> bool:
        condition = ".status.conditions[?(@.type=='Ready')]"
        path = f"-o=jsonpath={{{condition}.status}} {{{condition}.lastHeartbeatTime}}"
        said = kubectl.attempt("get", "node", pki.NODE_NAME, path).stdout.split()
        return len(said) == 2 and said[0] == "True" and said[1] >= since

    names = (*control_plane.NAMES, "containerd", "kube-proxy", "kubelet")
    processes.wait(names, ready, "the node is ready", current)


def _containerd_config(state: State, pause_image: str) -> str:
    folder = state.folder / "containerd"
    return f"""\
version = 2
root = "{folder}/root"
state = "{folder}/state"
# It would make /opt/containerd.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
address = "{state.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause_image}"
# Without CAP_SYS_RESOURCE (a container, a restricted host) a process may not lower its
# oom_score_adj, and every sandbox would die with "can't get final child's PID from pipe: EOF".
restrict_oom_score_adj = true
# Below our folder rather than in /var/run/netns: what a kill leaves is found with the rest.
netns_mounts_under_state_dir = true
max_concurrent_downloads = 3

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{network.CNI_PLUGINS}"
conf_dir = "{state.folder}/cni/conf"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{folder}/runc"
"""


def _kubelet_config(state: State) -> dict[str, object]:
    own = state.pki
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(own / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(own / "kubelet.crt"),
        "tlsPrivateKeyFile": str(own / "kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.NAME}",
        "cgroupsPerQOS": True,
        # Kubernetes 1.35 refuses cgroup v1 unless told that one knows.
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "clusterDNS": [network.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state.folder / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{state.containerd_socket}",
        "podLogsDir": str(state.logs / "pods"),
        "staticPodPath": "",
        # Its iptables chains are hints for others; nobody here reads them.
        "makeIPTablesUtilChains": False,
        "maxPods": 250,
        "podPidsLimit": 1024,
        "serializeImagePulls": False,
        # Images come from no registry: one that is collected would be gone for good.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def _proxy_config(state: State) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(state.pki / "proxy.kubeconfig")},
        "clusterCIDR": network.POD_RANGE,
        "hostnameOverride": pki.NODE_NAME,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": ["primary"],
        # The host's own connection tracking limits stay as they are.
        "conntrack": {
            "maxPerCore": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
