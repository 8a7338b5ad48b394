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
