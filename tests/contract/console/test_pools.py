"""Runtimes with their packages and prices, and the pods that wait."""

from typing import Any

from support.gateway.world import BUILDER, NAMESPACE, READER, World, make_condition

from mayfly.kube.kinds import NAMESPACES, RUNTIMES


def add(world: World, name: str, status: Any = None, **spec: Any) -> None:
    body = {"metadata": {"name": name}, "spec": {"image": f"x@sha256:{'a' * 64}", **spec}}
    world.cluster.add(RUNTIMES, body | ({"status": status} if status else {}))


def label(world: World, namespace: str, runtime: str) -> None:
    def change(body: Any) -> None:
        body["metadata"]["labels"] = {"mayfly.dev/warm": runtime}

    world.cluster.edit(NAMESPACES, "", namespace, change)


async def test_a_runtime_tells_its_packages_size_and_prices(world: World) -> None:
    add(
        world,
        "own",
        packages=["httpx==0.28.1"],
        resources={"limits": {"cpu": "2", "memory": "4Gi"}},
        price=[{"meter": "predictSeconds", "unitPrice": "0.000025"}],
    )
    async with world.gateway() as gateway, gateway.client(READER) as caller:
        found = {each["name"]: each for each in (await caller.get("/v1/runtimes")).json()}
    assert found["own"] == {
        "name": "own",
        "python": "3.13",
        "packages": ["httpx==0.28.1"],
        "cpu": "2",
        "memory": "4Gi",
        "prices": [{"meter": "predictSeconds", "price": "0.000025", "currency": "USD"}],
        "default": False,
    }


async def test_a_pool_tells_what_waits_and_starts_are_counted(world: World) -> None:
    degraded = make_condition("Degraded", "True", "PodsFail") | {"message": "No place."}
    warm = {"waiting": 1, "booting": 2, "claimed": 3, "namespaces": 1}
    status = {"warm": warm, "conditions": [degraded]}
    add(world, "pooled", status, warm={"min": 2})
    label(world, NAMESPACE, "pooled")
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        async with run.working(gateway) as agent:
            await agent.end()
        found = (await caller.get("/v1/pools")).json()
    assert found["pools"] == [
        {
            "namespace": NAMESPACE,
            "namespaces": [NAMESPACE],
            "runtime": "pooled",
            "wanted": 2,
            "waiting": 1,
            "starting": 2,
            "claimed": 3,
            "problem": "No place.",
        }
    ]
    assert found["starts"]["count"] == 1
    assert found["starts"]["buckets"][-1] == {"le": None, "count": 1}
    assert (found["hits"], found["misses"]) == (None, None)


async def test_pools_of_others_are_not_told(world: World) -> None:
    add(world, "pooled", warm={"min": 2})
    label(world, NAMESPACE, "pooled")
    world.cluster.tokens["stranger"] = ({"mayfly"}, {"username": "stranger", "groups": []})
    async with world.gateway() as gateway, gateway.client("stranger") as caller:
        assert (await caller.get("/v1/pools")).json()["pools"] == []
        assert (await caller.get("/v1/runtimes")).status_code == 200
