"""The cluster of the caller's kubeconfig: installed on, never started or stopped."""

from pathlib import Path

import pytest

from localcluster.clusters.given import GivenCluster
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.installation import chart

REGISTRY = "registry.example/mayfly"


@pytest.fixture
def cluster(here, tools, monkeypatch) -> GivenCluster:
    tools.install("kubectl", "helm")
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/their-kubeconfig")
    return GivenCluster(here.beside("current"))


def test_up_only_looks(cluster, tools):
    assert not cluster.running()
    cluster.up()
    assert cluster.running()
    assert {tuple(call.words) for call in tools.calls("kubectl")} == {("get", "--raw=/readyz")}
    assert tools.calls("helm") == []


def test_the_callers_kubeconfig_is_used(cluster, tools):
    cluster.up()
    cluster.kubectl("get", "nodes")
    (call,) = tools.calls("kubectl", "nodes")
    assert call.env["KUBECONFIG"] == "/home/somebody/their-kubeconfig"
    assert not cluster.state.kubeconfig.exists()


def test_one_that_does_not_answer(cluster, tools):
    tools.answer("kubectl", "--raw=/readyz", code=1)
    with pytest.raises(Failure, match="does not answer"):
        cluster.up()


def test_up_in_a_shell_that_has_evaluated_env(cluster, tools, monkeypatch):
    cluster.up()
    monkeypatch.setenv("PATH", f"{cluster.state.bin}:{tools.bin}")
    cluster.up()
    assert cluster.helm.readlink() == tools.bin / "helm"


def test_down_touches_nothing_but_our_folder(cluster, tools):
    cluster.up()
    tools.forget_calls()
    cluster.down()
    assert not cluster.state.folder.exists()
    assert tools.calls("kubectl") == tools.calls("helm") == []


def test_named_images_are_taken_as_they_are(cluster, tools, monkeypatch):
    tools.install("docker")
    monkeypatch.setenv("MAYFLY_REGISTRY", REGISTRY)
    monkeypatch.setenv("MAYFLY_OPERATOR_IMAGE", "theirs/operator@sha256:1")
    monkeypatch.setenv("MAYFLY_RUNTIME_IMAGE", "theirs/runtime@sha256:2")
    assert chart.build_images(cluster) == {
        "operator": "theirs/operator@sha256:1",
        "runtime": "theirs/runtime@sha256:2",
    }
    assert tools.calls("docker") == []


def test_without_a_registry_it_says_what_to_set(cluster):
    with pytest.raises(Failure, match=r"(?s)MAYFLY_REGISTRY=.*MAYFLY_RUNTIME_IMAGE="):
        cluster.image(recipes.RUNTIME)


def test_built_pushed_and_named_by_the_registrys_digest(cluster, tools, recipe, monkeypatch):
    tools.install("docker")
    monkeypatch.setenv("MAYFLY_REGISTRY", REGISTRY)
    reference = cluster.image(recipe)
    (push,) = tools.calls("docker", "push")
    target = push.words[1]
    built = tools.calls("docker", "build")[0].words
    tagged = built[built.index("--tag") + 1]
    assert target == f"{REGISTRY}/operator:{tagged.partition(':')[2]}"
    assert reference == f"{REGISTRY}/operator@{tools.digest(tagged)}"

    tools.forget_calls()
    assert cluster.image(recipe) == reference
    assert tools.calls("docker", "push") == []

    monkeypatch.setenv("MAYFLY_REGISTRY", "other.example")
    assert cluster.image(recipe).startswith("other.example/operator@sha256:")
    assert len(tools.calls("docker", "push")) == 1


def test_a_failed_push_is_tried_again(cluster, tools, recipe, monkeypatch):
    tools.install("docker")
    monkeypatch.setenv("MAYFLY_REGISTRY", REGISTRY)
    tools.answer("docker", "push", code=1, err="denied: log in first")
    with pytest.raises(Failure, match="denied: log in first"):
        cluster.image(recipe)
    tools.answer("docker", "push")
    assert cluster.image(recipe).startswith(f"{REGISTRY}/operator@sha256:")


@pytest.mark.parametrize(
    ("installed", "code", "tool"),
    [
        (["docker"], 0, "docker"),
        (["docker", "podman"], 0, "docker"),
        (["docker", "podman"], 1, "podman"),
        (["podman"], 0, "podman"),
        (["docker"], 1, "buildah"),
        ([], 0, "buildah"),
    ],
)
def test_the_tool_that_answers_builds(cluster, tools, monkeypatch, installed, code, tool):
    class Asked(Exception):
        pass

    def build(recipe, builder):
        raise Asked(builder.key())

    tools.install(*installed)
    tools.answer("docker", "info", code=code)
    monkeypatch.setenv("MAYFLY_REGISTRY", REGISTRY)
    monkeypatch.setattr(recipes, "build", build)
    with pytest.raises(Asked, match=tool):
        cluster.image(recipes.OPERATOR)


def test_helm_gets_the_callers_values_and_kubeconfig(here, tools, monkeypatch):
    tools.install("kubectl", "helm")
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/their-kubeconfig")
    monkeypatch.setenv("MAYFLY_VALUES", "/one.yaml:/two.yaml")
    cluster = GivenCluster(here.beside("current"))
    cluster.up()
    chart.install(cluster, {"operator": "o@sha256:1", "runtime": "r@sha256:2"})
    (call,) = tools.calls("helm", "upgrade")
    words = call.words
    values = [words[i + 1] for i, word in enumerate(words) if word == "--values"]
    assert values == ["/one.yaml", "/two.yaml"]
    assert call.env["KUBECONFIG"] == "/home/somebody/their-kubeconfig"
    assert tools.calls("kubectl", "label") == []


def test_a_relative_values_file_and_none(here, monkeypatch):
    assert GivenCluster(here).values == []
    monkeypatch.setenv("MAYFLY_VALUES", "mine.yaml")
    assert GivenCluster(here).values == [Path("mine.yaml")]


def test_uninstall(cluster, tools):
    cluster.up()
    chart.uninstall(cluster)
    (call,) = tools.calls("helm")
    assert call.words[:4] == ["uninstall", "mayfly", "--namespace", "mayfly-system"]
    assert [call.words[-2:] for call in tools.calls("kubectl", "delete")] == [
        ["serviceaccount", "demo"],
        ["rolebinding", "mayfly-demo"],
    ]


def test_the_gateway_where_the_caller_says(cluster, tools, monkeypatch):
    monkeypatch.setenv("MAYFLY_URL", "https://mayfly.example.com")
    with cluster.gateway() as url:
        assert url == cluster.url == "https://mayfly.example.com"
    assert tools.calls("kubectl") == []


def test_the_gateway_by_a_forwarded_port_that_ends_with_the_block(cluster, tools):
    cluster.up()
    with cluster.gateway() as url:
        (call,) = tools.calls("kubectl", "port-forward")
        assert url == f"https://localhost:{call.words[-1].removesuffix(':443')}"
        assert Path(f"/proc/{call.pid}").exists()
    assert not Path(f"/proc/{call.pid}").exists()


def test_a_port_that_cannot_be_forwarded(cluster, tools):
    cluster.up()
    tools.answer("kubectl", "port-forward", code=1)
    with pytest.raises(Failure, match="port-forward"), cluster.gateway():
        pytest.fail("there is no gateway")


def test_status(cluster, tools):
    cluster.up()
    tools.answer("kubectl", "cluster-info", out="Kubernetes is running at https://there\n")
    assert cluster.status() == ["Kubernetes is running at https://there"]
