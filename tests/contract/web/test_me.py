"""`GET /v1/me`: who one is, what one may do where, in a bounded number of reviews."""

import pytest
from support.gateway.world import BUILDER, KEY, NAMESPACE, READER, World

from mayfly.gateway.access import run_tokens, whoami
from mayfly.kube.kinds import NAMESPACES

ALL = dict.fromkeys(("read", "run", "cancel", "publish", "models", "correct"), True)
NONE = dict.fromkeys(ALL, False)
STRANGER = "stranger-token"
ADMIN = "admin-token"


async def me(world: World, token: str, path: str = "/v1/me") -> dict:
    async with world.gateway() as gateway, gateway.client(token) as caller:
        answer = await caller.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def person(world: World, token: str, name: str, *namespaces: str) -> None:
    world.cluster.tokens[token] = ({"mayfly"}, {"username": name, "groups": ["a", "b"]})
    for each in namespaces:
        world.cluster.allowed.add((name, each))


def namespaces(world: World, *names: str, **annotations: str) -> None:
    for name in names:
        world.cluster.add(NAMESPACES, {"metadata": {"name": name, "annotations": annotations}})


async def test_a_person_with_one_namespace(world: World) -> None:
    namespaces(world, "other", "kube-system")
    assert await me(world, READER) == {
        "name": "reader",
        "kind": "user",
        "groups": ["people"],
        "namespace": None,
        "namespaces": [{"name": NAMESPACE, "rights": ALL, "budget": None}],
        "all_namespaces": False,
        "home": NAMESPACE,
        "expires_at": None,
        "signed_in": "token",
        "version": (await me(world, READER))["version"],
        "currency": "USD",
        "warnings": [],
    }


async def test_nobody_gets_an_answer_without_a_token(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        for path in ("/v1/me", "/me", "/ns/team/v1/me"):
            assert (await anybody.get(path)).status_code == 401


async def test_a_person_without_rights(world: World) -> None:
    person(world, STRANGER, "stranger")
    shown = await me(world, STRANGER)
    assert (shown["namespaces"], shown["home"], shown["all_namespaces"]) == ([], None, False)
    named = await me(world, STRANGER, f"/ns/{NAMESPACE}/v1/me")
    assert named["namespaces"] == [{"name": NAMESPACE, "rights": NONE, "budget": None}]
    assert (named["namespace"], named["home"]) == (NAMESPACE, None)


async def test_a_service_account_is_at_home_in_its_namespace(world: World) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:builder"
    namespaces(world, "a-first", "b-second")
    world.cluster.allowed |= {(account, "a-first"), (account, "b-second")}
    shown = await me(world, BUILDER)
    assert (shown["kind"], shown["namespace"], shown["home"]) == (
        "service_account",
        NAMESPACE,
        NAMESPACE,
    )
    assert [each["name"] for each in shown["namespaces"]] == [NAMESPACE, "a-first", "b-second"]
    named = await me(world, BUILDER, "/ns/b-second/v1/me")
    assert [each["name"] for each in named["namespaces"]] == ["b-second", NAMESPACE, "a-first"]


@pytest.mark.parametrize(
    ("denied", "lacks"),
    [
        (("create", "pipelineruns"), "run"),
        (("patch", "pipelineruns"), "cancel"),
        (("create", "pipelines"), "publish"),
        (("create", "models"), "models"),
        (("update", "pipelineruns/status"), "correct"),
    ],
)
async def test_each_right_is_told_by_itself(world: World, denied: tuple, lacks: str) -> None:
    world.cluster.denied.add(("reader", *denied))
    shown = await me(world, READER)
    assert shown["namespaces"][0]["rights"] == {**ALL, lacks: False}


async def test_a_service_account_that_may_not_read_at_home_lands_where_it_may(
    world: World,
) -> None:
    account = f"system:serviceaccount:{NAMESPACE}:builder"
    world.cluster.allowed.discard((account, NAMESPACE))
    namespaces(world, "work")
    world.cluster.allowed.add((account, "work"))
    shown = await me(world, BUILDER)
    assert shown["home"] == "work"
    assert [(each["name"], each["rights"]) for each in shown["namespaces"]] == [
        (NAMESPACE, NONE),
        ("work", ALL),
    ]


async def test_who_may_everything_is_asked_about_no_namespace(world: World) -> None:
    person(world, ADMIN, "admin", "")
    namespaces(world, "kube-system", *(f"n{number:03}" for number in range(150)))
    asked = counted(world)
    shown = await me(world, ADMIN)
    assert shown["all_namespaces"] is True
    names = [each["name"] for each in shown["namespaces"]]
    assert (names[0], names[-1], len(names)) == ("n000", "kube-system", 152)
    assert shown["home"] == "n000"
    assert len(asked) == len(ALL)


def counted(world: World) -> list[dict]:
    asked: list[dict] = []
    review = world.cluster.subject_access_review

    async def counting(spec: dict) -> dict:
        asked.append(spec)
        return await review(spec)

    world.cluster.subject_access_review = counting
    return asked


async def test_reviews_are_bounded_and_what_was_left_off_is_said(world: World) -> None:
    many = [f"n{number:04}" for number in range(whoami.NAMESPACES + 50)]
    namespaces(world, *many)
    person(world, ADMIN, "many", *many)
    asked = counted(world)
    shown = await me(world, ADMIN)
    assert len(asked) <= len(ALL) + whoami.NAMESPACES + whoami.REVIEWS
    assert [each["name"] for each in shown["namespaces"]] == many[: whoami.REVIEWS // 5]
    left = len(many) + 1 - len(shown["namespaces"])
    assert shown["warnings"][0].startswith(f"{left} more namespaces were not looked at")
    last = await me(world, ADMIN, f"/ns/{many[-1]}/v1/me")
    assert last["namespaces"][0] == {"name": many[-1], "rights": ALL, "budget": None}


async def test_a_run_reads_and_calls_in_its_namespace(world: World) -> None:
    run = world.claimed()
    asked = counted(world)
    token = run_tokens.mint(KEY, NAMESPACE, run.uid)
    async with world.gateway() as gateway, run.working(gateway), gateway.client(token) as caller:
        shown = (await caller.get("/v1/me")).json()
        assert (await caller.get("/ns/other/v1/me")).status_code == 403
    assert (shown["kind"], shown["name"], shown["home"]) == ("run", run.name, NAMESPACE)
    rights = {**NONE, "read": True, "run": True, "cancel": True}
    assert shown["namespaces"] == [{"name": NAMESPACE, "rights": rights, "budget": None}]
    assert asked == []


async def test_a_budget_and_what_is_left_of_it(world: World) -> None:
    run = world.claimed()
    account = f"system:serviceaccount:{NAMESPACE}:builder"
    namespaces(world, "broken", **{"mayfly.dev/budget-monthly": "much"})
    world.cluster.allowed.add((account, "broken"))

    def budget(body: dict) -> None:
        body["metadata"]["annotations"] = {"mayfly.dev/budget-monthly": "12.50"}

    world.cluster.edit(NAMESPACES, "", NAMESPACE, budget)
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        async with run.working(gateway) as agent:
            await agent.end(activeMs=0)
        await gateway.closed(run.uid)
        shown = (await caller.get("/v1/me")).json()
    assert [each["budget"] for each in shown["namespaces"]] == [
        {"amount": "12.5", "spent": "0.01", "left": "12.49"},
        None,
    ]
    assert 'namespace "broken"' in shown["warnings"][0]


async def test_its_description_is_exact(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(READER) as caller:
        described = (await caller.get("/openapi.json")).json()
        shown = (await caller.get("/v1/me")).json()
    schemas = described["components"]["schemas"]
    assert set(schemas["Me"]["properties"]) == set(schemas["Me"]["required"]) == set(shown)
    assert set(schemas["Rights"]["required"]) == set(whoami.ASKED) == set(ALL)
    assert set(schemas["MyNamespace"]["required"]) == set(shown["namespaces"][0])
    answer = described["paths"]["/v1/me"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Me")
    assert "201" in described["paths"]["/v1/sign-in-links"]["post"]["responses"]
