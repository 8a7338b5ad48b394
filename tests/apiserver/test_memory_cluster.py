"""`MemoryCluster` and a real API server answer alike: each test runs on both.

What the one in memory leaves out (quotas, RBAC but for Secrets, most of validation, garbage
collection, finalizers) is not tried here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import count
from typing import Any

import pytest
from support.kube_memory import MemoryCluster, condition
from support.waiting import within

from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, Gone, NotFound, Refused
from mayfly.kube.kinds import PIPELINES, RUNS

Json = dict[str, Any]
NUMBERS = count(1)
SOURCE = {"inline": "def main() -> int:\n    return 1\n"}
UNFINISHED = "status.finished!=true"
SECONDS = 20.0


@pytest.fixture(params=["memory", "real"])
async def cluster(request) -> AsyncIterator[MemoryCluster | Cluster]:
    if request.param == "memory":
        yield MemoryCluster()
        return
    plane = request.getfixturevalue("plane")
    connection = await Cluster.connect(plane.kubeconfig)
    yield connection
    await connection.close()


@pytest.fixture
def namespace(request, cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"both{next(NUMBERS)}"
    if not isinstance(cluster, Cluster):
        yield name
        return
    plane = request.getfixturevalue("plane")
    plane.api.create("namespace", {"metadata": {"name": name}})
    yield name
    # The controllers of other tests would see what is left, and keep places for it.
    plane.clean()


def run(name: str = "a", *, metadata: Json | None = None, **more: Any) -> Json:
    return {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"pipelineSpec": {"source": SOURCE}},
        **more,
    }


def finished(reason: str = "Completed") -> Json:
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": ""}
    return {
        "finished": True,
        "recorded": True,
        "conditions": [
            {"type": "Finished", "status": "True", "reason": "Finished", **since},
            {"type": "Succeeded", "status": "True", "reason": reason, **since},
        ],
    }


def version(body: Json) -> str:
    return str(body["metadata"]["resourceVersion"])


def names(page: Json) -> list[str]:
    return [each["metadata"]["name"] for each in page["items"]]


async def put_status(cluster, body: Json, **status: Any) -> Json:
    return await cluster.write_status(RUNS, {**body, "status": status})


async def listed(cluster, namespace: str) -> str:
    """The version to watch from."""
    return version(await cluster.list(RUNS, namespace))


async def events(cluster, number: int, namespace: str, since: str, **options: Any) -> list[Json]:
    """The first events of a watch, bookmarks left out."""
    found: list[Json] = []
    async with asyncio.timeout(SECONDS):
        watch = cluster.watch_events(RUNS, namespace, resource_version=since, **options)
        async with aclosing(watch):
            async for event in watch:
                if event["type"] != "BOOKMARK":
                    found.append(event)
                if len(found) == number:
                    break
    return found


def seen(found: list[Json]) -> list[tuple[str, str]]:
    return [(each["type"], each["object"]["metadata"]["name"]) for each in found]


# -- create and get ------------------------------------------------------------------------------


async def test_a_create_answers_with_what_is_stored(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    assert made == await cluster.get(RUNS, namespace, "a")
    metadata = made["metadata"]
    assert (metadata["namespace"], metadata["generation"]) == (namespace, 1)
    assert metadata["uid"]
    assert int(metadata["resourceVersion"]) > 1
    assert (made["apiVersion"], made["kind"]) == ("mayfly.dev/v1alpha1", "PipelineRun")


async def test_a_create_does_not_take_the_servers_own_fields(cluster, namespace):
    forged = {"uid": "forged", "generation": 7, "creationTimestamp": "2001-01-01T00:00:00Z"}
    made = await cluster.create(RUNS, namespace, run(metadata=forged, status={"id": "forged"}))
    assert all(made["metadata"][name] != value for name, value in forged.items())
    assert "status" not in made


async def test_a_name_that_exists(cluster, namespace):
    await cluster.create(RUNS, namespace, run())
    with pytest.raises(Conflict, match=r'pipelineruns.mayfly.dev "a" already exists'):
        await cluster.create(RUNS, namespace, run())
    pipeline = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": "a"},
        "spec": {"source": SOURCE},
    }
    await cluster.create(PIPELINES, namespace, pipeline)


async def test_a_generated_name(cluster, namespace):
    body = run()
    body["metadata"] = {"generateName": "r-"}
    made = [await cluster.create(RUNS, namespace, body) for _ in range(2)]
    first, second = (each["metadata"] for each in made)
    assert first["name"] != second["name"]
    for each in (first, second):
        assert each["name"].startswith("r-")
        assert len(each["name"]) == len("r-") + 5
        assert each["generateName"] == "r-"


async def test_a_create_without_a_name_or_for_another_namespace_is_refused(cluster, namespace):
    body = run()
    body["metadata"] = {}
    with pytest.raises(Refused):
        await cluster.create(RUNS, namespace, body)
    with pytest.raises(Refused):
        await cluster.create(RUNS, namespace, run(metadata={"namespace": "elsewhere"}))


async def test_what_is_not_there(cluster, namespace):
    missing = r'pipelineruns.mayfly.dev "a" not found'
    with pytest.raises(NotFound, match=missing):
        await cluster.get(RUNS, namespace, "a")
    with pytest.raises(NotFound, match=missing):
        await cluster.patch(RUNS, namespace, "a", {"spec": {"cancel": True}})
    with pytest.raises(NotFound, match=missing):
        await cluster.delete(RUNS, namespace, "a")
    metadata = {"resourceVersion": "1"}
    with pytest.raises(NotFound, match=missing):
        await cluster.patch_status(
            RUNS, namespace, "a", {"metadata": metadata, "status": {"id": "x"}}
        )
    made = await cluster.create(RUNS, namespace, run())
    await cluster.delete(RUNS, namespace, "a")
    with pytest.raises(NotFound, match=missing):
        await put_status(cluster, made, id="x")


# -- writes --------------------------------------------------------------------------------------


async def test_a_merge_patch_drops_nulls_at_every_depth(cluster, namespace):
    labels = {"labels": {"keep": "1", "drop": "1"}}
    made = await cluster.create(RUNS, namespace, run(metadata=labels))
    change = {
        "metadata": {"labels": {"drop": None, "new": "2", "never": None}},
        "spec": {"ttlSecondsAfterFinished": 5, "cancel": None},
    }
    after = await cluster.patch(RUNS, namespace, "a", change)
    assert after["metadata"]["labels"] == {"keep": "1", "new": "2"}
    assert after["spec"] == {**made["spec"], "ttlSecondsAfterFinished": 5}
    gone = {"metadata": {"labels": None}, "spec": {"ttlSecondsAfterFinished": None}}
    again = await cluster.patch(RUNS, namespace, "a", gone)
    assert "labels" not in again["metadata"]
    assert again["spec"] == made["spec"]


async def test_a_merge_patch_replaces_lists(cluster, namespace):
    made = await put_status(cluster, await cluster.create(RUNS, namespace, run()), **finished())
    succeeded = made["status"]["conditions"][::-1]
    change = {"metadata": {"resourceVersion": version(made)}, "status": {"conditions": succeeded}}
    after = await cluster.patch_status(RUNS, namespace, "a", change)
    assert after["status"]["conditions"] == succeeded


async def test_a_patch_of_a_stale_version_is_a_conflict(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    stale = {"metadata": {"resourceVersion": version(made)}, "spec": {"cancel": True}}
    await cluster.patch(RUNS, namespace, "a", {"spec": {"ttlSecondsAfterFinished": 5}})
    with pytest.raises(Conflict, match="the object has been modified"):
        await cluster.patch(RUNS, namespace, "a", stale)
    assert not (await cluster.get(RUNS, namespace, "a"))["spec"].get("cancel")


async def test_a_patch_that_names_another_uid_is_refused(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    with pytest.raises(Refused, match=r"metadata.uid"):
        await cluster.patch(RUNS, namespace, "a", {"metadata": {"uid": "other"}})
    # With a version that is stale as well, that comes first.
    await put_status(cluster, made, id="x")
    stale = {"uid": "other", "resourceVersion": version(made)}
    with pytest.raises(Conflict):
        await cluster.patch(RUNS, namespace, "a", {"metadata": stale})
    with pytest.raises(Conflict):
        await cluster.patch_status(RUNS, namespace, "a", {"metadata": stale, "status": {}})
    now = version(await cluster.get(RUNS, namespace, "a"))
    # A patch of the status drops metadata, the UID too: the version alone says which object it is.
    other = {"uid": "other", "resourceVersion": now}
    after = await cluster.patch_status(RUNS, namespace, "a", {"metadata": other, "status": {}})
    assert after["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_patch_of_the_object_leaves_its_status(cluster, namespace):
    made = await put_status(cluster, await cluster.create(RUNS, namespace, run()), id="x")
    change = {"spec": {"cancel": True}, "status": {"id": "y"}}
    after = await cluster.patch(RUNS, namespace, "a", change)
    assert after["status"] == made["status"]
    assert after["spec"]["cancel"] is True


async def test_the_generation_counts_changes_of_the_spec(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    written = await put_status(cluster, made, id="x")
    labelled = await cluster.patch(RUNS, namespace, "a", {"metadata": {"labels": {"a": "b"}}})
    changed = await cluster.patch(RUNS, namespace, "a", {"spec": {"cancel": True}})
    generations = [each["metadata"]["generation"] for each in (made, written, labelled, changed)]
    assert generations == [1, 1, 1, 2]


async def test_a_write_that_changes_nothing_makes_no_version(cluster, namespace):
    made = await put_status(cluster, await cluster.create(RUNS, namespace, run()), id="x")
    same = await cluster.patch(RUNS, namespace, "a", {"spec": made["spec"]})
    again = await put_status(cluster, same, id="x")
    change = {"metadata": {"resourceVersion": version(made)}, "status": {"id": "x"}}
    patched = await cluster.patch_status(RUNS, namespace, "a", change)
    assert [version(each) for each in (same, again, patched)] == [version(made)] * 3


async def test_the_put_of_a_status_keeps_spec_and_metadata(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run(metadata={"labels": {"a": "b"}}))
    body = {
        **made,
        "metadata": {**made["metadata"], "labels": {"a": "c"}, "annotations": {"x": "y"}},
        "spec": {"cancel": True},
    }
    after = await put_status(cluster, body, id="x")
    assert after["spec"] == made["spec"]
    assert after["metadata"]["labels"] == {"a": "b"}
    assert "annotations" not in after["metadata"]
    assert after["status"] == {"id": "x"}
    # It replaces the status: what it leaves out is gone.
    assert (await put_status(cluster, after, depth=1))["status"] == {"depth": 1}


async def test_a_patch_of_a_status_keeps_spec_and_metadata(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    made = await put_status(cluster, made, id="x", depth=1)
    change = {
        "metadata": {"resourceVersion": version(made), "labels": {"a": "c"}},
        "spec": {"cancel": True},
        "status": {"depth": None, "attempt": 1},
    }
    after = await cluster.patch_status(RUNS, namespace, "a", change)
    assert after["spec"] == made["spec"]
    assert "labels" not in after["metadata"]
    assert after["status"] == {"id": "x", "attempt": 1}


async def test_a_status_of_a_stale_version_is_a_conflict(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    await put_status(cluster, made, id="x")
    with pytest.raises(Conflict, match="the object has been modified"):
        await put_status(cluster, made, id="y")
    change = {"metadata": {"resourceVersion": version(made)}, "status": {"id": "y"}}
    with pytest.raises(Conflict, match="the object has been modified"):
        await cluster.patch_status(RUNS, namespace, "a", change)
    assert (await cluster.get(RUNS, namespace, "a"))["status"] == {"id": "x"}


async def test_a_status_for_another_object_of_the_name_is_a_conflict(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    await cluster.delete(RUNS, namespace, "a")
    again = await cluster.create(RUNS, namespace, run())
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    with pytest.raises(Conflict):
        await put_status(cluster, made, id="x")


# -- what never changes --------------------------------------------------------------------------


async def test_an_end_is_written_once(cluster, namespace):
    ended = await put_status(cluster, await cluster.create(RUNS, namespace, run()), **finished())
    with pytest.raises(Refused):
        await put_status(cluster, ended, **finished("Failed"))
    with pytest.raises(Refused):
        await put_status(cluster, ended, finished=True, recorded=True)
    with pytest.raises(Refused):
        await put_status(cluster, ended, **{**finished(), "finished": False})
    after = await put_status(cluster, ended, **finished(), id="x")
    assert condition(after, "Succeeded") == condition(ended, "Succeeded")


async def test_a_cancel_is_not_taken_back(cluster, namespace):
    await cluster.create(RUNS, namespace, run())
    await cluster.patch(RUNS, namespace, "a", {"spec": {"cancel": True}})
    for wrong in (False, None):
        with pytest.raises(Refused):
            await cluster.patch(RUNS, namespace, "a", {"spec": {"cancel": wrong}})


# -- lists ---------------------------------------------------------------------------------------


@pytest.fixture
async def three(cluster, namespace) -> None:
    """c, finished; b, unfinished; a, without a status. Made in that order."""
    for name, label in (("c", "x"), ("b", "y"), ("a", "x")):
        await cluster.create(RUNS, namespace, run(name, metadata={"labels": {"of": label}}))
    for name, status in (("c", {"id": "1", **finished()}), ("b", {"id": "2", "depth": 2})):
        await put_status(cluster, await cluster.get(RUNS, namespace, name), **status)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"field_selector": UNFINISHED}, ["a", "b"]),
        ({"field_selector": "status.finished=true"}, ["c"]),
        ({"field_selector": "status.id=2"}, ["b"]),
        ({"field_selector": "status.id="}, ["a"]),
        ({"field_selector": "status.depth=2"}, ["b"]),
        ({"field_selector": "metadata.name=a"}, ["a"]),
        ({"field_selector": f"status.id!=2,{UNFINISHED}"}, ["a"]),
        ({"label_selector": "of=x"}, ["a", "c"]),
        ({"label_selector": "of!=x"}, ["b"]),
        ({"label_selector": "of=x", "field_selector": UNFINISHED}, ["a"]),
        ({"label_selector": "of"}, ["a", "b", "c"]),
        ({"label_selector": "!of"}, []),
        ({"label_selector": "never!=x,of=y"}, ["b"]),
    ],
)
async def test_a_list_by_selectors(cluster, namespace, three, options, found):
    assert names(await cluster.list(RUNS, namespace, **options)) == found


async def test_a_list_of_every_namespace(cluster, namespace, three):
    page = await cluster.list(RUNS, field_selector=f"metadata.namespace={namespace}")
    assert names(page) == ["a", "b", "c"]
    assert names(await cluster.list(RUNS, f"{namespace}-other")) == []


async def test_a_field_that_no_selector_knows_is_refused(cluster, namespace):
    with pytest.raises(Refused, match=r"status.podName"):
        await cluster.list(RUNS, namespace, field_selector="status.podName=x")


async def test_pages_show_the_list_as_it_was_at_the_first(cluster, namespace, three):
    first = await cluster.list(RUNS, namespace, limit=2)
    assert names(first) == ["a", "b"]
    await cluster.delete(RUNS, namespace, "c")
    await cluster.create(RUNS, namespace, run("d"))
    rest = await cluster.list(RUNS, namespace, limit=2, continue_=first["metadata"]["continue"])
    assert names(rest) == ["c"]
    assert not rest["metadata"].get("continue")
    assert version(rest) == version(first)
    pages = [page async for page in cluster.pages(RUNS, namespace, chunk=1)]
    assert [names(page) for page in pages] == [["a"], ["b"], ["d"]]


# -- watches -------------------------------------------------------------------------------------


async def test_a_watch_tells_what_happened_since(cluster, namespace):
    since = await listed(cluster, namespace)
    made = await cluster.create(RUNS, namespace, run())
    changed = await cluster.patch(RUNS, namespace, "a", {"spec": {"cancel": True}})
    await cluster.delete(RUNS, namespace, "a")
    found = await events(cluster, 3, namespace, since)
    assert [each["type"] for each in found] == ["ADDED", "MODIFIED", "DELETED"]
    assert [each["object"] for each in found[:2]] == [made, changed]
    # The last state, with the version of the deletion.
    last = found[2]["object"]
    assert int(version(last)) > int(version(changed))
    assert {**last, "metadata": None} == {**changed, "metadata": None}
    # And from a version in between, what came after it.
    later = await events(cluster, 2, namespace, version(made))
    assert seen(later) == [("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_that_runs_tells_what_happens(cluster, namespace):
    since = await listed(cluster, namespace)
    watch = asyncio.create_task(events(cluster, 1, namespace, since))
    await asyncio.sleep(0.1)
    assert not watch.done()
    await cluster.create(RUNS, namespace, run())
    assert seen(await watch) == [("ADDED", "a")]


async def test_a_watch_of_one_namespace(cluster, namespace, request):
    other = f"{namespace}-other"
    if isinstance(cluster, Cluster):
        plane = request.getfixturevalue("plane")
        plane.api.create("namespace", {"metadata": {"name": other}})
    since = await listed(cluster, namespace)
    await cluster.create(RUNS, other, run("elsewhere"))
    await cluster.create(RUNS, namespace, run("here"))
    assert seen(await events(cluster, 1, namespace, since)) == [("ADDED", "here")]
    by_field = {"field_selector": f"metadata.namespace={other}"}
    assert seen(await events(cluster, 1, None, since, **by_field)) == [("ADDED", "elsewhere")]


async def test_who_leaves_the_selector_is_deleted_with_the_state_from_before(cluster, namespace):
    since = await listed(cluster, namespace)
    made = await cluster.create(RUNS, namespace, run())
    before = await put_status(cluster, made, id="x")
    after = await put_status(cluster, before, id="x", **finished())
    await cluster.patch(RUNS, namespace, "a", {"spec": {"ttlSecondsAfterFinished": 5}})
    await cluster.create(RUNS, namespace, run("b"))
    found = await events(cluster, 4, namespace, since, field_selector=UNFINISHED)
    assert seen(found) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]
    left = found[2]["object"]
    assert left["status"] == {"id": "x"}
    assert version(left) == version(after)


async def test_who_enters_the_selector_is_added(cluster, namespace):
    since = await listed(cluster, namespace)
    made = await cluster.create(RUNS, namespace, run())
    after = await put_status(cluster, made, id="x")
    found = await events(cluster, 1, namespace, since, field_selector="status.id=x")
    assert found == [{"type": "ADDED", "object": after}]


async def test_a_watch_by_label(cluster, namespace):
    since = await listed(cluster, namespace)
    await cluster.create(RUNS, namespace, run("a"))
    labelled = {"metadata": {"labels": {"of": "x"}}}
    await cluster.create(RUNS, namespace, run("b", **labelled))
    await cluster.patch(RUNS, namespace, "a", labelled)
    await cluster.patch(RUNS, namespace, "b", {"metadata": {"labels": {"of": None}}})
    found = await events(cluster, 3, namespace, since, label_selector="of=x")
    assert seen(found) == [("ADDED", "b"), ("ADDED", "a"), ("DELETED", "b")]
    assert found[2]["object"]["metadata"]["labels"] == {"of": "x"}


async def test_a_watch_of_a_version_that_is_too_old(cluster, namespace):
    with pytest.raises(Gone, match="too old resource version"):
        await events(cluster, 1, namespace, "1")


async def test_a_watch_ends_in_time_with_a_bookmark_of_what_it_did_not_tell(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())

    async def watch() -> list[Json]:
        selected = {"field_selector": "metadata.name=a", "timeout_seconds": 4}
        found = cluster.watch_events(RUNS, namespace, resource_version=version(made), **selected)
        return [event async for event in found]

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.5)
    other = await cluster.create(RUNS, namespace, run("b"))
    found = await within(SECONDS, watching)
    assert {each["type"] for each in found} == {"BOOKMARK"}
    body = found[-1]["object"]
    assert (body["apiVersion"], body["kind"]) == ("mayfly.dev/v1alpha1", "PipelineRun")
    assert int(version(body)) >= int(version(other))
    assert "name" not in body["metadata"]
    # A watch can go on from there.
    await cluster.patch(RUNS, namespace, "a", {"spec": {"cancel": True}})
    assert seen(await events(cluster, 1, namespace, version(body))) == [("MODIFIED", "a")]


# -- deletion ------------------------------------------------------------------------------------


async def test_a_delete_of_another_uid_is_a_conflict(cluster, namespace):
    made = await cluster.create(RUNS, namespace, run())
    with pytest.raises(Conflict):
        await cluster.delete(RUNS, namespace, "a", uid="other")
    await cluster.delete(RUNS, namespace, "a", uid=made["metadata"]["uid"])
    assert names(await cluster.list(RUNS, namespace)) == []


async def test_a_deleted_owner_leaves_what_it_owned_to_the_garbage_collector(cluster, namespace):
    owner = await cluster.create(RUNS, namespace, run("owner"))
    reference = {
        "apiVersion": "mayfly.dev/v1alpha1",
        "kind": "PipelineRun",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    child = run("child", metadata={"ownerReferences": [reference]})
    made = await cluster.create(RUNS, namespace, child)
    await cluster.delete(RUNS, namespace, "owner")
    assert await cluster.get(RUNS, namespace, "child") == made
