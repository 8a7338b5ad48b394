"""The gateway's ledger, read where it lies: what a run is billed for, and how often."""

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
    """SQL questions to the gateway's SQLite file, asked inside its pod."""

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
        """The one usage record of a run; the ledger closes its row just after the object's end."""
        uid = run["metadata"]["uid"]
        found = eventually(lambda: self.ask("SELECT * FROM usage_records WHERE run_uid = ?", uid))
        assert len(found) == 1, found
        return found[0]

    def open_rows(self, namespace: str) -> list[Json]:
        """The runs of a namespace whose end is not final."""
        return self.ask(
            "SELECT name, outcome, reason FROM runs WHERE namespace = ? AND closed_at IS NULL",
            namespace,
        )
