"""Checks of sources and inputs: what a create would say, and nothing is made."""

from typing import Any

import pytest
from support.gateway.world import BUILDER, NAMESPACE, World

from mayfly.kube.kinds import PIPELINES, RUNS

GOOD = "def main(text: str) -> str:\n    return text\n"
INPUT = f"/v1/models/{NAMESPACE}/answer/check"


async def check(world: World, body: Any, path: str = "/v1/check") -> Any:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.mark.parametrize(
    "body",
    [
        {"source": GOOD},
        {"files": {"main.py": GOOD}},
        {"files": {"a/b.py": GOOD.replace("main", "other")}, "entrypoint": "a/b.py:other"},
    ],
)
async def test_a_good_source_has_its_schema(world: World, body: Any) -> None:
    found = await check(world, body)
    assert (found["valid"], found["errors"]) == (True, [])
    schemas = found["openapi_schema"]["components"]["schemas"]
    assert "text" in schemas["Input"]["properties"]
    assert len(world.cluster.every(PIPELINES)) == 1  # the world's own


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({"source": "def main(:"}, {"file": "main.py", "line": 1}, "syntax error"),
        ({"source": ""}, {"file": "main.py"}, "main"),
        (
            {"files": {"a/b~.py": "", "main.py": "x = 1\ndef main(a: Nothing): ..."}},
            None,
            "names in source.files",
        ),
        (
            {"files": {"main.py": "x = 1\ndef main(a: Nothing): ..."}},
            {"file": "main.py", "line": 2, "pointer": "/files/main.py"},
            "Nothing",
        ),
        ({"files": {"../x.py": GOOD}}, None, "names in source.files"),
        ({"files": {"main.py": GOOD, "b.py": "#" * 131_072}}, None, "131072 characters"),
        ({"source": "x = " + "(" * 5_000 + ")" * 5_000 + "\n" + GOOD}, {}, ""),
        ({"source": "x = '" + "a" * 100_000 + "'\n" + "-" * 20_000 + "1"}, {}, ""),
    ],
)
async def test_a_wrong_source_is_told_with_its_place(
    world: World, body: Any, place: dict[str, Any] | None, words: str
) -> None:
    found = await check(world, body)
    assert (found["valid"], found["openapi_schema"]) == (False, None)
    (error,) = found["errors"]
    assert words in error["detail"]
    assert error["pointer"].startswith(("/source", "/files"))
    if place is None:
        assert error.keys() == {"detail", "pointer"}
    else:
        assert place.items() <= error.items()


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"{", 422, ""),
        (b"{}", 422, "/source"),
        (b'{"source": 1}', 422, "/source"),
        (b'{"source": "", "files": {"main.py": ""}}', 422, "/files"),
        (b'{"source": "", "entrypoint": "x"}', 422, "/entrypoint"),
        (b'{"source": "' + b"a" * 131_073 + b'"}', 422, "/source"),
        (b'{"source": "' + b"a" * (1024 * 1024) + b'"}', 413, ""),
    ],
)
async def test_what_is_no_source_is_refused_as_a_create_refuses_it(
    world: World, body: bytes, status: int, pointer: str
) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        for path in ("/v1/check", "/v1/models"):
            answer = await caller.post(path, content=body)
            assert answer.status_code == status, (path, answer.text)
            if pointer and path == "/v1/check":
                assert answer.json()["errors"][0]["pointer"] == pointer


async def test_who_is_nobody_or_a_run_checks_no_source(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(None) as anybody:
        assert (await anybody.post("/v1/check", json={"source": GOOD})).status_code == 401
        assert (await anybody.post(INPUT, json={})).status_code == 401


NUMBER = {
    "type": "object",
    "properties": {"number": {"type": "integer", "maximum": 3}, "word": {"type": "string"}},
    "required": ["number"],
}


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({"number": 3}, []),
        ({"number": 4}, ["/input/number"]),
        ({"word": 1}, ["/input/number", "/input/word"]),
        ({}, ["/input/number"]),
        ([], ["/input"]),
        ("x", ["/input"]),
    ],
)
async def test_an_input_is_checked_like_that_of_a_create(
    world: World, given: Any, pointers: list[str]
) -> None:
    world.schema(NUMBER)
    found = await check(world, {"input": given}, INPUT)
    assert found["valid"] == (not pointers)
    assert sorted(each["pointer"] for each in found["errors"]) == pointers
    assert world.cluster.every(RUNS) == []
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.post(INPUT.replace("check", "predictions"), json={"input": given})
    assert answer.status_code == (422 if pointers else 201)
    if pointers:
        assert answer.json()["errors"] == found["errors"]


async def test_a_version_or_a_model_that_is_not_there_is_not_found(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        for path, body, status in (
            (INPUT, {"version": "f" * 64}, 404),
            (INPUT, {"version": "team/other"}, 422),
            (INPUT.replace("answer", "none"), {"input": []}, 404),
            (INPUT, {"version": 7}, 422),
        ):
            answer = await caller.post(path, json=body)
            assert answer.status_code == status, answer.text
