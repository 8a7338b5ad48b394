"""The README's table of what the local cluster puts on a machine, and what `make down` leaves."""

import ast
import re
from pathlib import Path

import pytest

from localcluster import clone, state
from localcluster.builds import cache, packages

README = (clone.ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("### What this puts on your machine")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")]
        for line in SECTION.splitlines() if line.startswith("| ")]  # fmt: skip
CODE = {
    path.relative_to(clone.LOCAL_CLUSTER / "localcluster").as_posix(): path.read_text()
    for path in sorted((clone.LOCAL_CLUSTER / "localcluster").rglob("*.py"))
}


def words(text: str) -> set[str]:
    """What is set as code, and is no command."""
    return {each for each in re.findall(r"`([^`]+)`", text) if " " not in each}


def row(beginning: str) -> list[str]:
    (found,) = [each for each in ROWS if each[0].startswith(beginning)]
    return found


def folders(kept: bool) -> set[str]:
    return {
        folder
        for each in ROWS
        if each[3] == ("keeps them" if kept else "removes it")
        for folder in words(each[1])
    }


def required(text: str) -> set[str]:
    """The names of the tuples that a module gives to `packages.require`."""
    found = set()
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"packages.require", "require"}:
            found |= set(re.findall(r"\b[A-Z]+\b", ast.unparse(call.args[0])))
    return found


def test_it_names_every_package_that_is_installed():
    of_tests = required(CODE["__main__.py"])
    of_cluster = set().union(*map(required, CODE.values())) - of_tests
    assert (of_tests, "NODE" in of_cluster) == ({"TESTS"}, True)
    wanted = {name for each in of_cluster for name in getattr(packages, each)}
    assert words(row("Debian packages")[0]) == wanted
    (sentence,) = re.findall(r"`make test` also installs the packages (.*?)\.", SECTION)
    assert words(sentence) == set(packages.TESTS)


def test_nothing_else_installs_packages():
    assert [name for name, text in CODE.items() if '"apt-get", "install"' in text] == [
        "builds/packages.py"
    ]


def test_it_names_every_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MAYFLY_LOCAL_STATE")
    monkeypatch.delenv("MAYFLY_CACHE")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    # What programs of the cluster keep at paths that are compiled into them.
    fixed = re.findall(r'^_[A-Z_]+ = Path\("(/[^"]+)"\)', CODE["node/leftovers.py"], re.MULTILINE)
    assert folders(kept=False) == {str(state.current().folder), *fixed}
    assert words(row("results of slow steps")[1]) == {
        str(cache.folder()).replace(str(Path.home()), "~")
    }


def test_what_is_kept_can_be_removed():
    removed = " ".join(re.findall(r"^rm -rf ([^#]*?)\s*(?:#.*)?$", SECTION, re.MULTILINE))
    assert set(removed.split()) == folders(kept=True)
    (packages_,) = re.findall(r"^apt-get remove ([^#]*?)\s*#", SECTION, re.MULTILINE)
    assert set(packages_.split()) <= words(row("Debian packages")[0])
