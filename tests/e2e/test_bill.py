"""One tree, one cost: on the objects, in the API, in the reports, for accountants, as metrics."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from support.cluster import example_models
from support.cluster.books import Books
from support.cluster.example_models import Person
from support.cluster.installation import SYSTEM, Json, Kubectl, Namespace, message, reason
from support.cluster.trees import pipelines, runs, settled, start
from support.waiting import eventually

from mayfly.clock import rfc3339

pytestmark = pytest.mark.timeout(900)  # the first one may build the models' image

PARENT = """
import replicate

echo = replicate.use("HERE/echo")
refuses = replicate.use("HERE/fails")
good = replicate.use("HERE/good")
bad = replicate.use("HERE/bad")

def told(call) -> str:
    try:
        return str(call.output())
    except Exception as error:
        return type(error).__name__

def main() -> list[str]:
    first = echo.create(text="hello", delay=20.0)
    second = echo.create(text="never said")
    calls = [good.create(seconds=0.3), bad.create(), refuses.create(why="it must")]
    return [told(each) for each in [first, second, *calls]]
"""

GOOD = """
import time

def main(seconds: float) -> str:
    time.sleep(seconds)
    return "good"
"""

BAD = """
import time

def main() -> str:
    time.sleep(0.2)
    raise ValueError("bad")
"""

PRICE = [
    {"meter": "predictSeconds", "unitPrice": "0.0137"},
    {"meter": "prediction", "unitPrice": "0.01"},
]


@pytest.fixture
def books(kubectl) -> Books:
    return Books(kubectl)


@pytest.fixture
def tree(namespace, models_image) -> list[Json]:
    """A parent, two pipelines, three calls of models: one cancelled in its queue, two failed.

    The predictions of the tree as the API shows them, its root first.
    """
    example_models.start(namespace, models_image, "echo", concurrency=1, price=PRICE)
    example_models.start(namespace, models_image, "fails", price=PRICE)
    pipelines(namespace, parent=PARENT, good=GOOD, bad=BAD)
    person = Person(namespace)
    root = start(namespace, "parent")
    calls = eventually(
        lambda: [each for each in example_models.below(namespace, root) if "echo" in each["model"]],
        120,
        lambda found: len(found) == 2,
    )
    person.until(calls[0]["id"], "processing")
    person.cancel(calls[1]["id"])
    body = settled(namespace, root, seconds=180)
    assert reason(body) == "Succeeded", message(body)
    assert body["status"]["output"] == ["hello", "None", "good", "ModelError", "ModelError"]
    address = f"/v1/predictions/{body['status']['id']}/tree"
    found: list[Json] = namespace.api.get(address).json()["predictions"]
    assert found[0]["status"] == "succeeded"
    assert len(found) == 6
    return found


def test_a_tree_costs_the_same_wherever_one_looks(namespace, books, tree):
    by_outcome = sorted((each["status"], each["started_at"] is not None) for each in tree)
    assert by_outcome == [
        ("canceled", False),
        ("failed", True),
        ("failed", True),
        ("succeeded", True),
        ("succeeded", True),
        ("succeeded", True),
    ]
    shown = {each["id"]: Decimal(each["cost"]) for each in tree}
    (unstarted,) = (each["id"] for each in tree if each["status"] == "canceled")
    assert shown[unstarted] == 0
    assert all(cost > 0 for identity, cost in shown.items() if identity != unstarted)
    total = sum(shown.values())

    # The objects.
    root = tree[0]["id"]
    bodies = {each["status"]["id"]: each for each in runs(namespace)}
    root_name = bodies[root]["metadata"]["name"]
    objects = {identity: body["status"] for identity, body in bodies.items()}
    assert len(objects) == 3
    for identity, status in objects.items():
        assert Decimal(status["usage"]["cost"]) == shown[identity]
        assert status["usage"]["final"] is True
    assert Decimal(objects[root]["usage"]["totalCost"]) == total
    shown_root = namespace.kubectl(
        *("get", "prun", root_name, "-n", namespace.name, "-o", "wide")
    ).splitlines()
    assert "COST" in shown_root[0].split()
    assert objects[root]["usage"]["totalCost"] in shown_root[1].split()

    # The API, one by one.
    for identity, cost in shown.items():
        assert Decimal(namespace.api.get(f"/v1/predictions/{identity}").json()["cost"]) == cost
    assert Decimal(namespace.api.get(f"/v1/predictions/{root}").json()["total_cost"]) == total

    # The ledger, the reports, the arithmetic of each.
    records = books.records(namespace.name)
    assert {each["id"]: Decimal(each["cost"]) for each in records} == shown
    report = asked(namespace, "/v1/usage", namespace=namespace.name, by="tree")
    assert [(row["tree"], Decimal(row["cost"])) for row in report["rows"]] == [(root, total)]
    assert report["rows"][0]["predictions"] == 6
    for identity, cost in shown.items():
        bill = asked(namespace, f"/v1/usage/{identity}")
        assert Decimal(bill["cost"]) == cost
        assert sum(Decimal(each["amount"]) for each in bill["charges"]) == cost

    # For accountants.
    answer = namespace.api.get("/v1/usage/focus", params={"namespace": namespace.name})
    billed = dict.fromkeys(shown, Decimal(0))
    for row in csv.DictReader(io.StringIO(answer.text)):
        billed[row["ResourceId"]] += Decimal(row["BilledCost"])
    assert billed == shown


def test_the_counters_are_the_ledger_over_one_life_of_the_gateway(kubectl, namespace, tree):
    assert tree

    def compared() -> tuple[Decimal, Decimal] | None:
        """Counted and reported; None where something was recorded in between."""
        before = counted(kubectl)
        if before is None:
            return None
        born, cost = before
        report = asked(namespace, "/v1/usage", **{"from": rfc3339(born), "by": "namespace"})
        if counted(kubectl) != before:
            return None
        assert [row for row in report["rows"] if row["namespace"] == namespace.name]
        return cost, sum((Decimal(each["cost"]) for each in report["totals"]), Decimal(0))

    # Other tests run things meanwhile, and kill the gateway: then its counters begin again, and
    # the tree is not among what it has counted.
    cost, reported = eventually(compared, 120)
    assert reported > 0
    assert abs(cost - reported) <= reported * Decimal("1e-9")


def asked(namespace: Namespace, path: str, /, **parameters: str) -> Json:
    answer = namespace.api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def counted(kubectl: Kubectl) -> tuple[datetime, Decimal] | None:
    """When the gateway's process was born, and the cost that it has counted since."""
    chosen = "app.kubernetes.io/name=mayfly,app.kubernetes.io/component=gateway"
    pods = kubectl.json("get", "pods", "-n", SYSTEM, "-l", chosen)["items"]
    if len(pods) != 1:
        return None
    path = f"{SYSTEM}/pods/{pods[0]['metadata']['name']}:8080/proxy/metrics"
    text = kubectl("get", "--raw", f"/api/v1/namespaces/{path}", check=False)
    cost, born = Decimal(0), None
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        match name.partition("{")[0]:
            case "mayfly_cost_total":
                cost += Decimal(value)
            case "mayfly_cost_reductions_total":
                cost -= Decimal(value)
            case "process_start_time_seconds":
                born = datetime.fromtimestamp(float(value), UTC)
    return None if born is None else (born, cost)
