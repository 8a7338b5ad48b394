"""Real Cog servers on loopback, with the predictors of `examples/models`."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
from support.kube_memory import WAIT_SECONDS
from support.servers.ports import free_port

from mayfly.source_check.checker import SourceChecker

EXAMPLES = Path(__file__).parents[3] / "examples" / "models"
Json = dict[str, Any]
_schemas: dict[str, Json] = {}
"""Schemas by source: a program of its own reads a source, and tests use the same few."""


class CogServer:
    """A Cog server with an example, or with a test's own source."""

    def __init__(self, folder: Path, example: str, source: str = "") -> None:
        self.folder = folder / f"cog-{example}-{free_port()}"
        self.example = example
        self.source = source
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> "CogServer":
        """Start it, and wait until it is ready."""
        if not self.folder.exists():
            if self.source:
                self.folder.mkdir()
                (self.folder / "predict.py").write_text(self.source)
            else:
                shutil.copytree(EXAMPLES / self.example, self.folder)
            schema = await _schema((self.folder / "predict.py").read_text())
            (self.folder / ".cog").mkdir()
            (self.folder / ".cog" / "openapi_schema.json").write_text(json.dumps(schema))
        # Without our PYTHONPATH: its `cog` is the real one. Its worker is the `python` of PATH.
        environ = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
        environ |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COG_PREDICT_TYPE_STUB": "predict.py:run",
            "PORT": str(self.port),
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cog.server.http",
            "--host",
            "127.0.0.1",
            cwd=self.folder,
            env=environ,
            start_new_session=True,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await self._ready()
        return self

    async def _ready(self) -> None:
        async with httpx.AsyncClient(verify=False) as client, asyncio.timeout(4 * WAIT_SECONDS):
            while True:
                try:
                    told = (await client.get(f"{self.url}/health-check")).json()
                    if told["status"] == "READY":
                        return
                    assert told["status"] == "STARTING", told
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        """Kill it and its worker at once, like a lost node."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, 9)
            await self._process.wait()
        self._process = None

    async def until_busy(self) -> None:
        """Wait until it is working on something."""
        async with httpx.AsyncClient(verify=False) as client, asyncio.timeout(2 * WAIT_SECONDS):
            while True:
                if (await client.get(f"{self.url}/health-check")).json()["status"] == "BUSY":
                    return
                await asyncio.sleep(0.05)


async def _schema(source: str) -> Json:
    """The schema of a predictor."""
    if source not in _schemas:
        schema = await SourceChecker().schema({"predict.py": source}, "predict.py:run")
        assert isinstance(schema, dict), schema
        _schemas[source] = schema
    return _schemas[source]
