"""Predictions made by the API: PipelineRuns that say what was asked, once, by whoever may."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from support.gateway.world import BUILDER, KEY, NAMESPACE, Run, World
from support.servers.postgresql import BOTH
from support.waiting import looks

from mayfly.gateway.access import run_tokens
from mayfly.gateway.files.store import files
from mayfly.kube.errors import Refused, Unavailable
from mayfly.kube.kinds import PIPELINES, RUNS

pytestmark = BOTH

VERSION = "c" * 64


def runs(world: World) -> list[dict[str, Any]]:
    return world.cluster.every(RUNS)


@pytest.mark.parametrize("base", ["/v1", "", f"/ns/{NAMESPACE}/v1", f"/ns/{NAMESPACE}"])
@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/predictions", VERSION),
        ("/predictions", f"{NAMESPACE}/answer"),
        ("/predictions", f"{NAMESPACE}/answer:{VERSION}"),
        (f"/models/{NAMESPACE}/answer/predictions", None),
    ],
)
async def test_every_way_to_name_a_version(
    world: World, base: str, path: str, version: str | None
) -> None:
    body = {"input": {"q": 1}} | ({"version": version} if version else {})
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(base + path, json=body)
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        assert shown["status"] == "starting"
        assert shown["output"] is None
        assert shown["model"] == f"{NAMESPACE}/answer"
        assert shown["version"] == VERSION
        assert shown["input"] == {"q": 1}
        again = await caller.get(f"{base}/predictions/{shown['id']}")
        assert again.json()["id"] == shown["id"]
    (run,) = runs(world)
    assert run["spec"]["pipelineRef"] == {"name": "answer", "version": VERSION}
    assert run["metadata"]["labels"] == {
        "mayfly.dev/pipeline": "answer",
        "mayfly.dev/version": VERSION[:10],
        "mayfly.dev/depth": "1",
    }


async def test_the_inputs_text_is_kept_to_the_letter(world: World) -> None:
    text = '{"b": 1.0, "a": 12345678901234567890, "z": "\\u00e9\\ud83d\\ude00", "é": [1e2]}'
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/answer/predictions", content=f'{{"input":  {text} }}'
        )
        assert answer.status_code == 201, answer.text
        assert f'"input":{text}' in answer.text
    assert runs(world)[0]["spec"]["inputJSON"] == text


async def test_a_long_input_is_kept_as_a_file_and_reaches_the_pod(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        body = {"input": {"text": "é" * 3_000_000}}
        answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json=body)
        assert answer.status_code == 201, answer.text
        (body,) = runs(world)
        assert "inputJSON" not in body["spec"]
        run = Run(world, body)
        run.claim()
        async with run.dial(gateway) as agent:
            await agent.hello()
            work = await agent.expect("work")
            assert work["inputURL"] is True
            async with gateway.client(None) as pod:
                got = await pod.get("/agent/v1/input", headers=run.headers())
            assert json.loads(got.content) == {"text": "é" * 3_000_000}


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ("{", 422, "The body is invalid"),
        ("[]", 422, "it must be a JSON object"),
        ('{"input": {"a": NaN}}', 422, "NaN"),
        ('{"input": [1]}', 422, "input must be a JSON object"),
        ('{"webhook": "ftp://x"}', 422, "webhook must be an http"),
        ('{"webhook_events_filter": ["x"]}', 422, "webhook_events_filter must be a list of"),
        ('{"input": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}", 422, "nested too deep"),
        ('{"input": {"a": "' + "x" * (6 * 1024**2) + '"}}', 413, "6291456 bytes"),
        (b'{"input": {"a": "\xff"}}', 422, "UTF-8"),
    ],
)
async def test_a_wrong_body_is_told_in_words(
    world: World, content: str | bytes, status: int, words: str
) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", content=content)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert words in answer.json()["detail"]
    assert runs(world) == []


async def test_an_input_that_does_not_fit_names_its_fields(world: World) -> None:
    world.schema(
        {
            "type": "object",
            "required": ["width"],
            "properties": {"width": {"type": "integer", "minimum": 64}, "name": {"type": "string"}},
        }
    )
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/answer/predictions", json={"input": {"width": 3, "name": 4}}
        )
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"detail": "must be at least 64 (got 3)", "pointer": "/input/width"},
        {"detail": "must be a string, not a number", "pointer": "/input/name"},
    ]
    assert runs(world) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/team/nothing/predictions", {}),
        ("/v1/models/elsewhere/answer/predictions", {}),
        ("/v1/predictions", {"version": "d" * 64}),
        ("/v1/predictions", {"version": f"{NAMESPACE}/answer:{'d' * 64}"}),
    ],
)
async def test_what_is_not_there_is_a_404(world: World, path: str, body: Any) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(path, json=body)
    assert answer.status_code == 404, answer.text
    assert answer.json()["title"] == "Not found"


async def test_a_strangers_pipeline_looks_like_none(world: World) -> None:
    world.cluster.tokens["stranger"] = ({"mayfly"}, {"username": "stranger", "groups": []})
    async with world.gateway() as gateway, gateway.client("stranger") as caller:
        private = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
        missing = await caller.post(f"/v1/models/{NAMESPACE}/nothing/predictions", json={})
    assert private.status_code == missing.status_code == 404
    assert private.json()["detail"].replace("answer", "") == missing.json()["detail"].replace(
        "nothing", ""
    )


async def test_a_public_pipeline_runs_in_the_callers_namespace(world: World) -> None:
    world.cluster.edit(
        PIPELINES, NAMESPACE, "answer", lambda body: body["spec"].update(visibility="public")
    )
    user = "system:serviceaccount:other:builder"
    world.cluster.tokens["builder"] = ({"mayfly"}, {"username": user, "groups": []})
    world.cluster.allowed.add((user, "other"))
    async with world.gateway() as gateway, gateway.client("builder") as caller:
        answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
        assert answer.status_code == 201, answer.text
        assert answer.json()["namespace"] == "other"
        assert answer.json()["model"] == f"{NAMESPACE}/answer"
    (run,) = runs(world)
    assert run["metadata"]["namespace"] == "other"
    assert run["spec"]["pipelineRef"]["namespace"] == NAMESPACE


async def test_without_a_right_to_create_runs_there_is_none(world: World) -> None:
    user = "system:serviceaccount:other:builder"
    world.cluster.edit(
        PIPELINES, NAMESPACE, "answer", lambda body: body["spec"].update(visibility="public")
    )
    world.cluster.tokens["builder"] = ({"mayfly"}, {"username": user, "groups": []})
    async with world.gateway() as gateway, gateway.client("builder") as caller:
        answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 403
    assert answer.json()["detail"] == (
        f'"{user}" may not create pipelineruns in the namespace "other". Who administers it can '
        "allow that: kubectl create rolebinding other-builder-edit -n other --clusterrole=edit "
        "--serviceaccount=other:builder"
    )


async def test_an_expired_token_is_told_to_be_expired_and_nothing_else_is_told(
    world: World,
) -> None:
    world.cluster.expired.add("old")
    details = {}
    async with world.gateway() as gateway:
        for token in ("old", "unknown"):
            async with gateway.client(token) as caller:
                answer = await caller.get("/v1/account")
                assert answer.status_code == 401
                details[token] = answer.json()["detail"]
    assert details["old"].startswith("The token has expired. Make a new one: kubectl create token")
    assert details["unknown"] == "The token is not valid."


async def test_a_missing_model_says_who_one_is_and_where_one_acts(world: World) -> None:
    async with world.gateway() as gateway, gateway.client(BUILDER) as caller:
        answer = await caller.get("/v1/models/elsewhere/nothing")
    assert answer.status_code == 404
    user = world.cluster.tokens[BUILDER][1]["username"]
    assert answer.json()["detail"].endswith(
        f'You are "{user}", and act in the namespace "{NAMESPACE}".'
    )


# -- a run's own calls -----------------------------------------------------------------------


def run_token(run: Run) -> str:
    return run_tokens.mint(KEY, NAMESPACE, run.uid)


async def test_a_runs_call_is_its_child(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(run_token(parent)) as caller:
            answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
            assert answer.status_code == 201, answer.text
            shown = answer.json()
            assert (shown["parent"], shown["root"]) == (parent.id, parent.id)
            seen = await caller.get(f"/v1/predictions/{shown['id']}")
            assert seen.status_code == 200
    child = next(each for each in runs(world) if each["metadata"]["name"] != "parent")
    assert child["spec"]["parentRef"] == {"name": "parent", "uid": parent.uid}
    assert child["metadata"]["ownerReferences"][0]["uid"] == parent.uid
    assert child["metadata"]["labels"]["mayfly.dev/parent"] == parent.id
    assert child["metadata"]["labels"]["mayfly.dev/root"] == parent.id
    assert child["metadata"]["labels"]["mayfly.dev/depth"] == "2"


async def test_a_call_may_overtake_the_word_of_its_runs_start(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        async with gateway.client(run_token(parent)) as caller:
            call = asyncio.create_task(
                caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
            )
            await asyncio.sleep(0.2)
            assert not call.done()
            await agent.say("started", attempt=1, at="2026-01-01T00:00:00Z")
            assert (await call).status_code == 201


async def test_nothing_is_started_while_the_source_is_imported(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.accept()
        async with gateway.client(run_token(parent)) as caller:
            answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("Call models inside main()")
    assert len(runs(world)) == 1


async def test_a_cancelled_run_starts_nothing_more(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        parent.cancel()
        await agent.expect("cancel")
        async with gateway.client(run_token(parent)) as caller:
            answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 403
    assert "was cancelled" in answer.json()["detail"]


async def test_a_token_ends_with_its_run(world: World) -> None:
    parent = world.claimed("parent")
    async with world.gateway() as gateway:
        async with parent.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            await agent.say("result", **agent.result())
            await agent.expect("ack")
        async with gateway.client(run_token(parent)) as caller:
            answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The run of this token has ended."


async def test_level_251_is_refused_in_words(world: World) -> None:
    parent = world.run("parent")
    parent.claim()
    parent.edit(depth=250)
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(run_token(parent)) as caller:
            answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "Pipelines call pipelines at most 250 levels deep; this call would be level 251."
    )


# -- waits, repeats, options -----------------------------------------------------------------


async def finish_when_made(world: World, gateway: Any) -> None:
    run = Run(world, await world.cluster.first(RUNS))
    run.claim()
    async with run.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        await agent.say("result", **agent.result())
        await agent.expect("ack")


async def test_a_waiting_create_is_answered_with_the_end(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        pod = asyncio.create_task(finish_when_made(world, gateway))
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/answer/predictions", json={}, headers={"Prefer": "wait"}
        )
        await pod
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait"
    assert answer.json()["status"] == "succeeded"
    assert answer.json()["output"] == {"answer": 42.0}


async def test_a_wait_that_is_over_says_starting(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/answer/predictions", json={}, headers={"Prefer": "wait=1"}
        )
    assert answer.status_code == 201
    assert answer.json()["status"] == "starting"
    assert answer.json()["output"] is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"x-stainless-retry-count": "1"}),
        ({"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}),
    ],
)
async def test_a_create_that_comes_again_is_the_first(
    world: World, first: dict[str, str], second: dict[str, str]
) -> None:
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await caller.post(path, json={"input": {"a": 1}}, headers=first)
        again = await caller.post(path, json={"input": {"a": 1}}, headers=second)
        assert made.json()["id"] == again.json()["id"]
        assert len(runs(world)) == 1
        other = await caller.post(path, json={"input": {"a": 2}}, headers={"Idempotency-Key": "2"})
        assert other.json()["id"] != made.json()["id"]


def without_a_version(world: World) -> None:
    world.cluster.edit(
        PIPELINES, NAMESPACE, "answer", lambda body: body["status"].update(latestVersion="e" * 64)
    )


def with_another_input(world: World) -> None:
    world.schema({"type": "object", "required": ["b"], "properties": {"b": {"type": "integer"}}})


@pytest.mark.parametrize("change", [without_a_version, with_another_input])
async def test_a_create_that_comes_again_is_the_first_though_the_pipeline_changed(
    world: World, change: Callable[[World], None]
) -> None:
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    key = {"Idempotency-Key": "k"}
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await caller.post(path, json={}, headers=key)
        change(world)
        async for _ in looks():
            refused = await caller.post(path, json={})
            if refused.status_code != 201:
                break
        assert refused.status_code in {422, 503}
        again = await caller.post(path, json={}, headers=key)
        assert (again.status_code, again.json()["id"]) == (201, made.json()["id"])
        other = await caller.post(path, json={}, headers={"Idempotency-Key": "other"})
        assert other.status_code == refused.status_code


async def test_a_create_that_comes_again_is_the_first_though_the_pipeline_became_private(
    world: World,
) -> None:
    user = "system:serviceaccount:other:builder"
    world.cluster.tokens["builder"] = ({"mayfly"}, {"username": user, "groups": []})
    world.cluster.allowed |= {(user, "other"), (user, NAMESPACE)}
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    key = {"Idempotency-Key": "k"}

    def visible(visibility: str) -> None:
        world.cluster.edit(
            PIPELINES, NAMESPACE, "answer", lambda body: body["spec"].update(visibility=visibility)
        )

    visible("public")
    async with world.gateway() as gateway, gateway.client("builder") as caller:
        made = await caller.post(path, json={}, headers=key)
        assert made.status_code == 201, made.text
        visible("private")
        async for _ in looks():
            refused = await caller.post(path, json={})
            if refused.status_code != 201:
                break
        assert refused.status_code == 403
        assert refused.json()["detail"] == (
            f'Pipeline "{NAMESPACE}/answer" is private to its namespace, and the call comes from '
            f'"other". Call it in "{NAMESPACE}" (over HTTP: end the base URL with '
            f"/ns/{NAMESPACE}), or make it public (spec.visibility)."
        )
        again = await caller.post(path, json={}, headers=key)
        assert again.json()["id"] == made.json()["id"]


async def test_a_create_that_comes_again_keeps_a_long_input_once(world: World) -> None:
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    key = {"Idempotency-Key": "k"}
    async with world.gateway() as gateway, gateway.client() as caller:
        for _ in range(2):
            answer = await caller.post(path, json={"input": {"a": "x" * 20_000}}, headers=key)
            assert answer.status_code == 201, answer.text
        async with gateway.gateway.process.database.read() as tx:
            kept = (await tx.execute(select(files.c.id))).all()
    assert len(kept) == len(runs(world)) == 1


async def test_a_create_that_came_to_nothing_is_made_when_it_comes_again(world: World) -> None:
    refusals = iter([True])

    def refuse(verb: str, _body: Any) -> None:
        if verb == "POST" and next(refusals, False):
            raise Refused(403, "exceeded quota: runs")

    world.cluster.on_write = refuse
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    key = {"Idempotency-Key": "k"}
    async with world.gateway() as gateway, gateway.client() as caller:
        assert (await caller.post(path, json={}, headers=key)).status_code == 403
        made = await caller.post(path, json={}, headers=key)
        assert made.status_code == 201, made.text
        again = await caller.post(path, json={}, headers=key)
        assert again.json()["id"] == made.json()["id"]
    assert len(runs(world)) == 1


async def test_the_same_create_by_another_url_is_the_same(world: World) -> None:
    key = {"Idempotency-Key": "k"}
    async with world.gateway() as gateway, gateway.client() as caller:
        one, other = await asyncio.gather(
            caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={}, headers=key),
            caller.post("/predictions", json={"version": f"{NAMESPACE}/answer"}, headers=key),
        )
    assert one.json()["id"] == other.json()["id"]
    assert len(runs(world)) == 1


async def test_two_creates_without_a_key_are_two(world: World) -> None:
    path = f"/v1/models/{NAMESPACE}/answer/predictions"
    async with world.gateway() as gateway, gateway.client() as caller:
        made = await caller.post(path, json={})
        again = await caller.post(path, json={})
    assert made.json()["id"] != again.json()["id"]


async def test_an_answer_that_was_lost_makes_no_second_run(world: World) -> None:
    lost = iter([True])

    def lose(verb: str, _body: Any) -> None:
        if verb == "POST" and next(lost, False):
            raise Unavailable(0, "no answer")

    world.cluster.on_write = lose
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 201
    assert len(runs(world)) == 1


async def test_what_the_cluster_refuses_is_told(world: World) -> None:
    def refuse(verb: str, _body: Any) -> None:
        if verb == "POST":
            raise Refused(403, "exceeded quota: runs")

    world.cluster.on_write = refuse
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "The cluster refuses the run: exceeded quota: runs"


async def test_options_are_kept_on_the_object(world: World) -> None:
    body = {"webhook": "https://hooks.example/x", "webhook_events_filter": ["completed", "start"]}
    async with world.gateway() as gateway, gateway.client() as caller:
        answer = await caller.post(
            f"/v1/models/{NAMESPACE}/answer/predictions", json=body, headers={"Cancel-After": "1m"}
        )
        shown = (await caller.get(f"/v1/predictions/{answer.json()['id']}")).json()
    assert shown["webhook"] == "https://hooks.example/x"
    assert shown["webhook_events_filter"] == ["start", "completed"]
    assert shown["deadline"] > shown["created_at"]
    (run,) = runs(world)
    assert run["spec"]["webhook"] == {
        "url": "https://hooks.example/x",
        "events": ["start", "completed"],
    }
    assert run["metadata"]["annotations"]["mayfly.dev/cancel-after"] == shown["deadline"]


# -- lists, trees, cancels -------------------------------------------------------------------


async def test_lists_are_newest_first_in_pages(world: World) -> None:
    for number in range(120):
        world.run(f"run-{number:03}")
    async with world.gateway() as gateway, gateway.client() as caller:
        first = (await caller.get(f"/ns/{NAMESPACE}/v1/predictions")).json()
        assert len(first["results"]) == 100
        assert first["next"].startswith(f"{gateway.url}/ns/{NAMESPACE}/v1/predictions?cursor=")
        second = (await caller.get(first["next"])).json()
        assert second["next"] is None
        ids = [each["id"] for each in first["results"] + second["results"]]
        assert len(set(ids)) == 120
        made = [each["created_at"] for each in first["results"] + second["results"]]
        assert made == sorted(made, reverse=True)
        wrong = await caller.get(f"/ns/{NAMESPACE}/v1/predictions?cursor=nonsense")
        assert wrong.status_code == 422


async def test_a_run_lists_its_own_tree_alone(world: World) -> None:
    parent = world.claimed("parent")
    world.run("stranger")
    async with world.gateway() as gateway, parent.dial(gateway) as agent:
        await agent.hello()
        await agent.start()
        async with gateway.client(run_token(parent)) as caller:
            child = (
                await caller.post(f"/v1/models/{NAMESPACE}/answer/predictions", json={})
            ).json()
            listed = (await caller.get("/v1/predictions")).json()["results"]
            assert {each["id"] for each in listed} == {parent.id, child["id"]}
            tree = (await caller.get(f"/v1/predictions/{parent.id}/tree")).json()
            assert [each["id"] for each in tree["predictions"]] == [parent.id, child["id"]]
            assert tree["predictions"][1]["parent"] == parent.id


async def test_a_cancel_is_a_patch_and_answers_with_the_prediction(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway, gateway.client() as caller:
        shown = await caller.post(f"/v1/predictions/{run.id}/cancel")
        assert shown.status_code == 200
        assert shown.json()["id"] == run.id
    assert run.now["spec"]["cancel"] is True


async def test_a_run_cancels_what_is_below_it_and_nothing_else(world: World) -> None:
    root = world.claimed("root")
    async with world.gateway() as gateway, root.dial(gateway) as top:
        await top.hello()
        await top.start()
        caller_run, sibling = world.child(root, "caller"), world.child(root, "sibling")
        stranger = world.run("stranger")
        caller_run.claim()
        async with caller_run.dial(gateway) as agent:
            await agent.hello()
            await agent.start()
            child = world.child(caller_run, "own")
            child.claim()
            async with child.dial(gateway) as below:
                await below.hello()
                await below.start()
                grandchild = world.child(child, "deep")
                async with gateway.client(run_token(caller_run)) as caller:
                    for other, status in ((root, 403), (caller_run, 403), (sibling, 403)):
                        answer = await caller.post(f"/v1/predictions/{other.id}/cancel")
                        assert answer.status_code == status
                        assert "only what it has called itself" in answer.json()["detail"]
                    answer = await caller.post(f"/v1/predictions/{stranger.id}/cancel")
                    assert answer.status_code == 404
                    for own in (grandchild, child):
                        answer = await caller.post(f"/v1/predictions/{own.id}/cancel")
                        assert answer.status_code == 200, answer.text
                        assert own.now["spec"]["cancel"] is True
    for other in (root, caller_run, sibling, stranger):
        assert "cancel" not in other.now["spec"]
