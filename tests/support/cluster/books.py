"""Reads the ledger of the installed gateway: usage records and open rows."""

from __future__ import annotations

import json
from typing import Any

from support.cluster.installation import SYSTEM, Kubectl
from support.waiting import eventually

Json = dict[str, Any]

READ = """
import json, sqlite3, sys
database = sqlite3.connect("file:/data/mayfly.db?mode=ro", uri=True)
database.row_factory = sqlite3.Row
found = database.execute(sys.argv[1], sys.argv[2:]).fetchall()
print(json.dumps([dict(row) for row in found]))
"""


class Books:
    """SQL queries on the gateway's SQLite file, executed inside its pod."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def ask(self, question: str, *values: str) -> list[Json]:
        told = self._kubectl(
            "exec", "-n", SYSTEM, "deploy/mayfly-gateway", "--",
            "python", "-c", READ, question, *values,
        )  # fmt: skip
        rows: list[Json] = json.loads(told)
        return rows

    def records(self, namespace: str, count: int = 0) -> list[Json]:
        """The usage records of a namespace, once there are so many, or more."""
        question = "SELECT * FROM usage_records WHERE namespace = ?"
        return eventually(
            lambda: self.ask(question, namespace), accept=lambda found: len(found) >= count
        )

    def record(self, run: Json) -> Json:
        """The only usage record of a run; the row is closed just after the object's end."""
        uid = run["metadata"]["uid"]
        found = eventually(lambda: self.ask("SELECT * FROM usage_records WHERE run_uid = ?", uid))
        assert len(found) == 1, found
        return found[0]

    def open_rows(self, namespace: str) -> list[Json]:
        """The runs of a namespace whose end is not final in the ledger."""
        return self.ask(
            "SELECT name, outcome, reason FROM runs WHERE namespace = ? AND closed_at IS NULL",
            namespace,
        )
