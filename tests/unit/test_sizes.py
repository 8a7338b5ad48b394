"""No function or module is longer than a reader keeps in mind."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("operator/src", "runtime-image/src", "local-cluster/localcluster")
FUNCTION_LINES = 60
MODULE_LINES = 400
LONGER = "This module is longer than others"
"""How the docstring of one that has to be longer begins to say why."""

MODULES = sorted(path for part in PRODUCT for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short(path):
    text = path.read_text()
    tree = ast.parse(text)
    reason = LONGER in (ast.get_docstring(tree) or "")
    assert len(text.splitlines()) <= MODULE_LINES or reason
    functions = [
        each for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {
        each.name: lines
        for each in functions
        if (lines := (each.end_lineno or 0) - each.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}
