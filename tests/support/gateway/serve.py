"""A gateway to look at in a browser: the real app over a cluster in memory, with runs in it.

    python -m support.gateway.serve --port 8800 --web web/dist

It listens on loopback, prints its address and tokens, and forgets everything when it ends. Runs
that are created over the API are played: some log lines, a few items, an output. Pipelines that are
pushed get a version with the schema of their source.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from support.gateway.player import Player, echo
from support.gateway.world import (
    BUILDER,
    DIGEST,
    NAMESPACE,
    READER,
    Agent,
    Run,
    Running,
    World,
    make_condition,
)
from websockets.exceptions import ConnectionClosed

from mayfly.api.v1alpha1.identity import run_id, version_name
from mayfly.api.v1alpha1.source import Source
from mayfly.kube.errors import KubeError
from mayfly.kube.kinds import NAMESPACES, PIPELINES, RUNS, VERSIONS
from mayfly_runtime.spec import check

Json = dict[str, Any]
STRANGER = "stranger-token"
"""Of somebody without any right."""

ADMIN = "admin-token"
"""Of somebody with every right in every namespace."""

OTHER = "research"
STEP_SECONDS = 0.4
"""Between two lines of a played run."""

INPUT: Json = {
    "type": "object",
    "required": ["prompt"],
    "properties": {
        "prompt": {
            "type": "string",
            "title": "Prompt",
            "description": "What to draw.",
            "x-order": 0,
        },
        "steps": {
            "type": "integer",
            "title": "Steps",
            "default": 8,
            "minimum": 1,
            "maximum": 50,
            "x-order": 1,
        },
        "strength": {
            "type": "number",
            "title": "Strength",
            "default": 0.5,
            "minimum": 0,
            "maximum": 1,
            "x-order": 2,
        },
        "style": {"allOf": [{"$ref": "#/components/schemas/style"}], "x-order": 3},
        "upscale": {"type": "boolean", "title": "Upscale", "default": False, "x-order": 4},
        "image": {
            "type": "string",
            "format": "uri",
            "title": "Image",
            "description": "An image to begin with.",
            "x-order": 5,
        },
        "images": {
            "type": "array",
            "items": {"type": "string", "format": "uri"},
            "title": "Images",
            "x-order": 6,
        },
        "api_key": {
            "type": "string",
            "format": "password",
            "title": "API key",
            "writeOnly": True,
            "x-cog-secret": True,
            "x-order": 7,
        },
    },
}
STYLE: Json = {
    "type": "string",
    "enum": ["photo", "drawing", "painting"],
    "title": "style",
    "description": "The style of the picture.",
    "default": "photo",
}
WORDS: Json = {
    "type": "array",
    "items": {"type": "string"},
    "x-cog-array-type": "iterator",
    "x-cog-array-display": "concatenate",
}
STORY = "Once upon a time a mayfly lived for one day , and it was enough .".split()  # noqa: SIM905
FAILURE = [
    "Loading the picture",
    "Step 1 of 8",
    "\x1b[33mwarning\x1b[0m: the picture has no colours",
    "Traceback (most recent call last):",
    '  File "main.py", line 12, in main',
    "    return draw(prompt)",
    "ValueError: the prompt is empty",
]


def furnish(world: World) -> None:
    """Add namespaces, people and pipelines to what the world has."""
    for name in (OTHER, "empty"):
        world.cluster.add(NAMESPACES, {"metadata": {"name": name}})
    world.cluster.tokens[STRANGER] = ({"mayfly"}, {"username": "stranger", "groups": []})
    world.cluster.tokens[ADMIN] = ({"mayfly"}, {"username": "admin", "groups": ["admins"]})
    for namespace in ("", NAMESPACE, OTHER, "empty"):
        world.cluster.allowed.add(("admin", namespace))
    pipeline(world, NAMESPACE, "draw", "def main(prompt: str) -> str: ...\n", INPUT, style=STYLE)
    prompt = {"prompt": {"type": "string", "title": "Prompt", "x-order": 0}}
    inputs = {"type": "object", "required": ["prompt"], "properties": prompt}
    pipeline(world, NAMESPACE, "story", "def main(prompt: str): ...\n", inputs, Output=WORDS)
    pipeline(world, OTHER, "study", "def main() -> None: ...\n", {"type": "object"})


def pipeline(
    world: World, namespace: str, name: str, text: str, inputs: Json, **schemas: Json
) -> None:
    """Create a Pipeline and its version, as the controller leaves them."""
    identity = (name.encode().hex() + "d" * 64)[:64]
    source = {"inline": text}
    world.cluster.add(
        PIPELINES,
        {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"source": source, "description": f"An example: {name}."},
            "status": {
                "observedGeneration": 1,
                "latestVersion": identity,
                "conditions": [make_condition("Ready", "True", "Ready")],
            },
        },
    )
    world.add_version(namespace, name, identity, source)

    def change(body: Json) -> None:
        body["spec"]["runtimeDigest"] = DIGEST
        body["spec"]["openapiSchema"]["components"]["schemas"] = {
            "Input": inputs,
            "Output": {"type": "string", "title": "Output"},
            **schemas,
        }

    world.cluster.edit(VERSIONS, namespace, f"{name}-{identity[:10]}", change)


async def play(world: World, gateway: Running) -> None:
    """Make the first runs: some that succeeded, one that failed, a tree, one that works on."""
    for number in range(3):
        await finished(world, gateway, f"answer-{number}", [f"Answering, {number}"])
    run = world.claimed("picture", **given("draw", {"prompt": "", "steps": 8}))
    async with run.working(gateway) as agent:
        await lines(agent, FAILURE)
        await agent.end(
            outcome="failed",
            reason="UserError",
            error="ValueError: the prompt is empty",
            outputJSON=None,
            logBytes=_bytes(FAILURE),
        )
    await tree(world, gateway)


async def finished(world: World, gateway: Running, name: str, texts: list[str]) -> None:
    """A run that succeeded, with these log lines."""
    run = world.claimed(name, inputJSON=json.dumps({"question": name, "tries": 3}))
    async with run.working(gateway) as agent:
        await lines(agent, texts)
        await agent.end(activeMs=3, logBytes=_bytes(texts))


async def tree(world: World, gateway: Running) -> None:
    """A run with three children, one of which failed, and a grandchild."""
    root = world.claimed("book", **given("story", {"prompt": "a whole book"}))
    async with root.working(gateway) as top:
        await lines(top, ["Writing three chapters"])
        middle = await child(world, gateway, root, "chapter-1", leave=True)
        await child(world, gateway, middle, "picture-1")
        for name, fails in (("chapter-2", False), ("chapter-3", True)):
            await child(world, gateway, root, name, fails=fails)
        await top.end(activeMs=5, outputJSON=json.dumps(["Three ", "chapters"]))


async def child(
    world: World,
    gateway: Running,
    parent: Run,
    name: str,
    *,
    fails: bool = False,
    leave: bool = False,
) -> Run:
    """A child run that ended, or, with `leave`, one that ends a little later."""
    run = world.child(parent, name, **given("story", {"prompt": name}))
    run.claim()
    if leave:
        ending = asyncio.create_task(_end_later(run, gateway))
        _ENDING.add(ending)
        ending.add_done_callback(_ENDING.discard)
        return run
    async with run.working(gateway) as agent:
        if fails:
            await agent.end(
                outcome="failed", reason="UserError", error="KeyError: 'hero'", outputJSON=None
            )
        else:
            await agent.end(outputJSON='["Once"]')
    return run


_ENDING: set[asyncio.Task[None]] = set()


async def _end_later(run: Run, gateway: Running) -> None:
    async with run.working(gateway) as agent:
        await asyncio.sleep(1)
        await agent.end(outputJSON='["Once upon a time"]')


def given(name: str, inputs: Json) -> Json:
    """The fields of a run's spec that call a pipeline."""
    return {"pipelineRef": {"name": name}, "inputJSON": json.dumps(inputs)}


async def lines(agent: Agent, texts: list[str], offset: int = 0) -> int:
    """Send log lines; the offset after them."""
    for text in texts:
        await agent.say("log", offset=offset, data=f"{text}\n")
        offset += len(f"{text}\n".encode())
    return offset


def _bytes(texts: list[str]) -> int:
    return sum(len(f"{each}\n".encode()) for each in texts)


# -- runs that are created over the API ----------------------------------------------------------


async def perform(world: World, gateway: Running) -> None:
    """Play every run that comes, like a controller and a pod of its own, until cancelled."""
    seen = {body["metadata"]["uid"] for body in world.cluster.every(RUNS)}
    player = Player(world, gateway, echo)
    async with asyncio.TaskGroup() as group:
        while True:
            for body in world.cluster.every(RUNS):
                metadata = body["metadata"]
                if metadata["uid"] not in seen and metadata["namespace"] == NAMESPACE:
                    seen.add(metadata["uid"])
                    group.create_task(_performed(world, gateway, body))
            for body in world.cluster.every(PIPELINES):
                status = body.get("status") or {}
                if status.get("observedGeneration") != body["metadata"]["generation"]:
                    _publish(world, player, body)
            await asyncio.sleep(0.1)


def _publish(world: World, player: Player, body: Json) -> None:
    """Make a version of a pipeline that was pushed; its schema is what the source says."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    identity = player.publish(body)
    if not identity:
        return
    files = Source.model_validate(body["spec"]["source"]).texts()
    asked = {"op": "schema", "files": files, "entrypoint": "main.py:main"}
    answer = check.answer(asked)
    if answer["ok"]:

        def change(version: Json) -> None:
            version["spec"]["openapiSchema"] = answer["schema"]

        world.cluster.edit(VERSIONS, namespace, version_name(name, identity), change)
        return
    words = answer["error"]["message"]
    broken = make_condition("Ready", "False", "InvalidSource") | {"message": words}
    world.cluster.edit(
        PIPELINES, namespace, name, lambda now: now["status"].update(conditions=[broken])
    )


async def _performed(world: World, gateway: Running, body: Json) -> None:
    try:
        run = _placed(Run(world, body), body, world)
        await asyncio.sleep(STEP_SECONDS)
        async with run.dial(gateway) as agent:
            await agent.hello()
            run.claim()
            work = await agent.start()
            await _act(run, agent, work)
    except (AssertionError, OSError, ConnectionClosed, KubeError) as error:
        # One run is no reason to end the server.
        print(f"a run was not played: {error!r}", flush=True)


def _placed(run: Run, body: Json, world: World) -> Run:
    """The run with its place in its tree, which the world's own children have already."""
    labels = body["metadata"].get("labels") or {}
    parent = (body["spec"].get("parentRef") or {}).get("uid")
    if parent:
        run.depth = int(labels.get("mayfly.dev/depth", "2"))
        root = labels.get("mayfly.dev/root")
        for each in world.cluster.every(RUNS):
            if run_id(each["metadata"]["uid"]) == root:
                run.root = {key: each["metadata"][key] for key in ("name", "uid")}
    return run


async def _act(run: Run, agent: Agent, work: Json) -> None:
    called = (run.now["spec"].get("pipelineRef") or {}).get("name", "")
    acting = asyncio.create_task(_say_lines(agent, items=called == "story"))
    watching = asyncio.create_task(_cancelled(run))
    await asyncio.wait({acting, watching}, return_when=asyncio.FIRST_COMPLETED)
    if acting.done():
        watching.cancel()
        output = json.dumps([f"{each} " for each in STORY]) if called == "story" else '"done"'
        await agent.end(outputJSON=output, activeMs=3, logBytes=acting.result())
        return
    acting.cancel()
    run.set_condition("CancelAccepted", "False", "ClaimsStopped")
    await agent.expect_last("cancel")
    await agent.end(outcome="canceled", reason="Canceled", outputJSON=None)


async def _say_lines(agent: Agent, *, items: bool) -> int:
    offset = 0
    for number, word in enumerate(STORY):
        offset = await lines(agent, [f"Step {number + 1} of {len(STORY)}"], offset)
        if items:
            await agent.say("output", index=number, value=f"{word} ")
        await asyncio.sleep(STEP_SECONDS)
    return offset


async def _cancelled(run: Run) -> None:
    while not run.now["spec"].get("cancel"):  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(0.1)


# -- the server ----------------------------------------------------------------------------------


@asynccontextmanager
async def serving(folder: Path, port: int) -> AsyncIterator[Running]:
    """A gateway with the first runs, which plays what is created."""
    world = World(folder)
    world.port = port
    furnish(world)
    async with world.gateway() as gateway:
        await play(world, gateway)
        performing = asyncio.create_task(perform(world, gateway))
        try:
            yield gateway
        finally:
            performing.cancel()
            with suppress(asyncio.CancelledError):
                await performing


async def main(port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="mayfly-serve-") as folder:
        async with serving(Path(folder), port) as gateway:
            print(f"{gateway.url}/ui/")
            print(f"  {READER}    may do everything in {NAMESPACE}")
            print(f"  {BUILDER}   the same, as a ServiceAccount of it")
            print(f"  {ADMIN}     may do everything everywhere")
            print(f"  {STRANGER}  may do nothing", flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8800, help="0 for any free one")
    parser.add_argument("--web", type=Path, help="the folder of the built pages")
    options = parser.parse_args()
    if options.web is not None:
        os.environ["MAYFLY_WEB"] = str(options.web.resolve())
    with suppress(KeyboardInterrupt):
        asyncio.run(main(options.port))
