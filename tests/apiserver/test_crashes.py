"""The controller killed at each write of a run's life, and started again: nobody can tell.

A first pass, without a kill, shows which writes each life has. Then a life is lived once for each
of its writes and each edge of it: killed before the API server has the write, and killed once it
has it and before the controller knows. All these runs live at the same time, each in a namespace
of its own, so that each kill also meets the others wherever they happen to be.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from support.controller.lives import LIVES, Audience, Scene, differences, steps
from support.controller.relay import Edge, Relay, Write
from support.controller.stage import Held, Stage
from support.controller.world import Controllers

pytestmark = pytest.mark.timeout(600)  # many starts of a process, one after another


@pytest.fixture
async def stage(controllers, runtime, tmp_path) -> AsyncIterator[Stage]:
    async with Relay(controllers.plane, tmp_path / "kubeconfig").serving() as relay:
        yield Stage(controllers, relay)
        controllers.stop()


@pytest.mark.parametrize("edge", ["before", "after"])
async def test_killed_at_each_write_every_run_ends_as_if_nothing_had_happened(
    stage: Stage, cluster, edge: Edge
):
    audience = Audience(cluster)
    calm = await calm_lives(audience)
    struck: list[tuple[Scene, Scene, str]] = []
    for name, what in steps({name: stage.relay.done(s.namespace) for name, s in calm.items()}):
        scene = await LIVES[name].begin(cluster)
        stage.points[scene.namespace] = (what, edge)
        struck.append((scene, calm[name], f"{name}, killed {edge} {what}"))
    await audience.live([scene for scene, _, _ in struck])
    assert not stage.points, "every write was met"
    assert stage.kills > 0
    different = [each for case in struck for each in await differences(*case, stage.relay)]
    assert different == []


async def calm_lives(audience: Audience) -> dict[str, Scene]:
    """Every life once, without a disturbance."""
    scenes = {name: await life.begin(audience.cluster) for name, life in LIVES.items()}
    await audience.live(list(scenes.values()))
    for name, life in LIVES.items():
        assert scenes[name].ends == {life.end}
    return scenes


async def test_a_leader_that_wakes_up_after_another_has_acted_changes_nothing(
    controllers: Controllers, runtime, cluster, tmp_path
):
    """Its last writes arrive late, too: one of each kind was on its way when it stopped."""
    audience = Audience(cluster)
    async with (
        Relay(controllers.plane, tmp_path / "old").serving() as old,
        Relay(controllers.plane, tmp_path / "new").serving() as new,
    ):
        # As many workers as writes that are held, else those would hold up the others.
        config = {"sweepSeconds": 60, "workers": 64}
        paused = controllers.start(kubeconfig=old.kubeconfig, **config)
        calm = await calm_lives(audience)
        controllers.start(kubeconfig=new.kubeconfig, **config)
        held = Held(old)
        struck: list[tuple[Scene, Scene, str]] = []
        for name, what in steps({name: old.done(s.namespace) for name, s in calm.items()}):
            scene = await LIVES[name].begin(cluster)
            held.points[scene.namespace] = what
            struck.append((scene, calm[name], f"{name}, late: {what}"))
        scenes = [scene for scene, _, _ in struck]
        await audience.play(scenes, lambda: held.namespaces == held.points.keys())
        paused.send_signal(signal.SIGSTOP)

        async def acted(write: Write, edge: Edge) -> None:
            if edge == "after" and write.done and held.points.get(write.namespace) == write.what:
                held.release(write.namespace)
                paused.send_signal(signal.SIGCONT)

        new.strike = acted
        await audience.live(scenes)
        for namespace in held.points:
            held.release(namespace)
        paused.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(paused.wait, 60) == 0, "it saw that it leads no more"
        late = [w.what for w in held.writes if w.done and w.what != "PATCH networkpolicies"]
        assert late == [], "refused: the new leader had done it"
        different = [each for case in struck for each in await differences(*case, old, new)]
        controllers.stop()
    assert different == []
