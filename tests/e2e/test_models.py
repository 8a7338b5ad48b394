"""Models whose servers go away, are busy, or are called by somebody who changes his mind."""

from __future__ import annotations

import itertools

import pytest
from support.cluster import example_models
from support.cluster.example_models import Person, below, called, prediction
from support.cluster.installation import Namespace, message, reason
from support.waiting import eventually

pytestmark = pytest.mark.timeout(900)  # the first one may build the models' image

LONGEST = 240
"""Seconds; a server that went away is given a minute to tell what became of a prediction."""

CALL = """
import replicate

model = replicate.use("NAMESPACE/echo")

def main(delay: float = 0.0) -> str:
    print("calling", flush=True)
    return model(text="hello", delay=delay)
"""

RUN = """
import replicate

def main() -> str:
    return replicate.run("NAMESPACE/echo", input={"text": "hello"})
"""

READ = """
import replicate

model = replicate.use("NAMESPACE/story", streaming=True)

def main() -> str:
    for word in model(words=10000, pause=1):
        print(word, flush=True)
    return "all of it"
"""


def run(namespace: Namespace, source: str, **given: object) -> str:
    return namespace.run(source.replace("NAMESPACE", namespace.name), input=given)


def unusable(namespace: Namespace, source: str) -> None:
    """A run of this source is told that its model's server can't be used, and pays nothing."""
    made = run(namespace, source)
    ended = namespace.finished(made, seconds=LONGEST)
    assert reason(ended) == "UserError", message(ended)
    error = ended["status"]["error"]
    assert "ModelError: The model's server could not be used for " in error
    assert error.endswith("Nothing was sent to it.")
    (child,) = below(namespace, made)
    assert (child["status"], child["started_at"], child["cost"]) == ("failed", None, "0")


def kill(namespace: Namespace, model: str) -> None:
    """As a crash: no grace."""
    namespace.kubectl(
        *("delete", "pods", "-n", namespace.name, "-l", f"app.kubernetes.io/name={model}"),
        *("--grace-period=0", "--force"),
    )


def test_a_models_pod_deleted_in_mid_prediction_is_a_model_error_with_words(
    namespace, models_image
):
    example_models.start(namespace, models_image, "echo")
    made = run(namespace, CALL, delay=500.0)
    child = called(namespace, made, "processing")
    kill(namespace, "echo")
    ended = namespace.finished(made, seconds=LONGEST)
    assert reason(ended) == "UserError", message(ended)
    error = ended["status"]["error"]
    assert "ModelError: The outcome of the prediction is unknown: its server " in error
    assert error.endswith("It was not sent again.")
    assert "calling\n" in namespace.logs(made)
    lost = prediction(namespace, child["id"])
    assert (lost["status"], lost["reason"]) == ("failed", "Lost")
    # The server that came in its place takes the next one.
    example_models.available(namespace, "echo")
    again = namespace.finished(run(namespace, CALL), seconds=LONGEST)
    assert (reason(again), again["status"].get("output")) == ("Succeeded", "hello")


def test_a_models_pod_deleted_in_mid_stream_keeps_what_came(namespace, models_image):
    example_models.start(namespace, models_image, "story")
    made = run(namespace, READ)
    child = called(namespace, made, "processing")
    eventually(lambda: "word0" in namespace.logs(made), seconds=60)
    kill(namespace, "story")
    ended = namespace.finished(made, seconds=LONGEST)
    assert reason(ended) == "UserError", message(ended)
    assert "ModelError: The outcome of the prediction is unknown" in ended["status"]["error"]
    lost = prediction(namespace, child["id"])
    assert lost["status"] == "failed"
    assert lost["output"][0] == "word0 "
    assert namespace.logs(made).split()[: len(lost["output"])] == [
        each.strip() for each in lost["output"]
    ]


def test_a_model_with_nothing_behind_its_service_is_told_on_it_and_to_its_caller(
    namespace, models_image
):
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "echo"},
            "spec": {"selector": {"nobody": "has"}, "ports": [{"port": 5000}]},
        }
    )
    namespace.apply(
        {
            "apiVersion": "mayfly.dev/v1alpha1",
            "kind": "Model",
            "metadata": {"name": "echo"},
            "spec": {"endpoint": {"service": {"name": "echo"}}},
        }
    )
    where = ("-n", namespace.name, "--timeout=60s")
    namespace.kubectl("wait", "--for=condition=Ready=False", "mmdl/echo", *where)
    model = namespace.kubectl.json("get", "mmdl", "echo", "-n", namespace.name)
    assert reason(model, "Ready") == "Unreachable"
    assert "can't be reached" in message(model, "Ready")
    for each in (RUN, CALL):
        unusable(namespace, each)
    # One that comes later is found.
    namespace.kubectl("delete", "service", "echo", "-n", namespace.name)
    example_models.start(namespace, models_image, "echo")
    again = namespace.finished(run(namespace, CALL), seconds=LONGEST)
    assert (reason(again), again["status"].get("output")) == ("Succeeded", "hello")


def test_a_model_whose_last_pod_went_is_told_to_its_caller(namespace, models_image):
    example_models.start(namespace, models_image, "echo")
    namespace.kubectl("scale", "deployment/echo", "--replicas=0", "-n", namespace.name)
    eventually(lambda: not namespace.pods(), seconds=60)
    unusable(namespace, CALL)


def test_concurrency_of_one_serves_several_callers_in_the_order_they_came(namespace, models_image):
    example_models.start(namespace, models_image, "echo")
    person = Person(namespace)
    made = [person.create(f"{namespace.name}/echo", text=str(n), delay=1.0) for n in range(5)]
    # A run comes last.
    inside = run(namespace, CALL)
    ended = [person.ended(each["id"], seconds=LONGEST) for each in made]
    assert [each["output"] for each in ended] == ["0", "1", "2", "3", "4"]
    for earlier, later in itertools.pairwise(ended):
        assert earlier["completed_at"] <= later["started_at"]
    assert reason(namespace.finished(inside, seconds=LONGEST)) == "Succeeded"


def test_a_cancelled_parent_takes_its_queued_call_with_it_and_leaves_the_running_one(
    namespace, models_image
):
    example_models.start(namespace, models_image, "echo")
    person = Person(namespace)
    first = run(namespace, CALL, delay=20.0)
    running = called(namespace, first, "processing")
    second = run(namespace, CALL, delay=0.0)
    queued = called(namespace, second, "starting")
    for each in (second, first):
        person.cancel(example_models.identity(namespace, each))
        assert reason(namespace.finished(each, seconds=LONGEST)) == "Canceled"
    waited = prediction(namespace, queued["id"])
    assert (waited["status"], waited["started_at"], waited["cost"]) == ("canceled", None, "0")
    assert waited["error"] is None
    worked = person.ended(running["id"], seconds=LONGEST)
    assert (worked["status"], worked["output"]) == ("succeeded", "hello")
    # The bill of the cancelled run has what it had started.
    final = eventually(
        lambda: namespace.get(first)["status"],
        seconds=60,
        accept=lambda status: status["usage"]["final"],
    )
    assert final["children"] == {"total": 1, "succeeded": 1, "failed": 0, "canceled": 0}
    children = namespace.get(second)["status"]["children"]
    assert children == {"total": 1, "succeeded": 0, "failed": 0, "canceled": 1}
