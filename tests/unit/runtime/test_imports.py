"""What agent and worker import before main(): each module costs every pod its time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mayfly_runtime

SOURCE = Path(mayfly_runtime.__file__).parents[1]

COSTLY = {
    *["ast", "asyncio", "concurrent.futures", "dataclasses", "decimal", "email", "http.client"],
    *["importlib.metadata", "inspect", "logging", "multiprocessing", "random", "secrets", "shutil"],
    *["subprocess", "sysconfig", "tempfile", "urllib.request", "zipfile"],
}
"""Modules of the standard library that few runs need; of these, none may cost the others."""

BEFORE_THE_WORKER = """
import os
from mayfly_runtime.agent import __main__ as agent

def spawn(environment):
    told()
    os._exit(0)

agent.process.spawn = spawn
agent.main()
"""


def modules(code: str, *, path: Path = SOURCE, **environment: str) -> set[str]:
    """All modules that are loaded when `code` calls `told()`; without the venv's own hooks."""
    head = f"import sys\nsys.path.insert(0, {str(path)!r})\n"
    head += "def told():\n    print(*sys.modules, flush=True)\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", head + code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def ours(loaded: set[str]) -> set[str]:
    return {each for each in loaded if each.partition(".")[0] in {"mayfly_runtime", "cog"}}


def test_before_the_worker_is_made_the_agent_imports_only_what_that_takes(tmp_path):
    loaded = modules(BEFORE_THE_WORKER, MAYFLY_SCRATCH=str(tmp_path))
    assert ours(loaded) == {
        "mayfly_runtime",
        "mayfly_runtime.agent",
        "mayfly_runtime.agent.__main__",
        "mayfly_runtime.agent.address",
        "mayfly_runtime.agent.ca_bundle",
        "mayfly_runtime.agent.process",
    }
    assert not loaded & (COSTLY | {"hashlib", "json", "queue", "ssl", "threading", "typing"})


def test_the_agent_imports_nothing_costly():
    loaded = modules("import mayfly_runtime.agent.startup\ntold()")
    assert not loaded & (COSTLY | {"traceback"})
    # What fetches files, and the author's side.
    assert not {each for each in ours(loaded) if ".worker" in each or each == "cog"}
    assert "mayfly_runtime.agent.fetch" not in loaded


def test_the_worker_imports_nothing_costly():
    loaded = modules("import mayfly_runtime.worker.__main__\ntold()")
    assert not loaded & (COSTLY | {"hashlib", "queue", "ssl", "threading"})
    assert not {each for each in ours(loaded) if ".agent" in each}


HELPERS = """
{before}
try:
    import numpy as np
    HAS_NUMPY = True
except ImportError:
    HAS_NUMPY = False

def encode(value):
    if HAS_NUMPY:
        if isinstance(value, np.integer):
            return int(value)
        if isinstance(value, np.ndarray):
            return value.tolist()
    return value
"""
"""As replicate's client does it."""

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from mayfly_runtime.worker import replicate_numpy
replicate_numpy.put_off()
"""


def script(folder: Path, code: str, before: str = "") -> list[str]:
    """What a script prints that imports a client like replicate's."""
    (folder / "replicate").mkdir()
    (folder / "replicate" / "__init__.py").write_text("from replicate import helpers\n")
    (folder / "replicate" / "helpers.py").write_text(HELPERS.format(before=before))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + code, str(folder)],
        env={"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_replicate_is_imported_without_numpy(tmp_path):
    code = """
from replicate.helpers import encode
print("numpy" in sys.modules, encode("text"), encode(3))
import numpy
print(type(encode(numpy.int64(3))).__name__, type(encode(numpy.arange(2))).__name__)
print(any(type(each).__module__.startswith("mayfly") for each in sys.meta_path))
"""
    assert script(tmp_path, code) == ["False", "text", "3", "int", "list", "False"]


def test_replicate_sees_a_numpy_that_is_there(tmp_path):
    code = "import numpy, replicate\nprint(replicate.helpers.np is numpy)"
    assert script(tmp_path, code) == ["True"]


def test_another_thread_may_import_numpy_while_replicate_is_imported(tmp_path):
    before = (
        "import threading\nfound = []\n"
        "def work():\n    import numpy\n    found.append(numpy.arange(2).sum())\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
    )
    code = "from replicate.helpers import encode, found\nprint(found[0], encode(found[0]) == 1)"
    assert script(tmp_path, code, before) == ["1", "True"]


@pytest.mark.parametrize("source", ["raise RuntimeError", "import nothing_of_the_kind"])
def test_a_client_that_breaks_leaves_numpy_to_the_others(tmp_path, source):
    code = "try:\n    import replicate\nexcept Exception:\n    import numpy\n    print(numpy.e)"
    assert script(tmp_path, code, source) == ["2.718281828459045"]
