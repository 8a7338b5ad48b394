"""kind: what docker, kind, kubectl and helm are told."""

import json
from pathlib import Path

import pytest

from localcluster.builds import programs
from localcluster.clusters.kind import KindCluster
from localcluster.failure import Failure
from localcluster.images import recipes
from localcluster.installation import chart

ROOT = Path(__file__).parents[3]
CTR = ["exec", "mayfly-control-plane", "ctr", "--namespace", "k8s.io", "images"]
DEMO_USER = ["ServiceAccount", "RoleBinding"]


@pytest.fixture
def kind(here, tools) -> KindCluster:
    tools.install("docker", "kind", "kubectl", "helm")
    return KindCluster(here.beside("kind"))


def test_up_creates_the_cluster_with_our_configuration(kind, tools):
    assert not kind.running()
    kind.up()
    (create,) = tools.calls("kind", "create")
    assert create.words == [
        "create", "cluster", "--name", "mayfly", "--config", str(ROOT / "kind-config.yaml"),
        "--kubeconfig", str(kind.state.kubeconfig), "--wait", "180s",
    ]  # fmt: skip
    assert tools.calls("docker") == []
    ready = tools.calls("kubectl", "get", "--raw=/readyz")
    assert {call.env["KUBECONFIG"] for call in ready} == {str(kind.state.kubeconfig)}
    assert kind.running()


def test_up_again_starts_a_stopped_node(kind, tools):
    kind.up()
    kind.state.kubeconfig.unlink()
    tools.forget_calls()
    kind.up()
    assert [call.words for call in tools.calls("docker")] == [["start", "mayfly-control-plane"]]
    assert tools.calls("kind", "create") == []
    assert kind.state.kubeconfig.read_text() == "kubeconfig of mayfly\n"
    assert kind.state.kubeconfig.stat().st_mode & 0o077 == 0


def test_somebody_elses_kind_cluster_is_not_ours(kind, tools):
    tools.answer("kind", "get", "clusters", out="mayfly-old\nkind\n")
    kind.up()
    assert len(tools.calls("kind", "create")) == 1


def test_a_cluster_that_kind_cannot_create(kind, tools):
    tools.answer("kind", "create", err="ERROR: port 8443 is in use\n", code=1)
    with pytest.raises(Failure, match="port 8443 is in use"):
        kind.up()
    assert not kind.running()


@pytest.mark.parametrize("absent", ["docker", "kind"])
def test_without_its_tools_it_says_so(kind, tools, absent):
    (tools.bin / absent).unlink()
    with pytest.raises(Failure, match=f"needs {absent}:"):
        kind.up()
    assert kind.status() == [""]


@pytest.mark.parametrize("suffix", ["kind", "current", ""])
def test_up_in_a_shell_that_has_evaluated_env(kind, here, tools, monkeypatch, suffix):
    """Our own folder is first on PATH then: a link to itself must not come of it."""
    kind.up()
    shown = (here.beside(suffix) if suffix else here).bin
    if not shown.exists():
        shown.mkdir(parents=True)
        for name in ("kubectl", "helm"):
            (shown / name).symlink_to(tools.bin / name)
    monkeypatch.setenv("PATH", f"{shown}:{tools.bin}")
    kind.up()
    assert {name: (kind.state.bin / name).readlink() for name in ("kubectl", "helm")} == {
        name: tools.bin / name for name in ("kubectl", "helm")
    }
    assert kind.running()


def test_clients_that_the_machine_lacks_are_built(tools, monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "kubernetes", lambda: tmp_path / "kubernetes-1")
    monkeypatch.setattr(programs, "helm", lambda: tmp_path / "helm-1" / "helm")
    tools.install("kubectl")
    assert programs.clients() == {
        "kubectl": tools.bin / "kubectl",
        "helm": tmp_path / "helm-1" / "helm",
    }
    (tools.bin / "kubectl").unlink()
    assert programs.clients()["kubectl"] == tmp_path / "kubernetes-1" / "kubectl"


def test_an_image_is_built_loaded_and_named_by_digest(kind, tools, recipe):
    kind.up()
    tools.forget_calls()
    reference = kind.image(recipe)
    (build,) = tools.calls("docker", "build")
    tagged = build.words[build.words.index("--tag") + 1]
    name, _, tag = tagged.partition(":")
    digest = tools.digest(tagged)
    assert name == "localhost/mayfly/operator"
    assert build.words[1:3] == ["--build-arg", "BASE=python:3.13-slim"]
    assert reference == f"{name}@{digest}"
    archive = str(recipes.cache.place("image-operator", tag) / "image.tar")
    (load,) = tools.calls("kind", "load")
    assert load.words == ["load", "image-archive", archive, "--name", "mayfly"]
    (tagging,) = tools.calls("docker", "exec", "tag")
    assert tagging.words == [*CTR, "tag", "--force", tagged, reference]
    assert tools.node_images == {tagged: digest, reference: digest}


def test_an_image_that_the_node_has_is_not_loaded_again(kind, tools, recipe):
    kind.up()
    first = kind.image(recipe)
    tools.forget_calls()
    assert kind.image(recipe) == first
    assert tools.calls("kind") == []
    assert tools.calls("docker", "build") == []
    assert all("list" in call.words for call in tools.calls("docker"))


def test_another_source_is_another_image(kind, recipe):
    kind.up()
    first = kind.image(recipe)
    Path(recipe.parts[0][0], "src", "main.py").write_text("print(1)\n")
    assert kind.image(recipe) != first


def test_an_image_that_lost_its_name_by_digest_gets_it_again(kind, tools, recipe):
    """A killed load: the tag is there, but a pod names the image by digest."""
    kind.up()
    reference = kind.image(recipe)
    tools.answer("docker", "list", f"name=={reference}", out="REF TYPE DIGEST SIZE\n")
    tools.forget_calls()
    assert kind.image(recipe) == reference
    assert len(tools.calls("docker", "exec", "tag")) == 1


def test_an_image_that_kind_did_not_load(kind, tools, recipe):
    kind.up()
    tools.answer("kind", "load")
    with pytest.raises(Failure, match="kind loaded no image localhost/mayfly/operator:"):
        kind.image(recipe)


def test_a_failed_build_shows_what_docker_said(kind, tools, recipe):
    tools.answer("docker", "build", err="no space left on device", code=1)
    with pytest.raises(Failure, match="no space left on device"):
        kind.image(recipe)
    assert list(recipes.cache.folder().glob("image-*")) == []
    assert list(recipes.cache.folder().glob("context-*")) == []


def test_the_base_can_be_chosen_and_counts(kind, tools, recipe, monkeypatch):
    kind.up()
    first = kind.image(recipe)
    monkeypatch.setenv("MAYFLY_BASE_IMAGE", "mirror.example/python:3.13")
    assert kind.image(recipe) != first
    build = tools.calls("docker", "build")[-1]
    assert "BASE=mirror.example/python:3.13" in build.words


def test_helm_gets_kinds_values_and_the_images(kind, tools):
    kind.up()
    references = {"operator": "o@sha256:1", "runtime": "r@sha256:2"}
    chart.install(kind, references)
    (call,) = tools.calls("helm")
    words = call.words
    assert words[:4] == ["upgrade", "--install", "mayfly", str(ROOT / "charts" / "mayfly")]
    values = [words[i + 1] for i, word in enumerate(words) if word == "--values"]
    assert values == [str(ROOT / "local-cluster" / "values-kind.yaml")]
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert settings == ["image.reference=o@sha256:1", "runtime.default.image=r@sha256:2"]
    assert call.env["KUBECONFIG"] == str(kind.state.kubeconfig)
    (user,) = tools.calls("kubectl", "apply")  # and no volume: kind has a StorageClass
    assert [item["kind"] for item in json.loads(user.stdin)["items"]] == DEMO_USER


def test_pods_wait_in_the_namespace_of_the_demo(kind, tools):
    kind.up()
    chart.install(kind, {"operator": "o@sha256:1", "runtime": "r@sha256:2"})
    (label,) = tools.calls("kubectl", "label")
    assert label.words == [
        "label",
        "namespace",
        "default",
        "mayfly.dev/warm=default",
        "--overwrite",
    ]


def test_a_failed_install_shows_helms_words_pods_and_events(kind, tools):
    kind.up()
    tools.answer("helm", "upgrade", err="Error: timed out\n", code=1)
    tools.answer("kubectl", "get", "pods", out="mayfly-gateway 0/1 Pending\n")
    tools.answer("kubectl", "get", "events", out="".join(f"event {n}\n" for n in range(10)))
    with pytest.raises(Failure) as told:
        chart.install(kind, {"operator": "o", "runtime": "r"})
    for shown in ("Error: timed out", "mayfly-gateway 0/1 Pending", "event 2\n", "event 9\n"):
        assert shown in str(told.value)
    assert "event 1\n" not in str(told.value)
    assert tools.calls("kubectl", "apply") == []


def test_what_a_killed_helm_left_pending_is_forgotten_first(kind, tools):
    kind.up()
    tools.answer("helm", "upgrade", code=1)
    with pytest.raises(Failure):
        chart.install(kind, {"operator": "o", "runtime": "r"})
    (delete,) = tools.calls("kubectl", "delete", "secret")
    selector = delete.words[delete.words.index("-l") + 1]
    assert selector.startswith("owner=helm,name=mayfly,status in (pending-")


def test_down_deletes_the_cluster_and_its_folder(kind, tools):
    kind.up()
    kind.down()
    (delete,) = tools.calls("kind", "delete")
    assert delete.words == ["delete", "cluster", "--name", "mayfly"]
    assert not kind.state.folder.exists()
    assert list(kind.state.folder.parent.glob("state*")) == []


def test_a_cluster_that_kind_cannot_delete_stays_known(kind, tools):
    kind.up()
    tools.answer("kind", "delete", code=1, err="docker does not answer")
    with pytest.raises(Failure, match="docker does not answer"):
        kind.down()
    assert kind.state.kubeconfig.exists()


def test_the_gateway_is_where_kind_maps_it(kind):
    with kind.gateway() as url:
        assert url == kind.url == "https://127.0.0.1:8443"
