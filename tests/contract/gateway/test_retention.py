"""What can be read after the objects are gone, for how long, and what stays for ever."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from support.gateway.world import BUILDER, KEY, NAMESPACE, Run, Running, World
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.api.v1alpha1.names import RETENTION
from mayfly.database.engine import metadata
from mayfly.gateway.access import run_tokens
from mayfly.gateway.files.store import doomed_files, files
from mayfly.gateway.lifecycle import archive
from mayfly.gateway.lifecycle.sources import sources
from mayfly.kube.kinds import NAMESPACES, PIPELINES, RUNS, VERSIONS
from mayfly.metering.tables import usage_records

pytestmark = BOTH

DEFAULT = timedelta(days=30)
SOURCE = "def main():\n    return 42.0\n"
PREDICTIONS = f"/v1/models/{NAMESPACE}/answer/predictions"
SECRETIVE = "a word of the user's"
"""In the input, the output, the log, the error and the files of what is removed."""


def annotate(world: World, text: str | None) -> None:
    def change(body: dict[str, Any]) -> None:
        body["metadata"]["annotations"] = {} if text is None else {RETENTION: text}

    world.cluster.edit(NAMESPACES, "", NAMESPACE, change)


async def upload(gateway: Running, run: Run, text: str = SECRETIVE) -> str:
    """Store a file of a run's output; its reference."""

    async def once() -> Any:
        yield text.encode()

    stored = await gateway.gateway.files.store.put(
        once(),
        namespace=NAMESPACE,
        run_uid=run.uid,
        name="a.txt",
        content_type="text/plain",
        announced=None,
    )
    return stored.reference


async def whole(world: World, gateway: Running, run: Run, **result: Any) -> None:
    """A run with a log, a file and an end."""
    if not run.status.get("podUID"):
        run.claim()
    reference = await upload(gateway, run)
    async with run.working(gateway) as agent:
        await agent.say("log", offset=0, data=f"{SECRETIVE}\n")
        output = json.dumps([SECRETIVE, reference])
        await agent.end(**{"outputJSON": output, "logBytes": 21, "activeMs": 3, **result})
    await gateway.closed(run.uid)


async def get(gateway: Running, path: str) -> Any:
    async with gateway.client() as reader:
        answer = await reader.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text


async def shown(gateway: Running, run: Run) -> dict[str, Any]:
    return dict(await get(gateway, f"/v1/predictions/{run.id}"))


async def refused(gateway: Running, path: str) -> str:
    async with gateway.client() as reader:
        answer = await reader.get(path)
        assert answer.status_code == 404, answer.text
        return str(answer.json()["detail"])


async def known(gateway: Running, text: str | None) -> None:
    """Wait until the gateway has heard of the annotation."""
    retention = gateway.gateway.namespaces.retention
    async for _ in looks():
        if (NAMESPACE in retention._own) == (text is not None):
            return


async def count(gateway: Running, table: Any) -> int:
    async with gateway.gateway.process.database.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


async def anywhere(gateway: Running, world: World, word: str) -> list[str]:
    """Tables and files that hold a word."""
    places: list[str] = []
    async with gateway.gateway.process.database.read() as tx:
        for table in metadata.sorted_tables:
            rows = (await tx.execute(select(table))).all()
            places += [table.name for row in rows if word in repr(tuple(row))]
    folder = Path(world.folder) / "files"
    places += [str(each) for each in folder.rglob("*") if each.is_file()]
    return places


async def test_everything_is_readable_after_the_object_is_gone_and_then_removed(
    world: World,
) -> None:
    run = world.run(inputJSON=json.dumps({"text": SECRETIVE}))
    async with world.gateway() as gateway:
        await whole(world, gateway, run)
        before = await shown(gateway, run)
        run.delete()
        world.cluster.remove(PIPELINES, NAMESPACE, "answer")
        world.cluster.remove(VERSIONS, NAMESPACE, "answer-" + "c" * 10)
    world.clock.ahead = DEFAULT - timedelta(minutes=1)
    one = f"/v1/predictions/{run.id}"
    async with world.gateway() as gateway:
        await gateway.gateway.cleanup.sweep.once()
        after = await shown(gateway, run)
        for name in ("input", "logs", "metrics", "cost", "total_cost", "status", "created_at"):
            assert after[name] == before[name], name
        assert (after["output"][0], after["data_removed"]) == (SECRETIVE, False)
        link = after["output"][1].removeprefix(gateway.url)
        assert await get(gateway, link) == SECRETIVE
        assert await get(gateway, f"{one}/logs") == f"{SECRETIVE}\n"
        source = await get(gateway, f"{one}/source")
        assert source == {
            "version": "c" * 64,
            "entrypoint": "main.py:main",
            "files": {"main.py": SOURCE},
        }
        assert len((await get(gateway, f"{one}/tree"))["predictions"]) == 1

        world.clock.ahead = DEFAULT + timedelta(minutes=1)
        await gateway.gateway.cleanup.sweep.once()
        gone = await shown(gateway, run)
        assert gone["data_removed"] is True
        assert (gone["input"], gone["output"], gone["logs"]) == ({}, None, None)
        kept = ("id", "status", "version", "metrics", "cost", "total_cost", "final", "children",
                "created_at", "started_at", "completed_at", "reason", "name")  # fmt: skip
        assert {name: gone[name] for name in kept} == {name: before[name] for name in kept}
        words = (
            "The prediction's data were removed when the retention of its namespace was over "
            "(annotation mayfly.dev/retention)."
        )
        for part in ("logs", "output", "source"):
            assert await refused(gateway, f"{one}/{part}") == words
        await refused(gateway, link)
        (listed,) = (await get(gateway, f"{one}/tree"))["predictions"]
        assert (listed["input"], listed["data_removed"]) == ({}, True)
        assert await anywhere(gateway, world, SECRETIVE) == []
        assert await count(gateway, sources) == 0
        record = await gateway.usage(run.uid)
        assert record is not None
        assert str(record["cost"]) == before["cost"]
        # Once more is nothing.
        await gateway.gateway.cleanup.sweep.once()
        assert await shown(gateway, run) == gone | {"urls": (await shown(gateway, run))["urls"]}


async def test_a_failed_run_keeps_its_reason_and_loses_its_words(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway:
        await whole(world, gateway, run, outcome="failed", reason="UserError", error=SECRETIVE,
                    outputJSON=None)  # fmt: skip
        assert (await shown(gateway, run))["error"] == SECRETIVE
        world.clock.ahead = DEFAULT + timedelta(minutes=1)
        # Its object is still there, with copies of its own until its TTL; the API shows none.
        await gateway.gateway.cleanup.sweep.once()
        gone = await shown(gateway, run)
        assert (gone["status"], gone["reason"], gone["error"]) == ("failed", "UserError", None)
        assert gone["data_removed"] is True
        assert await anywhere(gateway, world, SECRETIVE) == []
        assert world.cluster.now(RUNS, NAMESPACE, run.name)


@pytest.mark.parametrize(
    ("text", "kept", "over"),
    [
        ("12h", timedelta(hours=11), timedelta(hours=13)),
        ("1d12h", timedelta(hours=35), timedelta(hours=37)),
        ("90m", timedelta(minutes=89), timedelta(minutes=91)),
        ("60d", timedelta(days=59), timedelta(days=61)),
        ("forever", timedelta(days=36_500), None),
        ("0", timedelta(days=36_500), None),
        # Nothing is removed by a slip of the pen.
        ("30 days", timedelta(days=36_500), None),
        ("", timedelta(days=36_500), None),
    ],
)
async def test_a_namespace_has_a_retention_of_its_own(
    world: World, text: str, kept: timedelta, over: timedelta | None
) -> None:
    annotate(world, text)
    run = world.run()
    async with world.gateway() as gateway:
        await whole(world, gateway, run)
        world.clock.ahead = kept
        await gateway.gateway.cleanup.sweep.once()
        assert (await shown(gateway, run))["data_removed"] is False
        if over is not None:
            world.clock.ahead = over
        else:  # without the annotation the installation's holds
            annotate(world, None)
            await known(gateway, None)
        await gateway.gateway.cleanup.sweep.once()
        assert (await shown(gateway, run))["data_removed"] is True


async def test_a_wrong_annotation_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    annotate(world, "30 days")
    async with world.gateway() as gateway:
        await known(gateway, "30 days")
    told = [each.getMessage() for each in caplog.records if RETENTION in each.getMessage()]
    assert told == [
        "Annotation mayfly.dev/retention of namespace team is '30 days', which is not a duration "
        'such as 30d or 12h, and not "forever". Nothing in it is removed until this is fixed.'
    ]


async def test_an_upload_goes_by_its_namespaces_retention(world: World) -> None:
    annotate(world, "1h")
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        await known(gateway, "1h")
        made = await caller.post("/v1/files", files={"content": ("a.txt", b"hello", "text/plain")})
        upload = made.json()
        assert upload["expires_at"] is not None
        world.clock.ahead = timedelta(hours=2)
        await gateway.gateway.cleanup.sweep.once()
        assert (await caller.get(f"/v1/files/{upload['id']}")).status_code == 404
        assert await anywhere(gateway, world, "a.txt") == []


async def test_an_unfinished_tree_keeps_all_that_is_in_it(world: World) -> None:
    root = world.claimed("root")
    async with world.gateway() as gateway:
        async with root.working(gateway, written=True) as agent:
            child = world.child(root)
            await child.until(lambda each: True)
            await whole(world, gateway, child)
            world.clock.ahead = 2 * DEFAULT
            await gateway.gateway.cleanup.sweep.once()
            assert (await shown(gateway, child))["output"][0] == SECRETIVE
            await agent.end()
        await gateway.closed(root.uid)
        # It goes as a whole: by the end of its last part.
        await gateway.gateway.cleanup.sweep.once()
        assert (await shown(gateway, child))["data_removed"] is False
        world.clock.ahead = 3 * DEFAULT + timedelta(hours=1)
        await gateway.gateway.cleanup.sweep.once()
        assert [(await shown(gateway, each))["data_removed"] for each in (root, child)] == [
            True,
            True,
        ]


async def test_a_file_that_an_unfinished_tree_names_stays_until_that_has_ended(
    world: World,
) -> None:
    maker = world.run("maker")
    async with world.gateway() as gateway:
        await whole(world, gateway, maker)
        async with gateway.gateway.process.database.read() as tx:
            (made,) = (await tx.execute(select(files.c.id))).scalars()
        reader = world.claimed("reader", inputJSON=json.dumps({"file": f"mayfly-file:{made}"}))
        async with reader.working(gateway, written=True) as agent:
            world.clock.ahead = DEFAULT + timedelta(minutes=1)
            await gateway.gateway.cleanup.sweep.once()
            assert (await shown(gateway, maker))["data_removed"] is True
            link = (await shown(gateway, reader))["input"]["file"].removeprefix(gateway.url)
            assert await get(gateway, link) == SECRETIVE
            await agent.end()
        await gateway.closed(reader.uid)
        await gateway.gateway.cleanup.sweep.once()
        await refused(gateway, link)
        assert await anywhere(gateway, world, SECRETIVE) == []


async def test_a_long_input_goes_with_its_run(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        made = await caller.post(PREDICTIONS, json={"input": {"text": SECRETIVE * 2000}})
        (body,) = world.cluster.every(RUNS)
        assert "inputFrom" in body["spec"]
        run = Run(world, body)
        await whole(world, gateway, run)
        world.clock.ahead = DEFAULT + timedelta(minutes=1)
        await gateway.gateway.cleanup.sweep.once()
        assert (await shown(gateway, run))["id"] == made.json()["id"]
        assert await anywhere(gateway, world, SECRETIVE) == []


@pytest.mark.parametrize("where", ["a transaction", "the bytes"])
async def test_a_removal_that_was_cut_off_is_brought_to_its_end(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In the middle of a tree: nothing is readable by half, and nothing is left behind."""
    monkeypatch.setattr("mayfly.gateway.cleanup.removal.PREDICTIONS", 1)
    root = world.claimed("root")
    async with world.gateway() as gateway:
        reference = await upload(gateway, root)
        async with root.working(gateway, written=True) as agent:
            tree = [root, *(world.child(root, name) for name in ("one", "two"))]
            await tree[-1].until(lambda each: True)
            for child in tree[1:]:
                await whole(world, gateway, child)
            await agent.say("log", offset=0, data=f"{SECRETIVE}\n")
            await agent.end(outputJSON=json.dumps([SECRETIVE, reference]), logBytes=21)
        await gateway.closed(root.uid)
        world.clock.ahead = DEFAULT + timedelta(minutes=1)
        with monkeypatch.context() as patched:
            if where == "a transaction":
                patched.setattr("mayfly.gateway.cleanup.removal.sources.forget", dies_at(2))
            else:
                patched.setattr("mayfly.gateway.cleanup.removal.Files.delete_doomed", dies_at(1))
            await gateway.gateway.cleanup.sweep.once()
        removed = [each for each in tree if (await shown(gateway, each))["data_removed"]]
        assert len(removed) == (1 if where == "a transaction" else 3)
        assert await count(gateway, doomed_files) == len(removed)
        for run in tree:
            seen = await shown(gateway, run)
            assert bool(seen["output"]) is bool(seen["logs"]) is (run not in removed)
            for part in ("logs", "source", "output"):
                path = f"/v1/predictions/{run.id}/{part}"
                await (refused if run in removed else get)(gateway, path)
    async with world.gateway() as gateway:
        await gateway.gateway.cleanup.sweep.once()
        assert all([(await shown(gateway, each))["data_removed"] for each in tree])
        assert await anywhere(gateway, world, SECRETIVE) == []
        for table in (doomed_files, files, archive.logs, archive.log_chunks, sources):
            assert await count(gateway, table) == 0, table.name
        assert await count(gateway, usage_records) == 3


def dies_at(call: int) -> Any:
    """In the place of a step: it is done until a call, at which the process ends."""
    calls = 0

    async def step(*_: Any, **__: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise RuntimeError("the process ends here")

    return step


async def test_the_source_is_for_those_who_may_read_the_prediction(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        one = f"/v1/predictions/{run.id}/source"
        async with run.working(gateway) as agent:
            async with gateway.client(run_tokens.mint(KEY, NAMESPACE, run.uid)) as code:
                assert (await code.get(one)).json()["files"] == {"main.py": SOURCE}
            await agent.end()
        world.cluster.tokens["stranger"] = ({"mayfly"}, {"username": "stranger", "groups": []})
        async with gateway.client("stranger") as stranger:
            assert (await stranger.get(one)).status_code == 404
        waiting = world.run("waiting")
        async for _ in looks():
            if gateway.gateway.cache.runs.get(waiting.uid):
                break
        assert "had no pod" in await refused(gateway, f"/v1/predictions/{waiting.id}/source")
