"""What a run leaves behind: readable when its object has gone, then removed; its bill stays."""

from __future__ import annotations

from support.cluster.machine import no_gateway
from support.waiting import eventually

SECRETIVE = "a word of the user's"
PIPELINE = """
from cog import Path
def main(word: str) -> Path:
    print(word)
    Path("said.txt").write_text(word)
    return Path("said.txt")
"""
SWEPT_SECONDS = 150
"""A gateway sweeps a minute after its start, and removes what was to be gone by then."""


def test_a_run_is_readable_after_its_object_and_until_its_retention_is_over(
    namespace, kubectl, books
):
    kubectl("annotate", "namespace", namespace.name, "mayfly.dev/retention=1m")
    run = namespace.run(PIPELINE, input={"word": SECRETIVE})
    body = namespace.finished(run)
    before = namespace.prediction(run)
    one = f"/v1/predictions/{before['id']}"
    record = books.record(body)
    kubectl("delete", "prun", run, "-n", namespace.name)
    after = namespace.api.get(one).json()
    for name in ("status", "input", "logs", "cost", "metrics"):
        assert after[name] == before[name], name
    assert namespace.api.get(after["output"]).text == SECRETIVE
    assert "def main" in namespace.api.get(f"{one}/source").json()["files"]["main.py"]

    with no_gateway(kubectl):
        pass  # the next one sweeps soon
    gone = eventually(
        lambda: namespace.api.get(one).json(), SWEPT_SECONDS, lambda told: told.get("data_removed")
    )
    assert (gone["input"], gone["output"], gone["logs"]) == ({}, None, None)
    for name in ("status", "cost", "metrics", "created_at", "completed_at"):
        assert gone[name] == before[name], name
    for lost in (after["output"], f"{one}/source", f"{one}/logs"):
        assert namespace.api.get(lost).status_code == 404
    assert books.record(body) == record
    usage = namespace.api.get("/usage", params={"namespace": namespace.name}).json()
    (total,) = usage["totals"]
    assert total["cost"] == before["cost"]
