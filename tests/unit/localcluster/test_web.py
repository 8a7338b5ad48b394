"""The web UI: its packages installed once, built once for each state of its sources."""

import sys
from pathlib import Path

import pytest

from localcluster import __main__ as command_line
from localcluster.builds import cache, web
from localcluster.failure import Failure
from localcluster.images import recipes

NPM = """\
#!{python} -IS
import os, sys
from pathlib import Path
with Path({record!r}).open("a") as stream:
    print(*sys.argv[1:], os.environ.get("NODE_ENV", "-"), file=stream)
folder = Path(sys.argv[-1])
if "ci" in sys.argv:
    (folder / "node_modules" / "vite").mkdir(parents=True)
else:
    assert (folder / "node_modules" / "vite").is_dir()
    (folder / "dist").mkdir()
    (folder / "dist" / "index.html").write_text((folder / "src" / "main.tsx").read_text())
    (folder / "dist" / "files").write_text(" ".join(sorted(each.name for each in folder.iterdir())))
"""


@pytest.fixture(autouse=True)
def sources(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "web"
    (folder / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc", "vite.config.ts"):
        (folder / name).write_text(name)
    (folder / "src" / "main.tsx").write_text("one")
    monkeypatch.setattr(web, "SOURCES", folder)
    return folder


@pytest.fixture(autouse=True)
def npm(tools, tmp_path) -> Path:
    """The file in which npm writes each of its calls, a line each."""
    tools.install("node")
    tools.answer("node", "--version", out="v20.19.2\n")
    record = tmp_path / "npm.calls"
    record.touch()
    (tools.bin / "npm").write_text(NPM.format(python=sys.executable, record=str(record)))
    (tools.bin / "npm").chmod(0o755)
    return record


def calls(npm: Path) -> list[str]:
    """What npm was called for: the first words."""
    return [line.split()[0] for line in npm.read_text().splitlines()]


def test_it_is_built_once(npm):
    first = web.dist()
    assert (first / "index.html").read_text() == "one"
    assert web.dist() == first
    assert calls(npm) == ["ci", "run"]


def test_other_sources_are_built_with_the_same_packages(npm, sources):
    first = web.dist()
    (sources / "src" / "main.tsx").write_text("two")
    second = web.dist()
    assert [(each / "index.html").read_text() for each in (first, second)] == ["one", "two"]
    assert calls(npm) == ["ci", "run", "run"]


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", ".npmrc"])
def test_other_packages_are_another_folder(npm, sources, name):
    first = web.modules()
    (sources / name).write_text("other")
    assert web.modules() != first
    assert (web.modules() / "vite").is_dir()
    assert calls(npm) == ["ci", "ci"]


def test_another_node_gets_packages_of_its_own(npm, tools):
    first = web.modules()
    tools.answer("node", "--version", out="v22.12.0\n")
    assert web.modules() != first


@pytest.mark.parametrize(
    "name", ["src/a.test.ts", "src/a.test.tsx", "src/schema.d.ts", "dist/x.js", "node_modules/x.js"]
)
def test_what_does_not_reach_the_browser_builds_nothing_again(npm, sources, name):
    first = web.dist()
    (sources / name).parent.mkdir(exist_ok=True)
    (sources / name).write_text("new")
    assert web.dist() == first
    assert calls(npm) == ["ci", "run"]


def test_the_tree_is_left_alone_and_nothing_stays_beside_the_entries(sources):
    before = sorted(sources.rglob("*"))
    web.dist()
    assert sorted(sources.rglob("*")) == before
    assert {each.name.partition("-")[0] for each in cache.folder().iterdir()} == {
        *("logs", "node", "web")
    }


def test_the_environment_does_not_make_another_build(npm, monkeypatch):
    monkeypatch.setenv("NODE_ENV", "development")
    web.dist()
    install, build = npm.read_text().splitlines()
    assert "--include=dev" in install.split()
    assert build.split()[-1] == "production"


@pytest.mark.parametrize(
    "said", ["v18.20.4\n", "v20.18.3\n", "v21.7.3\n", "v22.11.0\n", "", "no version\n"]
)
def test_a_node_that_is_too_old_is_told_in_words(npm, tools, said):
    tools.answer("node", "--version", out=said)
    with pytest.raises(Failure, match=r"Node\.js, 20\.19 .* `node --version` says ") as failed:
        web.dist()
    assert str(failed.value).endswith(said.strip() or "nothing")
    assert calls(npm) == []


@pytest.mark.parametrize("said", ["v20.19.0\n", "v20.20.2\n", "v22.12.0\n", "v24.1.0\n"])
def test_a_node_that_will_do(tools, said):
    tools.answer("node", "--version", out=said)
    assert web.dist().is_dir()


@pytest.mark.parametrize("missing", ["node", "npm"])
def test_what_is_missing_is_told_in_words(tools, missing, monkeypatch, capsys):
    (tools.bin / missing).unlink()
    monkeypatch.setattr(sys, "argv", ["localcluster", "web"])
    assert command_line.main() == 1
    said = capsys.readouterr().err
    assert "install both" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("command", "made"), [("web", "dist"), ("modules", "node_modules")])
def test_the_commands_print_the_folder(command, made, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["localcluster", command])
    assert command_line.main() == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder.name, folder.is_dir()) == (made, True)


def test_a_failed_build_shows_what_npm_said_and_leaves_nothing(tools):
    (tools.bin / "npm").write_text("#!/bin/sh\necho could not resolve entry module\nexit 1\n")
    with pytest.raises(Failure, match="could not resolve entry module"):
        web.dist()
    assert [each.name for each in cache.folder().iterdir()] == ["logs"]


class Builder:
    """Builds nothing, and keeps what it was given."""

    def key(self) -> str:
        return "a builder"

    def build(self, context: Path, name: str, tag: str, archive: Path, current) -> None:
        self.files = sorted(str(each.relative_to(context)) for each in context.rglob("*.html"))
        archive.write_text(name)

    def push(self, *_, **__) -> None:
        raise AssertionError


def test_an_image_has_what_is_built_for_it_and_another_one_with_it(recipe, sources):
    with_ui = recipes.Recipe("operator", recipe.parts, ((web.dist, "web"),))
    builder = Builder()
    without = recipes.build(recipe, builder)
    first = recipes.build(with_ui, builder)
    assert builder.files == ["web/index.html"]
    assert recipes.build(with_ui, builder).tag == first.tag
    (sources / "src" / "main.tsx").write_text("two")
    assert len({without.tag, first.tag, recipes.build(with_ui, builder).tag}) == 3


def test_the_operators_image_has_the_ui_where_the_gateway_looks_for_it():
    assert (web.dist, "web") in recipes.OPERATOR.built
    dockerfile = (Path(recipes.ROOT) / "operator" / "Dockerfile").read_text()
    assert "COPY web /opt/mayfly/share/mayfly/web" in dockerfile.splitlines()
