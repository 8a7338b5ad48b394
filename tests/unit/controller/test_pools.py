"""Pods that wait, and the controller: claimed once, made the run's, replaced; what may go wrong."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from support.builders import IMAGE, NOW, runtime
from support.controller.looks import World

from mayfly.api.v1alpha1.identity import pod_name, run_id
from mayfly.clock import rfc3339_seconds
from mayfly.controller.caches import Caches
from mayfly.controller.execute import PATIENCE_TRIES
from mayfly.controller.failing import Failing
from mayfly.controller.handlers import Handlers
from mayfly.controller.key import Key
from mayfly.controller.pools import LOOK_SECONDS
from mayfly.kube.errors import Refused, Unavailable, error_for
from mayfly.kube.kinds import PODS, RUNS
from mayfly.reconcile.failing import TELL_TRIES
from mayfly.reconcile.observed import PodSettings
from mayfly.reconcile.run import ADOPT_AFTER
from mayfly.reconcile.warm import SETTLE, TELL_AFTER, UNREADY
from mayfly.workqueue import Failure

Json = dict[str, Any]
POOL = Key("pool", "team", "default")
READY = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339_seconds(NOW)}


class Pooled(World):
    """A controller with a pool in the namespace `team`."""

    def __init__(self, least: int = 1, most: int | None = None, **spec: Any) -> None:
        super().__init__()
        self.set_runtime(warm={"min": least, **({} if most is None else {"max": most})}, **spec)
        self.namespace({"mayfly.dev/warm": "default"})

    def set_runtime(self, **spec: Any) -> None:
        body = runtime(**spec).body()
        body["metadata"] |= {"uid": "runtime-uid", "generation": 1, "resourceVersion": "1"}
        self.caches.runtimes["default"] = body

    def namespace(self, labels: Json) -> None:
        self.caches.put_namespace({"metadata": {"name": "team", "labels": labels}})

    async def fill(self) -> list[str]:
        """Let the pool create its pods, and let them become ready; their names."""
        await self.worker.look(POOL)
        for pod in self.waiting():
            self.boot(pod["metadata"]["name"])
        await self.worker.look(POOL)
        return sorted(each["metadata"]["name"] for each in self.waiting())

    async def claim(self, key: Key) -> None:
        """Let a run claim a pod, which becomes its own some time later."""
        await self.worker.look(key)
        await self.adopt(key)

    async def adopt(self, key: Key) -> None:
        """Look at a run once the pod that it has claimed may become its own."""
        self.now += ADOPT_AFTER
        await self.worker.look(key)

    async def settle(self) -> None:
        """Look at the pool once no run has come for a while."""
        self.now += SETTLE
        await self.worker.look(POOL)

    async def wake(self, key: Key) -> None:
        """Let the time pass until a key is due to be looked at, and look at it."""
        due, *_ = self.queue._later.pop(key)
        self.now += timedelta(seconds=due)
        await self.worker.look(key)

    def waiting(self) -> list[Json]:
        pods = self.cluster.every(PODS)
        return [each for each in pods if each["metadata"]["labels"]["mayfly.dev/id"] == "waiting"]

    def boot(self, name: str) -> None:
        running = {"name": "agent", "started": True, "state": {"running": {}}}
        self.set_status(
            name,
            phase="Running",
            startTime=rfc3339_seconds(NOW),
            conditions=[READY],
            containerStatuses=[running],
        )

    def set_status(self, name: str, **status: Any) -> None:
        def change(body: Json) -> None:
            body["status"] = {**body.get("status", {}), **status}

        self.watched(self.cluster.edit(PODS, "team", name, change))

    def watched(self, body: Json, *, gone: bool = False) -> None:
        """The watch tells of a pod."""
        self.caches.put_pod(body, self.now, gone=gone)

    def pod(self, name: str) -> Json:
        return dict(self.cluster.now(PODS, "team", name))

    def status(self, key: Key) -> Json:
        return dict(self.cluster.now(RUNS, "team", key.name)["status"])

    def end(self, key: Key) -> None:
        """The gateway writes the run's end, and the watch tells."""
        over = {"type": "Finished", "status": "True", "reason": "Finished", "message": ""}
        over["lastTransitionTime"] = rfc3339_seconds(NOW)

        def change(body: Json) -> None:
            body["status"] |= {"conditions": [over], "recorded": True, "finished": True}

        self.cluster.edit(RUNS, "team", key.name, change)
        self.caches.drop_run(key)

    def restart(self, *, knows_runs: bool = True) -> None:
        """A new controller: it lists pods, and then runs."""
        fresh = Pooled.__new__(Pooled)
        super(Pooled, fresh).__init__()
        fresh.cluster = self.cluster
        self.pools._promised.clear()
        self.caches.__dict__.update(Caches(runtimes=self.caches.runtimes).__dict__)
        self.namespace({"mayfly.dev/warm": "default"})
        for body in self.cluster.every(PODS):
            self.watched(body)
        for body in self.cluster.every(RUNS) if knows_runs else []:
            if not body.get("status", {}).get("finished"):
                self.caches.put_run(Key("run", "team", body["metadata"]["name"]), body)


def owner(pod: Json) -> tuple[str, str]:
    [found] = pod["metadata"]["ownerReferences"]
    return found["kind"], found["name"]


async def test_a_run_claims_a_waiting_pod_with_one_write_and_the_pod_becomes_its_own() -> None:
    world = Pooled()
    [name] = await world.fill()
    key = world.run("run", timeout="10m")
    world.cluster.writes.clear()
    await world.worker.look(key)
    assert world.cluster.writes == {("PATCH", RUNS.plural): 1}
    assert owner(world.pod(name)) == ("PipelineRuntime", "default")
    await world.wake(key)
    assert world.now == NOW + ADOPT_AFTER
    assert world.cluster.writes == {("PATCH", RUNS.plural): 1, ("PATCH", PODS.plural): 1}
    status, pod = world.status(key), world.pod(name)
    assert (status["podName"], status["podUID"], status["attempt"]) == (
        name,
        pod["metadata"]["uid"],
        1,
    )
    assert owner(pod) == ("PipelineRun", "run")
    uid = world.cluster.now(RUNS, "team", "run")["metadata"]["uid"]
    labels = pod["metadata"]["labels"]
    assert labels["mayfly.dev/id"] == labels["mayfly.dev/root"] == run_id(uid)
    assert labels["mayfly.dev/pipeline"] == "answer"
    # A pod of its own has the same labels and the same time.
    cold = world.run("cold", timeout="10m")
    await world.worker.look(cold)
    own = world.pod(world.status(cold)["podName"])
    assert own["metadata"]["labels"].keys() == labels.keys()
    deadline = "activeDeadlineSeconds"
    assert own["spec"][deadline] == pod["spec"][deadline]


async def test_a_pods_deadline_counts_from_its_start_long_before_the_run() -> None:
    world = Pooled()
    [name] = await world.fill()
    world.now = NOW + timedelta(seconds=100)
    await world.claim(world.run("run"))
    late = world.pod(name)["spec"]["activeDeadlineSeconds"]
    cold = world.run("cold")
    await world.worker.look(cold)
    own = world.pod(world.status(cold)["podName"])["spec"]["activeDeadlineSeconds"]
    assert late == own + 100


async def test_a_pod_goes_to_one_run_and_the_next_gets_its_own_at_once() -> None:
    world = Pooled()
    [name] = await world.fill()
    first, second = world.run("first"), world.run("second")
    # Both look before either has written its claim.
    runtime_ = runtime(warm={"min": 1})
    assert world.pools.take(first, runtime_).name == name
    assert world.pools.take(second, runtime_) is None
    assert world.pools.take(first, runtime_).name == name
    await world.worker.look(second)
    await world.worker.look(first)
    assert world.status(first)["podName"] == name
    uid = world.cluster.now(RUNS, "team", "second")["metadata"]["uid"]
    assert world.status(second)["podName"] == pod_name(run_id(uid), 1)


async def test_a_promise_is_kept_even_if_an_older_pod_is_free_by_now() -> None:
    world = Pooled(least=2)
    older, newer = await world.fill()
    first, second = world.run("first"), world.run("second")
    made = runtime(warm={"min": 2})
    assert world.pools.take(first, made).name == older
    assert world.pools.take(second, made).name == newer
    world.pools.release(first)
    assert world.pools.take(second, made).name == newer


async def test_a_claim_is_followed_by_a_new_pod() -> None:
    world = Pooled()
    [name] = await world.fill()
    await world.worker.look(world.run("run"))
    await world.wake(POOL)
    assert world.now == NOW + timedelta(seconds=LOOK_SECONDS)
    assert [each["metadata"]["name"] for each in world.waiting()] == [name]
    await world.wake(POOL)
    assert world.now == NOW + SETTLE
    [new] = [each for each in world.waiting() if each["metadata"]["name"] != name]
    assert owner(new) == ("PipelineRuntime", "default")


@pytest.mark.parametrize("labels", [{}, {"mayfly.dev/warm": "another"}])
async def test_without_its_label_a_namespace_has_no_pool(labels: Json) -> None:
    world = Pooled()
    await world.fill()
    world.namespace(labels)
    key = world.run("run")
    await world.worker.look(key)
    assert "warm" not in world.status(key)["podName"]
    await world.worker.look(POOL)
    assert world.waiting() == []


async def test_a_run_that_changed_meanwhile_claims_the_same_pod_on_what_is_there_now() -> None:
    world = Pooled(least=2)
    first, _ = await world.fill()
    key = world.run("run")
    world.cluster.edit(RUNS, "team", "run", lambda body: body["metadata"].update(labels={"a": "b"}))
    world.cluster.writes.clear()
    await world.claim(key)
    assert world.status(key)["podName"] == first
    assert world.cluster.writes["PATCH", RUNS.plural] == 2
    assert len(world.waiting()) == 1


@pytest.mark.parametrize("stored", [True, False])
async def test_a_claim_of_unknown_outcome_is_never_followed_by_one_of_another_pod(
    stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Pooled(least=2)
    first, second = await world.fill()
    key = world.run("run")
    patch_status = world.cluster.patch_status

    async def lost(*args: Any) -> Json:
        if stored:
            await patch_status(*args)
        raise Unavailable(0, "no answer")

    monkeypatch.setattr(world.cluster, "patch_status", lost)
    with pytest.raises(Unavailable):
        await world.worker.look(key)
    monkeypatch.undo()
    other = world.run("other")  # meanwhile
    await world.worker.look(other)
    assert world.status(other)["podName"] == second
    await world.worker.look(key)
    assert world.status(key)["podName"] == first
    assert world.status(key)["attempt"] == 1


async def test_the_claimed_pod_of_a_run_that_is_deleted_goes_too() -> None:
    world = Pooled()
    [name] = await world.fill()
    key = world.run("run")
    await world.worker.look(key)  # claimed, and not its own yet
    world.cluster.remove(RUNS, "team", "run")
    world.caches.drop_run(key)
    await world.worker.look(key)
    world.boot(name)  # the watch still tells of it
    assert world.pools.take(world.run("next"), runtime(warm={"min": 1})) is None
    await world.worker.look(POOL)
    assert name not in {each["metadata"]["name"] for each in world.cluster.every(PODS)}


@pytest.mark.parametrize("adopted", [True, False])
async def test_the_pod_of_a_run_that_ended_is_deleted_and_never_given_again(adopted: bool) -> None:
    world = Pooled()
    [name] = await world.fill()
    key = world.run("run")
    await world.worker.look(key)
    if adopted:
        await world.adopt(key)
    stale = world.pod(name)
    world.end(key)
    await world.worker.look(key)
    assert name not in {each["metadata"]["name"] for each in world.cluster.every(PODS)}
    world.watched(stale, gone=True)
    await world.worker.look(key)
    assert key not in world.caches.runs
    assert world.caches.claims == {}
    assert world.caches.waiting.spent == set()
    assert name not in {pod.seen.name for _, pod in world.caches.waiting}


@pytest.mark.parametrize("adopted", [True, False])
async def test_a_new_controller_finds_what_is_claimed_and_what_waits(adopted: bool) -> None:
    world = Pooled(least=2)
    first, second = await world.fill()
    key = world.run("run")
    await world.worker.look(key)
    if adopted:
        await world.adopt(key)
    world.restart()
    # Until every run is known, nobody knows which pods are claimed.
    next_run = world.run("next")
    assert world.pools.take(next_run, runtime(warm={"min": 2})) is None
    world.caches.claims_known = True
    found = world.pools.take(next_run, runtime(warm={"min": 2}))
    assert found is not None
    assert found.name == second
    world.pools.release(next_run)
    await world.adopt(key)
    assert owner(world.pod(first)) == ("PipelineRun", "run")
    assert world.status(key)["podName"] == first


async def test_until_every_claim_is_known_no_pod_is_taken_for_a_useless_one() -> None:
    world = Pooled()
    [name] = await world.fill()
    key = world.run("run")
    await world.worker.look(key)  # claimed, and not its own yet
    world.restart(knows_runs=False)
    world.namespace({})
    await world.worker.look(POOL)
    assert world.pod(name)
    world.caches.put_run(key, world.cluster.now(RUNS, "team", "run"))
    world.caches.claims_known = True
    await world.worker.look(POOL)
    assert world.pod(name)


def claimed_twice(world: Pooled, has: Key, lost: Key, why: str = "") -> str:
    """Claim a run's pod for another run, like a leader of old news; the pod's name."""
    name = world.status(has)["podName"]
    pod = world.pod(name)
    mark = {"lastTransitionTime": rfc3339_seconds(NOW), "message": ""}
    conditions = [{"type": "Accepted", "status": "True", "reason": "Accepted", **mark}]
    if why:
        conditions.append({"type": "Started", "status": "False", "reason": why, **mark})

    def claim(body: Json) -> None:
        body["status"] = {
            "podName": name,
            "podUID": pod["metadata"]["uid"],
            "attempt": 1,
            "conditions": conditions,
        }

    world.caches.put_run(lost, world.cluster.edit(RUNS, "team", lost.name, claim))
    return name


async def test_who_lost_a_claim_leaves_the_pod_to_the_run_that_has_it() -> None:
    world = Pooled()
    await world.fill()
    has, lost = world.run("has"), world.run("lost")
    await world.claim(has)
    name = claimed_twice(world, has, lost, "ClaimLost")
    uid = world.pod(name)["metadata"]["uid"]
    await world.worker.look(lost)
    assert world.status(lost)["attempt"] == 2
    assert world.status(lost)["podName"] != name
    assert world.pod(name)["metadata"]["uid"] == uid
    assert owner(world.pod(name)) == ("PipelineRun", "has")


async def test_a_pod_that_another_leader_gave_to_another_run_is_left_alone() -> None:
    world = Pooled()
    [name] = await world.fill()
    lost = world.run("lost")
    world.run("has")
    uid = world.cluster.now(RUNS, "team", "has")["metadata"]["uid"]
    mine = {"kind": "PipelineRun", "name": "has", "uid": uid}
    adopted = world.cluster.edit(
        PODS, "team", name, lambda body: body["metadata"].update(ownerReferences=[mine])
    )
    await world.claim(lost)  # before the watch tells of it
    assert world.status(lost)["podName"] == name
    world.watched(adopted)
    world.end(lost)
    await world.worker.look(lost)
    await world.worker.look(POOL)
    assert owner(world.pod(name)) == ("PipelineRun", "has")


@pytest.mark.parametrize("adopted", [True, False])
@pytest.mark.parametrize("end", ["ends", "is deleted"])
async def test_a_run_that_lost_its_pod_takes_nothing_with_it(end: str, adopted: bool) -> None:
    world = Pooled()
    await world.fill()
    has, lost = world.run("has"), world.run("lost")
    await world.worker.look(has)
    if adopted:
        await world.adopt(has)
    name = claimed_twice(world, has, lost)
    await world.worker.look(lost)
    if end == "ends":
        world.end(lost)
    else:
        world.cluster.remove(RUNS, "team", "lost")
        world.caches.drop_run(lost)
    await world.worker.look(lost)
    await world.worker.look(POOL)
    if not adopted:
        await world.adopt(has)
    assert owner(world.pod(name)) == ("PipelineRun", "has")
    # The other run is looked after as before.
    world.caches.put_run(has, world.cluster.now(RUNS, "team", "has"))
    world.end(has)
    await world.worker.look(has)
    assert name not in {each["metadata"]["name"] for each in world.cluster.every(PODS)}


async def test_a_pod_of_another_run_is_not_taken_over() -> None:
    world = Pooled()
    [name] = await world.fill()
    key = world.run("run")
    other = {"kind": "PipelineRun", "name": "other", "uid": "other-uid"}

    def adopt(body: Json) -> None:
        body["metadata"]["ownerReferences"] = [other]

    world.cluster.edit(PODS, "team", name, adopt)
    await world.claim(key)
    assert owner(world.pod(name)) == ("PipelineRun", "other")


async def test_a_pod_whose_creation_has_no_known_outcome_is_not_made_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = Pooled()
    create = world.cluster.create

    async def lost(*args: Any) -> Json:
        await create(*args)
        raise Unavailable(0, "no answer")

    monkeypatch.setattr(world.cluster, "create", lost)
    with pytest.raises(Unavailable):
        await world.worker.look(POOL)
    monkeypatch.undo()
    await world.worker.look(POOL)
    assert len(world.cluster.every(PODS)) == 1


async def test_a_quota_stops_the_refill_in_words_and_no_run(monkeypatch: Any) -> None:
    world = Pooled()
    create, tries = world.cluster.create, Counter[str]()

    async def refused(kind: Any, namespace: Any, body: Json) -> Json:
        name = body["metadata"]["name"]
        tries[name] += 1
        if name.startswith("mayfly-warm-"):
            raise Refused(403, f'pods "{name}" is forbidden: exceeded quota: few')
        return dict(await create(kind, namespace, body))

    monkeypatch.setattr(world.cluster, "create", refused)
    for second in range(60):
        world.now = NOW + timedelta(seconds=second)
        await world.worker.look(POOL)
    assert TELL_AFTER <= tries.total() <= 6
    short = world.pools.short("default")
    assert short is not None
    assert short.reason == "QuotaExceeded"
    assert short.words.startswith("In namespace team: the cluster refuses the pod: pods ")
    assert world.pools.counts().degraded == 1
    key = world.run("run")
    await world.worker.look(key)
    assert world.status(key)["podUID"]


@pytest.mark.parametrize("status", [403, 422, 500, 503])
async def test_a_pod_that_can_never_be_made_is_told_whatever_the_status(
    monkeypatch: Any, status: int
) -> None:
    world = Pooled()

    async def refuses(*_: Any) -> Json:
        raise error_for(status, "the webhook has no service")

    monkeypatch.setattr(world.cluster, "create", refuses)
    for minute in range(2 * (PATIENCE_TRIES + TELL_AFTER)):
        world.now = NOW + timedelta(minutes=minute)
        try:
            await world.worker.look(POOL)
        except Unavailable:
            world.queue.retry(POOL)
    short = world.pools.short("default")
    assert short is not None
    assert "the webhook has no service" in short.words


async def test_a_pool_at_which_the_controller_itself_fails_says_so_until_it_does_not() -> None:
    world = Pooled()
    await world.fill()
    settings = PodSettings("https://gateway.test")
    failing = Failing(
        world.cluster, world.executor, world.caches, world.pools, settings, lambda: NOW
    )
    for tries in range(1, TELL_TRIES + 1):
        assert world.pools.short("default") is None
        await failing.failed(POOL, Failure(tries, 1.0, ZeroDivisionError("a bug")))
    short = world.pools.short("default")
    assert short is not None
    assert short.reason == "InternalError"
    assert "ZeroDivisionError: a bug" in short.words
    runtime_key = Key("runtime", "", "default")
    assert runtime_key in world.queue._later
    await world.worker.look(POOL)
    assert world.pools.short("default") is None
    assert runtime_key in world.queue._later


async def test_places_that_runs_need_are_not_held_by_what_waits() -> None:
    world = Pooled(least=3, max_pods=3)
    await world.fill()
    assert len(world.waiting()) == 3
    for number in range(2):
        await world.claim(world.run(f"run-{number}"))
        await world.worker.look(POOL)
    assert len(world.waiting()) == 1
    # A namespace without a pool has a place, too.
    await world.claim(world.run("run-2"))
    await world.worker.look(POOL)
    assert world.waiting() == []


async def test_the_pool_of_a_runtime_that_changed_is_made_anew() -> None:
    world = Pooled()
    [old] = await world.fill()
    world.set_runtime(warm={"min": 1}, image=IMAGE.replace("0" * 64, "1" * 64))
    key = world.run("run")
    await world.worker.look(key)
    assert world.status(key)["podName"] != old
    await world.worker.look(POOL)
    assert world.waiting() == []
    await world.settle()
    [new] = world.waiting()
    assert new["metadata"]["name"] != old
    assert new["spec"]["containers"][0]["image"].endswith("1" * 64)


async def test_an_api_server_that_was_away_costs_no_healthy_pod() -> None:
    world = Pooled(least=2)
    names = await world.fill()
    world.now = NOW + timedelta(minutes=2)
    for name in names:
        unready = {**READY, "status": "False", "lastTransitionTime": rfc3339_seconds(world.now)}
        world.set_status(name, conditions=[unready])
    await world.worker.look(POOL)
    world.now += UNREADY - timedelta(seconds=1)
    await world.worker.look(POOL)
    assert sorted(each["metadata"]["name"] for each in world.waiting()) == names
    for name in names:
        world.set_status(name, conditions=[READY])
    world.now += timedelta(minutes=1)
    await world.worker.look(POOL)
    assert sorted(each["metadata"]["name"] for each in world.waiting()) == names


async def test_a_controller_that_starts_in_an_outage_replaces_no_healthy_pod() -> None:
    world = Pooled()
    [name] = await world.fill()
    world.now = NOW + timedelta(minutes=10)
    unready = {**READY, "status": "False", "lastTransitionTime": rfc3339_seconds(world.now)}
    made = {"creationTimestamp": rfc3339_seconds(NOW)}
    world.cluster.edit(PODS, "team", name, lambda body: body["metadata"].update(made))
    world.set_status(name, conditions=[unready])
    world.restart()
    world.caches.claims_known = True
    await world.worker.look(POOL)
    assert [each["metadata"]["name"] for each in world.waiting()] == [name]


async def test_the_status_counts_what_is_there() -> None:
    world = Pooled(least=2)
    assert world.pools.status("other") is None
    await world.worker.look(POOL)
    status = world.pools.status("default")
    assert (status.namespaces, status.booting, status.waiting, status.claimed) == (1, 2, 0, 0)
    await world.fill()
    await world.worker.look(world.run("run"))
    status = world.pools.status("default")
    assert (status.booting, status.waiting, status.claimed) == (0, 1, 1)
    read = world.metrics.registry.get_sample_value
    assert read("mayfly_warm_claims_total", {"result": "hit"}) == 1
    assert read("mayfly_warm_boot_duration_seconds_count") == 2


async def test_the_status_is_written_again_when_a_claimed_pod_goes() -> None:
    world = Pooled()
    [name] = await world.fill()
    await world.worker.look(world.run("run"))
    world.queue._later.clear()
    world.watched(world.pod(name), gone=True)
    assert list(world.queue._later) == [Key("runtime", "", "default")]
    assert world.pools.status("default").claimed == 0


async def test_the_echo_of_a_write_is_not_looked_at_and_news_is() -> None:
    world = Pooled()
    [name] = await world.fill()
    handlers = Handlers(world.caches, world.capacity, world.queue, lambda: NOW)
    key = world.run("run")
    await world.claim(key)
    queued = world.queue.depth["ready"]

    async def told(kind: Any, name: str) -> bool:
        """Whether the watch's news of an object, as it is now, is looked at."""
        before = queued()
        event = {"type": "MODIFIED", "object": world.cluster.now(kind, "team", name)}
        await (handlers.on_run if kind is RUNS else handlers.on_pod)(event=event)
        return queued() > before

    assert not await told(RUNS, "run")  # of the claim
    assert not await told(PODS, name)  # of the adoption
    world.cluster.edit(RUNS, "team", "run", lambda body: body["spec"].update(cancel=True))
    assert await told(RUNS, "run")


async def test_a_pool_is_looked_at_when_a_pod_changes_in_a_way_that_matters() -> None:
    world = Pooled()
    handlers = Handlers(world.caches, world.capacity, world.queue, lambda: NOW)
    await world.worker.look(POOL)
    [pod] = world.waiting()
    name = pod["metadata"]["name"]

    async def told(event: Json) -> bool:
        """Whether the pool is to be looked at because of what the watch tells."""
        world.queue._later.clear()
        await handlers.on_pod(event=event)
        due, *_ = world.queue._later.get(POOL, (None,))
        assert due in {None, LOOK_SECONDS}
        return due is not None

    async def looks(status: Json) -> bool:
        body = world.cluster.edit(PODS, "team", name, lambda body: body.update(status=status))
        return await told({"type": "MODIFIED", "object": body})

    scheduled = {"type": "PodScheduled", "status": "True"}
    assert not await looks({"conditions": [scheduled]})
    assert not await looks({"conditions": [scheduled], "phase": "Running"})
    pauses = {"name": "agent", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    assert await looks({"conditions": [scheduled], "containerStatuses": [pauses]})
    assert await looks({"conditions": [scheduled, READY], "phase": "Running"})
    assert await looks({"conditions": [scheduled, READY], "phase": "Failed"})
    assert await told({"type": "DELETED", "object": world.pod(name)})
    assert len(world.queue) == 0
