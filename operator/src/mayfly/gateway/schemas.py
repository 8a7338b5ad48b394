"""The schema of a source that has no PipelineVersion, read by the runtime's own checker.

User source is parsed only in a child process with bounded time and memory: a hostile file can
make a parser eat both.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mayfly_runtime
from mayfly.clock import Monotonic
from mayfly.gateway.cache import Cache

logger = logging.getLogger(__name__)

CPU_SECONDS = 1
MEMORY_BYTES = 256 * 1024**2
WALL_SECONDS = 10.0
"""Well above a second of CPU, for a node where everything waits for its turn."""

FOLDER = str(Path(mayfly_runtime.__file__).parent.parent)
PARALLEL = 4
KEEP_SECONDS = 3600.0
KEEP = 256


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class Schemas:
    """Schemas by the hash of what they were read from."""

    def __init__(self, monotonic: Monotonic) -> None:
        self._known: Cache[str, dict[str, Any]] = Cache(
            seconds=KEEP_SECONDS, size=KEEP, monotonic=monotonic
        )
        self._turns = asyncio.Semaphore(PARALLEL)

    async def read(self, files: Mapping[str, str], entrypoint: str) -> dict[str, Any]:
        """The OpenAPI document of a source, or {} when it can't be read.

        The controller refuses such a source before it claims a pod, so {} means that the checker
        was too slow here; the agent then loads the source without a second check of its input.
        """
        question = json.dumps({"op": "schema", "files": dict(files), "entrypoint": entrypoint})
        key = hashlib.sha256(question.encode("utf-8", "replace")).hexdigest()
        known = self._known.get(key)
        if known is not None:
            return known
        async with self._turns:
            schema = await _ask(question)
        if schema is None:
            return {}
        self._known.put(key, schema)
        return schema


async def _ask(question: str) -> dict[str, Any] | None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-s",
        "-P",
        "-m",
        "mayfly_runtime.check",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": FOLDER, "PATH": "/usr/bin:/bin"},
        preexec_fn=_limit,
    )
    try:
        answer, _ = await asyncio.wait_for(process.communicate(question.encode()), WALL_SECONDS)
        told = json.loads(answer)
        schema = told.get("schema") if told.get("ok") else None
        return schema if isinstance(schema, dict) else None
    except (TimeoutError, ValueError, AttributeError) as error:
        logger.warning("a source could not be read", extra={"cause": repr(error)})
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
