"""Debian's promtool checks what the chart tells Prometheus."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest

Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("no promtool: python3 -m localcluster packages installs it")

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [found, *arguments], input=stdin, capture_output=True, text=True, check=False
        )

    return run
