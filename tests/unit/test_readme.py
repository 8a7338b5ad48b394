"""The READMEs name tests and files that exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SOURCES = tuple(
    ROOT / each for each in ("operator", "operator/src/mayfly", "runtime-image/src", "")
)
NAMED_FILES = re.findall(
    r"`([\w/-]+/(?:\w+\.py)?)`", (ROOT / "operator" / "README.md").read_text(encoding="utf-8")
)
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", (TESTS / "README.md").read_text(encoding="utf-8"))
ROWS = re.findall(
    r"^\| (\d+) .*::", (TESTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)

SHOWN = sorted(
    page
    for page in (*ROOT.rglob("*.md"), ROOT / "charts/mayfly/templates/NOTES.txt")
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
)
WAITS = [
    (page.relative_to(ROOT).as_posix(), line)
    for page in (*SHOWN, ROOT / "local-cluster/localcluster/installation/demo.py")
    for line in page.read_text(encoding="utf-8").splitlines()
    if re.search(r"kubectl wait\b.*\b(prun|pipelinerun)|--for=.*\b[Ff]inished", line)
]


def test_each_invariant_names_its_tests():
    assert [int(row) for row in ROWS] == list(range(1, 11))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_test_that_the_readme_names_is_there(file, name):
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert name in {each.name for each in tree.body if isinstance(each, defined)}


@pytest.mark.parametrize("name", sorted(set(NAMED_FILES)))
def test_a_file_that_the_operators_readme_names_is_there(name):
    assert any((folder / name).exists() for folder in SOURCES)


def test_runs_are_waited_for_in_several_places():
    assert {page for page, _ in WAITS} >= {
        "README.md",
        "examples/README.md",
        "local-cluster/localcluster/installation/demo.py",
    }


@pytest.mark.parametrize(("page", "line"), WAITS)
def test_who_waits_for_a_run_waits_for_usage_and_cost_too(page, line):
    assert re.search(r"--for=jsonpath='?\{\.status\.finished\}'?=true", line)
