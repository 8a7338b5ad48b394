"""Messages that tests send as the gateway."""

import json
import textwrap
from typing import Any

from mayfly_runtime.spec import schema

RUN = "9d1c9f0e-run"


def work(source: str | dict[str, str], inputs: Any = None, **changes: Any) -> dict[str, Any]:
    """A `work` message; its schema is read from the source unless given."""
    files = source if isinstance(source, dict) else {"main.py": textwrap.dedent(source)}
    limits = {
        "outputBytes": 6 * 2**20,
        "fileBytes": 2**30,
        "filesBytes": 4 * 2**30,
        "logBytes": 10 * 2**20,
        "importMs": 60_000,
        "fetchMs": 60_000,
        "uploadMs": 60_000,
        "cancelGraceMs": 60_000,
        **changes.pop("limits", {}),
    }
    entrypoint = changes.pop("entrypoint", "main.py:main")
    if "schema" not in changes:
        changes["schema"] = schema.build(files, entrypoint)
    if "inputURL" not in changes:
        changes["inputJSON"] = inputs if isinstance(inputs, str) else json.dumps(inputs or {})
    return {
        "run": RUN,
        "id": "0" * 26,
        "attempt": 1,
        "namespace": "shop",
        "name": "first",
        "token": "run-token",
        "files": files,
        "entrypoint": entrypoint,
        "timeoutMs": 1_800_000,
        "startWithinMs": 300_000,
        "limits": limits,
        **changes,
    }
