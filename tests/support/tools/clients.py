"""Replicate's own clients, each in its own environment, run against a gateway."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

from support.gateway.world import BUILDER, Running
from support.tools import interpreter

from localcluster.builds import cache
from localcluster.progress import Step

CLIENTS = Path(__file__).parents[2] / "contract" / "api" / "clients"
SECONDS = 120


def environment(name: str, least: tuple[int, int]) -> Path:
    """The interpreter of an environment with a client's locked packages."""
    return interpreter.with_packages(interpreter.at_least(least), CLIENTS / f"{name}.txt", name)


def node_modules() -> Path:
    """A folder with the JavaScript client in node_modules."""
    lock = CLIENTS / "package-lock.json"

    def build(folder: Path, current: Step) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(CLIENTS / name, folder / name)
        current.run(
            ["npm", "ci", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts"]
        )

    return cache.entry("client-npm", cache.key(lock.read_bytes()), "set up the npm client", build)


class Client:
    """A program that uses a gateway; it prints one JSON value as its last line."""

    def __init__(self, command: list[str], folder: Path | None = None, base: str = "") -> None:
        self._command = command
        self._folder = folder
        self._base = base

    async def run(self, gateway: Running, code: str, token: str = BUILDER, **extra: str) -> Any:
        """Run the code, and return the value that it prints; fails with the code's error output."""
        process = await self.start(gateway, code, token, **extra)
        try:
            async with asyncio.timeout(SECONDS):
                out, errors = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, errors.decode() + out.decode()
        return json.loads(out.decode().strip().splitlines()[-1])

    async def start(
        self, gateway: Running, code: str, token: str = BUILDER, **extra: str
    ) -> asyncio.subprocess.Process:
        """Start the code as a process."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        given = {
            "REPLICATE_API_TOKEN": token,
            "REPLICATE_BASE_URL": extra.pop("base", gateway.url + self._base),
            "REPLICATE_POLL_INTERVAL": "0.05",
        }
        return await asyncio.create_subprocess_exec(
            *self._command,
            code,
            cwd=self._folder,
            env={**kept, **given, **extra},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def python_client(name: str, least: tuple[int, int] = (3, 11), base: str = "") -> Client:
    """A client of the Python lines."""
    return Client([str(environment(name, least)), "-W", "ignore", "-c"], base=base)


def javascript_client() -> Client:
    """The client of npm."""
    return Client(["node", "--input-type=module", "-e"], folder=node_modules(), base="/v1")
