"""Which cluster is taken."""

import pytest

from localcluster.clusters.choice import choose
from localcluster.clusters.given import GivenCluster
from localcluster.clusters.kind import KindCluster
from localcluster.clusters.local import LocalCluster
from localcluster.failure import Failure
from localcluster.images import docker


@pytest.mark.parametrize("docker_answers", [True, False])
@pytest.mark.parametrize("there", ["", "kind", "local"])
@pytest.mark.parametrize(
    ("asked", "kind", "suffix"),
    [
        ("current", GivenCluster, "-current"),
        ("kind", KindCluster, "-kind"),
        ("local", LocalCluster, ""),
    ],
)
def test_the_caller_decides(here, tools, monkeypatch, asked, kind, suffix, there, docker_answers):
    if there:
        (here if there == "local" else here.beside(there)).folder.mkdir()
    tools.install(*(["docker", "kind"] if docker_answers else []))
    monkeypatch.setenv("MAYFLY_CLUSTER", asked)
    chosen = choose(here)
    assert type(chosen) is kind
    assert chosen.state.folder == here.folder.with_name(here.folder.name + suffix)
    assert tools.calls("docker") == []


@pytest.mark.parametrize(
    ("installed", "code", "kind"),
    [
        (["docker", "kind"], 0, KindCluster),
        (["docker", "kind"], 1, LocalCluster),
        (["docker"], 0, LocalCluster),
        (["kind"], 0, LocalCluster),
        ([], 0, LocalCluster),
    ],
)
@pytest.mark.parametrize("value", ["", None])
def test_otherwise_what_the_machine_has(here, tools, monkeypatch, installed, code, kind, value):
    tools.install(*installed)
    tools.answer("docker", "info", code=code)
    if value is not None:
        monkeypatch.setenv("MAYFLY_CLUSTER", value)
    assert type(choose(here)) is kind
    assert not here.folder.parent.joinpath("state-kind").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_one_that_is_there_is_kept(here, tools, code):
    tools.install("docker", "kind")
    tools.answer("docker", "info", code=code)
    here.folder.mkdir()
    assert type(choose(here)) is LocalCluster
    here.beside("kind").folder.mkdir()
    assert type(choose(here)) is KindCluster


def test_an_unknown_word(here, monkeypatch):
    monkeypatch.setenv("MAYFLY_CLUSTER", "minikube")
    with pytest.raises(Failure, match="not 'minikube'"):
        choose(here)


def test_docker_answers_only_when_its_daemon_does(tools):
    assert not docker.answers()
    tools.install("docker")
    assert docker.answers()
    tools.answer("docker", "info", code=1, err="Cannot connect to the Docker daemon")
    assert not docker.answers()
    assert [call.words for call in tools.calls("docker")] == [["info"], ["info"]]
