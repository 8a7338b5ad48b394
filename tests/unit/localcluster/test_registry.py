"""Where images may be pushed to, and with which care."""

import pytest

from localcluster.failure import Failure
from localcluster.images import recipes, registry

ON_LOOPBACK = ["localhost", "localhost:5000/mayfly", "LOCALHOST:5000", "127.0.0.1:5000/mayfly",
               "127.1.2.3", "[::1]:5000/mayfly", "[::1]"]  # fmt: skip
ELSEWHERE = ["registry.example.com/mayfly", "docker.io/somebody", "10.0.0.1:5000/mayfly",
             "[fd00::1]:5000/mayfly", "localhost.example.com/mayfly", "127.example.com",
             "registry.example.com/localhost"]  # fmt: skip


@pytest.fixture(params=["podman", "buildah"])
def push(request, tools, tmp_path, monkeypatch):
    """Push with one tool to a registry; the words of the tool's own push."""
    tool = request.param
    tools.install(tool)
    archive = tmp_path / "image.tar"
    archive.write_text("built")
    image = recipes.Image("localhost/mayfly/operator", "1", archive)
    monkeypatch.setattr(recipes, "build", lambda recipe, builder: image)

    def run(name: str) -> list[str]:
        tools.forget_calls()
        registry.push(recipes.OPERATOR, name, again=True)
        (called,) = tools.calls(tool, "push")
        return called.words

    return run


def test_which_registries_are_on_this_machine():
    assert [
        name for name in (*ON_LOOPBACK, *ELSEWHERE) if registry.on_loopback(name)
    ] == ON_LOOPBACK


def test_only_a_registry_on_this_machine_needs_no_tls(push):
    assert "--tls-verify=false" in push(f"{ON_LOOPBACK[-1]}/mayfly")
    assert "--tls-verify=true" in push(ELSEWHERE[0])


@pytest.mark.parametrize("scheme", ["https", "http", "docker"])
def test_a_url_is_told_to_be_none(scheme):
    with pytest.raises(Failure, match=r"without https://, as images are: r\.example/mayfly$"):
        registry.push(recipes.OPERATOR, f"{scheme}://r.example/mayfly/")


def test_a_registry_may_have_lost_what_was_pushed_to_it(push):
    first, again = push("localhost:5000"), push("localhost:5000")
    assert first[-1] == again[-1]  # the target
