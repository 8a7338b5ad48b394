"""Schema and input checks as a command: `python -I -m mayfly_runtime.spec.check`.

One JSON request on stdin, one JSON answer on stdout; the README shows both. The caller bounds
time and memory: an author's source is parsed here, and an author's regular expressions run.
"""

import json
import sys
from typing import Any

from mayfly_runtime.spec import inputs, schema


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request."""
    if request["op"] == "schema":
        return _schema(request["files"], request["entrypoint"])
    if request["op"] == "input":
        return _input(
            request["schema"],
            request["inputJSON"],
            references=bool(request.get("references")),
            literals=bool(request.get("literals")),
        )
    raise ValueError(f"unknown op {request['op']!r}")


def _schema(files: dict[str, str], entrypoint: str) -> dict[str, Any]:
    try:
        return {"ok": True, "schema": schema.build(files, entrypoint)}
    except schema.SourceError as error:
        told = {"message": error.message, "file": error.file, "line": error.line}
        return {"ok": False, "error": told}


def _input(
    document: dict[str, Any], text: str, *, references: bool, literals: bool
) -> dict[str, Any]:
    try:
        value = inputs.parse(text)
    except ValueError as error:
        return {"ok": True, "problems": [{"field": "", "message": str(error)}], "unknown": []}
    problems = [
        {"field": problem.field, "message": problem.message}
        for problem in inputs.check(document, value, references=references, literals=literals)
    ]
    return {"ok": True, "problems": problems, "unknown": inputs.unknown(document, value)}


def main() -> None:
    """Read, answer, write."""
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
