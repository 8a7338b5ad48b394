"""The command line, on kind and on a given cluster: env, status, down, images."""

import base64
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from localcluster import __main__ as command_line
from localcluster.clusters.given import GivenCluster
from localcluster.clusters.kind import KindCluster
from localcluster.images import recipes
from localcluster.installation import chart
from localcluster.installation.chart import Access
from localcluster.kubectl import Kubectl

AUTHORITY = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
SYSTEM = "-----BEGIN CERTIFICATE-----\nthe system's\n-----END CERTIFICATE-----\n"
NAMES = ("KUBECONFIG", "MAYFLY_URL", "MAYFLY_TOKEN", "SSL_CERT_FILE", "PATH")


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a command; its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["localcluster", *words])
        code = command_line.main()
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def roots(tmp_path, monkeypatch):
    path = tmp_path / "system-roots.pem"
    path.write_text(SYSTEM)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def installed(tools, roots) -> None:
    """What kubectl says of a cluster with Mayfly."""
    tools.install("docker", "kind", "kubectl", "helm")
    encoded = base64.b64encode(AUTHORITY.encode()).decode()
    tools.answer("kubectl", "secret", "mayfly-tls", out=encoded)
    tools.answer("kubectl", "token", "demo", out="the token\n")
    tools.answer(
        "kubectl", "get", "serviceaccount", "demo", out='{"metadata": {"uid": "u1"}}'
    )  # fmt: skip


@pytest.fixture
def kind(here, installed) -> KindCluster:
    made = KindCluster(here.beside("kind"))
    made.up()
    return made


@pytest.fixture
def given(here, installed, monkeypatch) -> GivenCluster:
    monkeypatch.setenv("MAYFLY_CLUSTER", "current")
    made = GivenCluster(here.beside("current"))
    made.up()
    return made


def evaluated(line: str) -> dict[str, str]:
    """The variables after `eval` in a shell."""
    show = 'eval "$1"; for name in ' + " ".join(NAMES) + '; do printf "%s=%s\\n" $name "${!name}"'
    done = subprocess.run(
        ["/bin/bash", "-c", f"{show}; done", "bash", line],
        env={"PATH": "/usr/bin", "KUBECONFIG": "of the caller"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(shown.split("=", 1) for shown in done.stdout.splitlines())


def test_env_for_kind(kind, call):
    code, out, _ = call("env")
    assert code == 0
    assert evaluated(out) == {
        "KUBECONFIG": str(kind.state.kubeconfig),
        "MAYFLY_URL": "https://127.0.0.1:8443",
        "MAYFLY_TOKEN": "the token",
        "SSL_CERT_FILE": str(kind.state.trusted_roots),
        "PATH": f"{kind.state.bin}:/usr/bin",
    }
    assert kind.state.trusted_roots.read_text() == f"{SYSTEM}\n{AUTHORITY}"
    assert kind.state.token.stat().st_mode & 0o077 == 0


def test_env_for_a_given_cluster_leaves_the_kubeconfig(given, call, monkeypatch):
    monkeypatch.setenv("MAYFLY_URL", "https://mayfly.example.com/$x 'y'")
    code, out, _ = call("env")
    assert code == 0
    shown = evaluated(out)
    assert shown["KUBECONFIG"] == "of the caller"
    assert shown["MAYFLY_URL"] == "https://mayfly.example.com/$x 'y'"
    assert shown["PATH"] == f"{given.state.bin}:/usr/bin"


def test_env_where_nothing_runs(call, tools, monkeypatch):
    monkeypatch.setenv("MAYFLY_CLUSTER", "kind")
    code, out, err = call("env")
    assert (code, out) == (1, "")
    assert "the kind cluster `mayfly` does not run: `make up` starts it" in err


def test_env_where_mayfly_is_not_installed(kind, call, tools):
    tools.answer("kubectl", "secret", "mayfly-tls", code=1, err='secrets "mayfly-tls" not found')
    code, out, err = call("env")
    assert (code, out) == (1, "")
    assert "Mayfly is not installed there" in err
    assert 'secrets "mayfly-tls" not found' in err


def test_env_evaluated_twice_keeps_the_systems_roots(kind, call, roots, monkeypatch):
    call("env")
    once = kind.state.trusted_roots.read_text()
    monkeypatch.setenv("SSL_CERT_FILE", str(kind.state.trusted_roots))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: Defaults(str(roots)))
    call("env")
    assert kind.state.trusted_roots.read_text() == once == f"{SYSTEM}\n{AUTHORITY}"


class Defaults:
    def __init__(self, path: str) -> None:
        self.openssl_cafile = path


def test_a_token_is_asked_for_once(kind, tools):
    one, two = chart.access(kind), chart.access(kind)
    assert one == two == Access(kind.url, "the token", kind.state.trusted_roots)
    (create,) = tools.calls("kubectl", "token")
    assert create.words[-3:] == ["--audience", "mayfly", "--duration=86400s"]


@pytest.mark.parametrize(
    "change", [{"uid": "of another cluster"}, {"until": 1}, {"token": None, "uid": None}]
)
def test_a_token_that_is_of_no_use_is_replaced(kind, tools, change):
    chart.access(kind)
    kept = json.loads(kind.state.token.read_text())
    kind.state.token.write_text(json.dumps({**kept, **change}))
    tools.answer("kubectl", "token", "demo", out="another\n")
    assert chart.access(kind).token == "another"


def test_a_damaged_token_file_is_replaced(kind, tools):
    kind.state.token.write_text('{"uid"')
    assert chart.access(kind).token == "the token"


def test_status(kind, call, tools):
    tools.answer("docker", "ps", out="mayfly-control-plane Up 2 hours\n")
    tools.answer("kubectl", "get", "nodes,pods", out="node/mayfly Ready\n")
    code, out, _ = call("status")
    assert code == 0
    assert out.splitlines()[:3] == [
        f"the kind cluster `mayfly` runs ({kind.state.folder})",
        "  mayfly-control-plane Up 2 hours",
        "node/mayfly Ready",
    ]


def test_status_where_nothing_is(call, here):
    code, out, _ = call("status")
    assert code == 0
    assert out.startswith(f"the local cluster does not run ({here.folder})\n  etcd ")
    assert "  runs" not in out
    assert not here.folder.exists()


def test_status_after_the_cache_was_removed(kind, call):
    (kind.state.bin / "kubectl").unlink()
    (kind.state.bin / "kubectl").symlink_to("/nonexistent/kubectl")
    code, out, _ = call("status")
    assert code == 0
    assert out.startswith("the kind cluster `mayfly` does not run (")


def test_a_missing_kubectl_is_told_in_words(tmp_path):
    done = Kubectl(tmp_path / "kubectl", None).attempt("get", "pods")
    assert done.returncode
    assert done.stderr == f"{tmp_path / 'kubectl'} is gone: `make up` brings it back"


def test_down_of_kind_needs_no_uninstall(kind, call, tools):
    assert call("down")[0] == 0
    assert len(tools.calls("kind", "delete")) == 1
    assert tools.calls("helm") == []
    assert not kind.state.folder.exists()


def test_down_of_a_given_cluster_uninstalls(given, call, tools):
    assert call("down")[0] == 0
    assert [words.words[0] for words in tools.calls("helm")] == ["uninstall"]
    assert not given.state.folder.exists()
    tools.forget_calls()
    assert call("down")[0] == 0
    assert tools.calls("helm") == []


def test_up_of_the_cluster_only(installed, here, call, tools, monkeypatch):
    code, out, err = call("up", "--cluster-only")
    assert (code, out) == (0, "")
    assert f"export KUBECONFIG={here.beside('kind').kubeconfig}" in err
    assert len(tools.calls("kind", "create")) == 1
    assert tools.calls("helm") == []


def test_images_are_printed_as_json(given, call, monkeypatch):
    monkeypatch.setenv("MAYFLY_OPERATOR_IMAGE", "o@sha256:1")
    monkeypatch.setenv("MAYFLY_RUNTIME_IMAGE", "r@sha256:2")
    _, out, _ = call("images")
    assert json.loads(out) == {"operator": "o@sha256:1", "runtime": "r@sha256:2"}


@pytest.mark.parametrize("tool", ["docker", "podman"])
def test_images_for_a_registry_are_pushed_and_named_for_helm(
    call, tools, recipe, monkeypatch, tool
):
    monkeypatch.setattr(recipes, "INSTALLED", (recipe, replace(recipe, name="runtime")))
    tools.install(tool)
    code, out, err = call("images", "--registry", "registry.example/mayfly/")
    assert code == 0, err
    pushed = [each.words[-1] for each in tools.calls(tool, "push")]
    built = [each.words[each.words.index("--tag") + 1] for each in tools.calls(tool, "build")]
    tags = [each.rpartition(":")[2] for each in built]
    assert pushed == [
        f"registry.example/mayfly/operator:{tags[0]}",
        f"registry.example/mayfly/runtime:{tags[1]}",
    ]
    assert out.replace("\\\n", "").split() == [
        *("--set", f"image.reference=registry.example/mayfly/operator@{tools.digest(built[0])}"),
        *(
            "--set",
            f"runtime.default.image=registry.example/mayfly/runtime@{tools.digest(built[1])}",
        ),
    ]


def test_images_without_a_registry_say_what_to_give(call, tools):
    code, out, err = call("images", "--registry", "")
    assert (code, out) == (1, "")
    assert "make images REGISTRY=registry.example.com/mayfly" in err


def test_up_installs(given, call, tools, monkeypatch):
    monkeypatch.setenv("MAYFLY_OPERATOR_IMAGE", "o@sha256:1")
    monkeypatch.setenv("MAYFLY_RUNTIME_IMAGE", "r@sha256:2")
    code, out, err = call("up")
    assert (code, out) == (0, "")
    assert len(tools.calls("helm", "upgrade")) == 1
    assert "Mayfly runs on the cluster of your kubeconfig" in err


def test_a_failure_has_no_traceback(call, monkeypatch):
    monkeypatch.setenv("MAYFLY_CLUSTER", "minikube")
    code, _, err = call("up")
    assert code == 1
    assert err.strip() == "MAYFLY_CLUSTER is current, kind, local or unset, not 'minikube'"


def test_ctrl_c(call, monkeypatch):
    def interrupted(_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(command_line._COMMANDS, "up", interrupted)
    code, _, err = call("up")
    assert code == 130
    assert "goes on from here" in err
