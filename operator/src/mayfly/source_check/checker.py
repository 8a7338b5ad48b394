"""Parses users' source and checks inputs in another process, with hard limits on time and memory.

`ast.parse` and `re` can be made to take gigabytes or for ever by their input, so neither ever sees
a user's text in this process. Answers are kept by content hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from typing import Any

from mayfly.reconcile.observed import SourceProblem
from mayfly.source_check.process import CheckProcess
from mayfly_runtime.spec import inputs

Json = dict[str, Any]

REMEMBERED = 256


class SourceChecker:
    """Reads schemas of sources, and checks inputs, each in a limited process of its own."""

    def __init__(self, parallel: int = 2) -> None:
        self._slots = asyncio.Semaphore(parallel)
        self._process = CheckProcess()
        self._asked: dict[bytes, asyncio.Task[Json | None]] = {}
        self._known: OrderedDict[str, Json | SourceProblem] = OrderedDict()

    def start(self) -> None:
        """Start what checks, so that the first source finds it ready.

        Raises:
            OSError: no process can be started.
        """
        self._process.start()

    def close(self) -> None:
        """End what checks, and every check."""
        self._process.close()

    async def schema(self, files: dict[str, str], entrypoint: str) -> Json | SourceProblem:
        """The OpenAPI document of a source, or what is wrong with it.

        Raises:
            NotCheckedError: no check can be started.
        """
        request = _text({"op": "schema", "files": files, "entrypoint": entrypoint})
        name = hashlib.sha256(request).hexdigest()
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
            result = _problem(answer.get("error", {}))
        self._known[name] = result
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return result

    async def input_problems(
        self, schema: Json, value: Any, *, references: bool = True, literals: bool = False
    ) -> list[str]:
        """What is wrong with an input, one sentence per field.

        Patterns are tried in the other process.

        Args:
            schema: the version's document.
            value: the input.
            references: it is a PipelineRun's, which names Secrets and never holds one.
            literals: it is a caller's, who may give secrets as they are too.

        Raises:
            NotCheckedError: no check can be started.
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
        answer = await self._ask(_text(request))
        if answer is None:
            return ["checking the input against its pattern takes more than 1 s"]
        if not answer.get("ok"):
            return [_sentence(answer.get("error", {}))]
        return [f"{each['field']}: {each['message']}" for each in answer["problems"]]

    async def _ask(self, request: bytes) -> Json | None:
        """The answer of a check; None if it ran out of time or memory.

        Who asks the same meanwhile gets the same answer. Whoever gives up waiting leaves the check
        to its end, so that no more run at once than there are slots.
        """
        asked = self._asked.get(request)
        if asked is None:
            asked = self._asked[request] = asyncio.create_task(self._check(request))
            asked.add_done_callback(lambda _: self._asked.pop(request))
        return await asyncio.shield(asked)

    async def _check(self, request: bytes) -> Json | None:
        async with self._slots:
            answer = await self._process.ask(request)
        try:
            return None if answer is None else dict(json.loads(answer))
        except ValueError:
            return None


def _text(request: Json) -> bytes:
    return json.dumps(request, sort_keys=True).encode()


def _problem(error: Json) -> SourceProblem:
    file, line = error.get("file"), error.get("line")
    return SourceProblem(
        _sentence(error),
        file if isinstance(file, str) else "",
        line if isinstance(line, int) else 0,
    )


def _sentence(error: Json) -> str:
    """The checker's message; it names file and line itself."""
    return str(error.get("message") or "the source can't be read")
