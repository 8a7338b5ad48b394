"""One list of dependencies: what is imported is declared, what is declared is used and locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

OURS = {"mayfly", "mayfly_runtime", "cog", "localcluster", "support", "benchmarks", "contract"}
BY_NAME = {"aiosqlite", "psycopg", "websockets"}
"""Nothing imports them: SQLAlchemy's drivers, and uvicorn's WebSockets, are found by name."""

TOOLS = {"import-linter", "mypy", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "ruff"}
STUBS = {"types-pyyaml"}
REFERENCE = {"cog"}
"""What our own `cog` is compared with."""

LOCK = """
uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url pyproject.toml -o operator/requirements.txt
uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url pyproject.toml --group tests -c operator/requirements.txt \
  -o tests/requirements.txt
"""


def requirements(lines: list[str]) -> dict[str, Requirement]:
    found = map(Requirement, lines)
    return {canonicalize_name(each.name): each for each in found}


OPERATOR = requirements(PROJECT["project"]["dependencies"])
TESTS = requirements(PROJECT["dependency-groups"]["tests"])


def imported(folder: str) -> set[str]:
    """The top-level modules of others that the code in a folder imports."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - OURS


def distributions(modules: set[str]) -> set[str]:
    """The packages that they come from."""
    known = packages_distributions()
    return {canonicalize_name(name) for module in modules for name in known[module]}


def locked(path: str) -> dict[str, list[str]]:
    """The versions in a lock file, by package; it may have one for each Python."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / path).read_text().splitlines():
        if match := re.match(r"([\w.-]+)(?:\[.*\])?==([^\s;]+)", line):
            found.setdefault(canonicalize_name(match[1]), []).append(match[2])
    return found


def test_the_operator_declares_what_it_imports_and_nothing_else() -> None:
    assert distributions(imported("operator/src")) | BY_NAME == OPERATOR.keys()


def test_the_tests_declare_what_they_import_and_nothing_else() -> None:
    used = distributions(imported("tests"))
    assert used - OPERATOR.keys() - TESTS.keys() == set()
    assert TESTS.keys() == (used - OPERATOR.keys()) | TOOLS | STUBS | REFERENCE
    assert not TESTS.keys() & OPERATOR.keys()


def test_the_agent_and_the_local_cluster_need_the_standard_library_alone() -> None:
    assert imported("runtime-image/src/mayfly_runtime") == set()
    assert imported("local-cluster") == set()


def test_the_cog_of_runs_needs_what_the_runtime_image_has() -> None:
    assert imported("runtime-image/src/cog") == {"pydantic"}
    lines = (ROOT / "runtime-image" / "requirements.in").read_text().splitlines()
    wanted = requirements([line for line in lines if not line.startswith("#")])
    versions = locked("runtime-image/requirements.txt")
    assert "pydantic" in wanted
    assert {name: [str(each.specifier)] for name, each in wanted.items()} == {
        name: [f"=={version}" for version in found] for name, found in versions.items()
    }


@pytest.mark.parametrize(
    ("path", "declared"),
    [
        ("operator/requirements.txt", OPERATOR),
        ("tests/requirements.txt", {**OPERATOR, **TESTS}),
    ],
)
def test_a_lock_has_what_is_declared(path: str, declared: dict[str, Requirement]) -> None:
    versions = locked(path)
    for name, wanted in declared.items():
        assert name in versions, f"{path} lacks {name}; to lock again:{LOCK}"
        assert all(map(wanted.specifier.contains, versions[name])), name


def test_tests_run_with_the_versions_of_the_image() -> None:
    image, tests = locked("operator/requirements.txt"), locked("tests/requirements.txt")
    assert {name: tests.get(name) for name in image} == image
