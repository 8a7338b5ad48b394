"""The pods' network: bridge, addresses, masquerading, kernel settings."""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

from localcluster.failure import Failure
from localcluster.state import State, write

BRIDGE = "mayfly0"
NODE_ADDRESS = "10.244.0.1"
POD_RANGE = "10.244.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
GATEWAY_SERVICE = "10.96.0.80"

CNI_NETWORK = "mayfly-local"
CNI_PLUGINS = Path("/usr/lib/cni")

_TABLE = "mayfly-local"
_TABLES = {("ip", _TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy")}

_BEFORE = "sysctls-before.json"

_RULES = f"""\
add table ip {_TABLE}
delete table ip {_TABLE}
table ip {_TABLE} {{
  chain outside {{
    type nat hook postrouting priority srcnat;
    ip saddr {POD_RANGE} ip daddr != {POD_RANGE} masquerade
  }}
  # What kube-proxy does not serve must not leave for the world under a Service's address.
  chain forwarded {{
    type filter hook forward priority filter;
    ip daddr {SERVICE_RANGE} reject
  }}
  chain own {{
    type filter hook output priority filter;
    ip daddr {SERVICE_RANGE} reject
  }}
}}
"""

# Ours and those that kubelet sets; `down` writes back what was there before.
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "kernel/keys/root_maxbytes": None,
    "kernel/keys/root_maxkeys": None,
    "kernel/panic": None,
    "kernel/panic_on_oops": None,
    "vm/overcommit_memory": None,
}


def prepare(state: State) -> None:
    """Create bridge, masquerading and CNI configuration, where they are missing.

    The bridge is created before the kubelet starts, so that the node has an address: without an
    InternalIP, `kubectl logs` and `exec` fail.
    """
    _remember_sysctls(state)
    _set_sysctls()
    if not bridge_exists():
        # With an address of its own, or it takes that of the lowest pod and changes with it.
        _run("ip", "link", "add", BRIDGE, "address", "0a:58:0a:f4:00:01", "type", "bridge")
    # Whose it is: another state folder's cluster must not be taken for ours.
    _run("ip", "link", "set", BRIDGE, "alias", str(state.folder))
    _run("ip", "address", "replace", f"{NODE_ADDRESS}/16", "dev", BRIDGE)
    _run("ip", "link", "set", BRIDGE, "up")
    # A table of our own rather than CNI's ipMasq: one line removes it, whatever was killed.
    _run("nft", "-f", "-", stdin=_RULES)
    write(state.folder / "cni" / "conf" / "10-mayfly-local.conflist", _cni(state), 0o644)


def resolv_conf(state: State) -> Path:
    """The host's name servers, except those that only the host itself can reach."""
    # systemd-resolved keeps the real ones here; /etc/resolv.conf has its loopback address.
    for source in (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf")):
        if source.exists():
            lines = [line for line in source.read_text().splitlines() if not _loopback(line)]
            break
    else:
        lines = []
    path = state.folder / "resolv.conf"
    write(path, "".join(f"{line}\n" for line in lines), 0o644)
    return path


def remove(state: State) -> None:
    """Remove the bridge and the tables, and restore the sysctls."""
    if bridge_exists():
        _run("ip", "link", "delete", BRIDGE)
    for family, table in tables():
        _run("nft", "delete", "table", family, table)
    _restore_sysctls(state)


def bridge_exists() -> bool:
    """Whether our bridge exists."""
    return Path("/sys/class/net", BRIDGE).exists()


def forget_services() -> None:
    """Drop kube-proxy's tables before it starts.

    A starting kube-proxy keeps the endpoint chains that it finds, and its predecessor has emptied
    the chains of removed endpoints. The API server's endpoint is removed while the API server
    restarts. Seen with 1.35.4: the API's Service then leads into an empty chain for ever.
    """
    for family, table in tables():
        if table != _TABLE:
            _run("nft", "delete", "table", family, table)


def api_service_answers(authority: Path) -> bool:
    """Whether the API server answers at its Service's address, with its own certificate.

    A connection alone proves nothing: a proxy may accept any.
    """
    trust = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection(API_SERVICE, timeout=2, context=trust)
    try:
        connection.request("GET", "/readyz")
        connection.getresponse()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def owner() -> Path | None:
    """The state folder of the cluster that the bridge belongs to."""
    try:
        alias = Path("/sys/class/net", BRIDGE, "ifalias").read_text().strip()
    except FileNotFoundError:
        return None
    return Path(alias) if alias else None


def bypass_proxies() -> None:
    """Bypass proxies for the cluster's addresses, in this process and its children."""
    names = {name.lower() for name in os.environ}
    if not names & {"http_proxy", "https_proxy", "all_proxy"}:
        return
    ours = [NODE_ADDRESS, GATEWAY_SERVICE, "127.0.0.1", "localhost", POD_RANGE, SERVICE_RANGE]
    before = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    wanted = [name for name in before.split(",") if name and name not in ours] + ours
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(wanted)


def tables() -> list[tuple[str, str]]:
    """Our nft tables and kube-proxy's that exist."""
    if shutil.which("nft") is None:
        return []
    command = ["nft", "--json", "list", "tables"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    listed = json.loads(shown)["nftables"] if shown.strip() else []
    names = {(item["table"]["family"], item["table"]["name"]) for item in listed if "table" in item}
    return sorted(_TABLES & names)


def _cni(state: State) -> str:
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,  # a pod that calls its own Service
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_RANGE, "gateway": NODE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(state.folder / "cni" / "addresses"),
        },
    }
    return json.dumps({"cniVersion": "1.0.0", "name": CNI_NETWORK, "plugins": [bridge]})


def _remember_sysctls(state: State) -> None:
    """Save the host's sysctls, once."""
    if (state.folder / _BEFORE).exists():
        return
    if not Path("/proc/sys/net/bridge").exists() and shutil.which("modprobe"):
        subprocess.run(["modprobe", "br_netfilter"], capture_output=True, check=False)
    now = {name: path.read_text().strip() for name in _SYSCTLS if (path := _sysctl(name)).exists()}
    write(state.folder / _BEFORE, json.dumps(now))


def _restore_sysctls(state: State) -> None:
    try:
        before: dict[str, str] = json.loads((state.folder / _BEFORE).read_text())
    except FileNotFoundError:
        return
    for name, value in before.items():
        _write_sysctl(name, value)


def _set_sysctls() -> None:
    for name, value in _SYSCTLS.items():
        if value is not None:
            _write_sysctl(name, value)


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name


def _write_sysctl(name: str, value: str) -> None:
    path = _sysctl(name)
    if path.exists() and path.read_text().strip() != value:
        path.write_text(value)


def _loopback(line: str) -> bool:
    return re.match(r"\s*nameserver\s+(127\.|::1)", line) is not None


def _run(*command: str, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
