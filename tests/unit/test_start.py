"""A process's start: it loads what it needs, and the garbage collector leaves that alone."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

from mayfly.__main__ import loading


def test_the_command_itself_loads_neither_half() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, mayfly.__main__; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"fastapi", "httpx", "kopf", "kubernetes", "pydantic", "sqlalchemy"}
    assert heavy & set(done.stdout.split()) == set()


def test_what_a_start_loads_is_not_collected_again() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        loaded: list[list[int]] = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(loaded)
