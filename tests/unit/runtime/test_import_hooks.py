"""Packages that are changed when the author imports them: in whatever way that comes about."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CODE = """
import importlib, importlib.util, sys
sys.path.insert(0, sys.argv[1])
from mayfly_runtime.worker.import_hooks import on_import

seen = []

def load(execute, module):
    execute(module)
    seen.append((module.__name__, module.VALUE))

def hook():
    on_import("wanted", load)

exec(sys.argv[2])
assert not any(type(each).__module__.startswith("mayfly") for each in sys.meta_path)
print(seen)
"""
FILES = {"wanted.py": "VALUE = 1\n", "other.py": "OTHER = 2\n"}


@pytest.fixture(params=["folder", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "folder":
        for name, text in FILES.items():
            (tmp_path / name).write_text(text)
        return tmp_path
    with zipfile.ZipFile(tmp_path / "packages.zip", "w") as packed:
        for name, text in FILES.items():
            packed.writestr(name, text)
    return tmp_path / "packages.zip"


@pytest.mark.parametrize(
    "code",
    [
        "hook(); import wanted",
        "hook(); import wanted, other",
        "hook(); importlib.util.find_spec('wanted'); import wanted",
        "import wanted; hook()",
        "hook(); import wanted; importlib.reload(wanted)",
    ],
    ids=["imported", "with_another", "looked_for_before", "there_before", "reloaded"],
)
def test_a_module_is_changed_once(place: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(place), code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[('wanted', 1)]\n", done.stderr
