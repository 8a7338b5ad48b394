"""A runtime's packages, as pip reads them."""

from support.gateway.world import World

from mayfly.kube.kinds import RUNTIMES

PACKAGES = ["httpx==0.28.1", "replicate==1.1.0b2"]


def add(world: World, name: str, packages: list[str]) -> None:
    spec = {"image": f"x@sha256:{'a' * 64}", "packages": packages}
    world.cluster.add(RUNTIMES, {"metadata": {"name": name}, "spec": spec})


async def test_requirements_are_there_for_anyone(world: World) -> None:
    add(world, "own", PACKAGES)
    async with world.gateway() as gateway, gateway.client(token=None) as anyone:
        for base in ("/v1", ""):
            answer = await anyone.get(f"{base}/runtimes/own/requirements.txt")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.text == "httpx==0.28.1\nreplicate==1.1.0b2\n"


async def test_a_runtime_that_is_not_there_is_told_from_one_that_says_nothing(world: World) -> None:
    add(world, "silent", [])
    async with world.gateway() as gateway, gateway.client(token=None) as anyone:
        missing = await anyone.get("/v1/runtimes/none/requirements.txt")
        silent = await anyone.get("/v1/runtimes/silent/requirements.txt")
    assert (missing.status_code, silent.status_code) == (404, 404)
    assert missing.json()["detail"] == 'There is no PipelineRuntime "none".'
    words = 'PipelineRuntime "silent" does not list its packages (spec.packages).'
    assert silent.json()["detail"] == words


async def test_names_that_are_made_up_cost_the_api_server_one_read(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(token=None) as anyone:
        for number in range(20):
            await anyone.get(f"/v1/runtimes/made-up-{number}/requirements.txt")
    assert world.cluster.lists[RUNTIMES.plural] == 1
    assert world.cluster.reads[RUNTIMES.plural] == 0
