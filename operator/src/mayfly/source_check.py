"""Parses users' source and checks inputs in a subprocess with hard limits on time and memory.

`ast.parse` and `re` can be made to take gigabytes or for ever by their input, so neither ever sees
a user's text in this process. Answers are kept by content hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import mayfly_runtime
from mayfly.reconcile.observed import SourceProblem
from mayfly_runtime.spec import inputs

Json = dict[str, Any]

CPU_SECONDS = 1
MEMORY_BYTES = 256 * 1024 * 1024
WALL_SECONDS = 15.0
"""Well above a second of CPU, for overloaded nodes."""

REMEMBERED = 256
ANSWER_BYTES = 4 * 1024 * 1024

FOLDER = str(Path(mayfly_runtime.__file__).parent.parent)


class SourceChecker:
    """Reads schemas of sources, and checks inputs, in limited subprocesses."""

    def __init__(self, parallel: int = 2) -> None:
        self._slots = asyncio.Semaphore(parallel)
        self._known: OrderedDict[str, Json | SourceProblem] = OrderedDict()

    async def schema(self, files: dict[str, str], entrypoint: str) -> Json | SourceProblem:
        """The OpenAPI document of a source, or what is wrong with it."""
        request = {"op": "schema", "files": files, "entrypoint": entrypoint}
        name = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        if name in self._known:
            self._known.move_to_end(name)
            return self._known[name]
        answer = await self._ask(request)
        result: Json | SourceProblem
        if answer is None:
            result = SourceProblem("the source takes more than 1 s or 256 MiB to read")
        elif answer.get("ok"):
            result = dict(answer["schema"])
        else:
            result = SourceProblem(_sentence(answer.get("error", {})))
        self._known[name] = result
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return result

    async def input_problems(
        self, schema: Json, value: Any, *, references: bool = True, literals: bool = False
    ) -> list[str]:
        """What is wrong with an input, one sentence per field.

        Patterns are tried in the subprocess.

        Args:
            schema: the version's document.
            value: the input.
            references: it is a PipelineRun's, which names Secrets and never holds one.
            literals: it is a caller's, who may give secrets as they are too.
        """
        if not inputs.has_patterns(schema):
            return [
                f"{each.field}: {each.message}"
                for each in inputs.check(schema, value, references=references, literals=literals)
            ]
        request = {
            "op": "input",
            "schema": schema,
            "inputJSON": json.dumps(value),
            "references": references,
            "literals": literals,
        }
        answer = await self._ask(request)
        if answer is None:
            return ["checking the input against its pattern takes more than 1 s"]
        if not answer.get("ok"):
            return [_sentence(answer.get("error", {}))]
        return [f"{each['field']}: {each['message']}" for each in answer["problems"]]

    async def _ask(self, request: Json) -> Json | None:
        """The answer of the checker; None if it ran out of time or memory."""
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-s",
                "-P",
                "-m",
                "mayfly_runtime.spec.check",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PYTHONPATH": FOLDER, "PATH": "/usr/bin:/bin"},
                preexec_fn=_bound,
                limit=ANSWER_BYTES,
            )
            try:
                async with asyncio.timeout(WALL_SECONDS):
                    out, _ = await process.communicate(json.dumps(request).encode())
            except TimeoutError:
                process.kill()
                await process.wait()
                return None
        try:
            return dict(json.loads(out))
        except ValueError:
            return None


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _sentence(error: Json) -> str:
    """The checker's message; it names file and line itself."""
    return str(error.get("message") or "the source can't be read")
