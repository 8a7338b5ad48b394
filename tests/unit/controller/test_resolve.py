"""What a run's input comes to before any pod is used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.builders import run, runtime
from support.kube_memory import MemoryCluster

from mayfly.api.v1alpha1 import RootRef
from mayfly.api.v1alpha1.identity import run_id
from mayfly.controller.caches import Caches
from mayfly.controller.key import Key
from mayfly.controller.resolve import References, Resolver
from mayfly.reconcile.observed import Place, Refusal, Resolution, Target
from mayfly.source_check.checker import SourceChecker

ANY = "from typing import Any\ndef main(value: Any, words: list[str] = []): ...\n"
MATCHED = "from cog import Input\ndef main(value: str = Input(regex='^a+$')): ...\n"


@pytest.fixture(scope="module")
def sources() -> SourceChecker:
    return SourceChecker()


async def resolved(sources: SourceChecker, text: str = ANY, **spec: Any) -> Resolution:
    caches = Caches(runtimes={"default": runtime().body()})
    resolver = Resolver(MemoryCluster(), caches, sources, depth_limit=250)
    given = run(pipelineSpec={"source": {"inline": text}}, **spec)
    root = RootRef(name=given.metadata.name, uid=given.metadata.uid)
    place = Place(depth=1, root=root, root_id=run_id(given.metadata.uid), parent_id="")
    found = await resolver.resolve(Key("run", "team", "run"), given)
    return found.at(place) if isinstance(found, References) else found


def refusal(found: Resolution) -> tuple[str, str]:
    assert isinstance(found, Refusal), found
    return found.reason, found.message


async def test_an_input_is_measured_in_bytes_of_utf8(sources: SourceChecker) -> None:
    # 64 KiB of a letter of two bytes: as \u00e9 it would be 384 KiB.
    assert isinstance(await resolved(sources, input={"value": "é" * 65_000}), Target)
    assert refusal(await resolved(sources, input={"value": "é" * 65_537})) == (
        "InvalidInput",
        "spec.input is larger than 128 KiB; send larger input through the HTTP API",
    )


@pytest.mark.parametrize("text", [ANY, MATCHED], ids=["checked here", "checked by a subprocess"])
async def test_half_a_surrogate_pair_is_no_crash(sources: SourceChecker, text: str) -> None:
    for spec in ({"input": {"value": "\ud800"}}, {"inputJSON": r'{"value": "\ud800"}'}):
        found = await resolved(sources, text, **spec)
        if text is ANY:
            assert isinstance(found, Target)
        else:
            assert refusal(found)[1].startswith("value: must match ^a+$")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"value": 1', "spec.inputJSON: the input is not JSON: "),
        ('{"value": NaN}', "spec.inputJSON: "),
        ('{"value": 1e999}', "spec.inputJSON: "),
        ('{"value": ' + "[" * 60_000 + "]" * 60_000 + "}", "the input is nested too deeply"),
        ("[1]", "spec.inputJSON is not a JSON object: {…}"),
    ],
    ids=["broken", "NaN", "beyond a float", "deep", "no object"],
)
async def test_input_json_is_refused_in_words(
    sources: SourceChecker, text: str, words: str
) -> None:
    why, told = refusal(await resolved(sources, inputJSON=text))
    assert why == "InvalidInput"
    assert words in told


async def test_the_last_of_two_equal_keys_counts(sources: SourceChecker) -> None:
    twice = '{"value": 1, "words": [5], "words": ["five"]}'
    assert isinstance(await resolved(sources, inputJSON=twice), Target)
    turned = '{"value": 1, "words": ["five"], "words": [5]}'
    assert refusal(await resolved(sources, inputJSON=turned))[1].startswith("words[0]: ")


async def test_a_deep_input_is_no_crash(sources: SourceChecker) -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    assert isinstance(await resolved(sources, input={"value": deep}), Target)
