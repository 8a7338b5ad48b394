"""What the cluster refuses, and what the controller itself fails at, stands on the object."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders import NOW
from support.controller.looks import World

from mayfly.controller.execute import PATIENCE_TRIES
from mayfly.controller.failing import Failing
from mayfly.controller.key import Key
from mayfly.kube.errors import KubeError, Refused, Unavailable, error_for
from mayfly.kube.kinds import NETWORK_POLICIES, PIPELINES, PODS, RUNS, VERSIONS
from mayfly.reconcile.failing import END_SECONDS, END_TRIES, TELL_TRIES
from mayfly.reconcile.observed import PodSettings
from mayfly.workqueue import Failure

QUOTA = Refused(403, "exceeded quota: networkpolicies")
NO_WEBHOOK = Unavailable(500, 'failed calling webhook "x": service "y" not found')


def condition(body: dict, kind: str) -> dict:
    return next((each for each in body["status"]["conditions"] if each["type"] == kind), {})


def failing_at(world: World, plural: str, error: KubeError) -> None:
    """The API server answers each write of this kind with an error."""
    for verb in ("create", "apply"):
        plain = getattr(world.cluster, verb, None)

        async def answer(kind: Any, *given: Any, plain: Any = plain) -> Any:
            if kind.plural == plural:
                raise error
            return await plain(kind, *given)

        setattr(world.cluster, verb, answer)


@pytest.mark.parametrize(
    ("plural", "error", "words"),
    [
        (NETWORK_POLICIES.plural, QUOTA, "exceeded quota: networkpolicies"),
        (NETWORK_POLICIES.plural, NO_WEBHOOK, "failed calling webhook"),
        (PODS.plural, NO_WEBHOOK, "failed calling webhook"),
        (PODS.plural, Refused(403, "maximum cpu usage per Container is 500m"), "maximum cpu"),
        (PODS.plural, Unavailable(503, "etcd is away"), "etcd is away"),
    ],
)
async def test_the_clusters_own_words_stand_on_a_run_that_gets_no_pod(
    plural: str, error: KubeError, words: str
) -> None:
    world = World(network_enabled=plural == NETWORK_POLICIES.plural)
    failing_at(world, plural, error)
    key = world.run("first")
    if isinstance(error, Unavailable):
        for _ in range(PATIENCE_TRIES):  # it may pass in a moment
            with pytest.raises(Unavailable):
                await world.worker.look(key)
            world.queue.retry(key)
    await world.worker.look(key)
    started = condition(world.cluster.now(RUNS, "team", "first"), "Started")
    assert (started["status"], started["reason"]) == ("False", "PodRefused")
    assert words in started["message"]
    if plural == NETWORK_POLICIES.plural:
        assert "NetworkPolicy mayfly-runs" in started["message"]
    assert key in world.queue._later


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 422, 500, 501, 502, 503, 504])
@pytest.mark.parametrize("plural", [NETWORK_POLICIES.plural, PODS.plural])
async def test_a_refusals_words_stand_on_the_run_whatever_its_status(
    plural: str, status: int
) -> None:
    world = World(network_enabled=plural == NETWORK_POLICIES.plural)
    failing_at(world, plural, error_for(status, f"because of ж {status}"))
    key = world.run("first")
    for _ in range(PATIENCE_TRIES + 1):
        try:
            await world.worker.look(key)
            break
        except Unavailable:
            world.queue.retry(key)
    started = condition(world.cluster.now(RUNS, "team", "first"), "Started")
    assert (started["status"], started["reason"]) == ("False", "PodRefused")
    assert f"because of ж {status}" in started["message"]


@pytest.mark.parametrize("status", [0, 429])
async def test_an_api_server_that_is_away_is_waited_for_without_a_word(status: int) -> None:
    world = World()
    failing_at(world, PODS.plural, Unavailable(status, "away"))
    key = world.run("first")
    for _ in range(2 * PATIENCE_TRIES):
        with pytest.raises(Unavailable):
            await world.worker.look(key)
        world.queue.retry(key)
    assert not world.cluster.now(RUNS, "team", "first").get("status")


def failing(world: World) -> Failing:
    settings = PodSettings("https://gateway.test")
    return Failing(world.cluster, world.executor, world.caches, world.pools, settings, lambda: NOW)


def failure(tries: int, seconds: float, error: Exception) -> Failure:
    return Failure(tries, seconds, error)


async def test_a_run_at_which_the_controller_fails_says_so_ends_and_loses_its_pod() -> None:
    world = World()
    key = world.run("first")
    await world.worker.look(key)
    error = KeyError("x")
    await failing(world).failed(key, failure(TELL_TRIES - 1, 0, error))
    body = world.cluster.now(RUNS, "team", "first")
    assert condition(body, "Started")["reason"] == "PodPending"
    await failing(world).failed(key, failure(TELL_TRIES, 0, error))
    body = world.cluster.now(RUNS, "team", "first")
    assert condition(body, "Started")["reason"] == "InternalError"
    await failing(world).failed(key, failure(END_TRIES, END_SECONDS, error))
    body = world.cluster.now(RUNS, "team", "first")
    assert condition(body, "Succeeded")["reason"] == "InternalError"
    assert condition(body, "Finished")["status"] == "True"
    assert "mayfly-controller" in body["status"]["error"]
    assert world.cluster.writes["DELETE", PODS.plural] == 1


async def test_missing_permissions_end_no_run() -> None:
    world = World()
    key = world.run("first")
    await world.worker.look(key)
    for status, phase in ((403, "Starting"), (422, "Failed")):
        error = Refused(status, "no")
        await failing(world).failed(key, failure(END_TRIES, END_SECONDS, error))
        assert world.cluster.now(RUNS, "team", "first")["status"]["phase"] == phase


async def test_a_pipeline_whose_versions_are_refused_for_long_is_told() -> None:
    world = World()
    failing_at(world, VERSIONS.plural, NO_WEBHOOK)
    key = Key("pipeline", "team", "answer")
    for _ in range(PATIENCE_TRIES):  # it may pass in a moment
        with pytest.raises(Unavailable):
            await world.worker.look(key)
        world.queue.retry(key)
    with pytest.raises(Refused, match="failed calling webhook"):  # the queue tells of this
        await world.worker.look(key)


async def test_a_pipeline_at_which_the_controller_fails_is_not_ready_in_words() -> None:
    world = World()
    key = Key("pipeline", "team", "answer")
    await failing(world).failed(key, failure(TELL_TRIES, 0, ValueError("odd")))
    ready = condition(world.cluster.now(PIPELINES, "team", "answer"), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InternalError")
    assert "ValueError: odd" in ready["message"]
    assert await failing(world).failed(key, failure(TELL_TRIES, 0, ValueError("gone"))) is None
