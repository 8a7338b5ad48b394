"""Reading predictions: who may, what they see, logs that are followed, files by link."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from support.gateway.world import KEY, NAMESPACE, Run, Running, World

from mayfly.gateway.access import run_tokens
from mayfly.gateway.lifecycle import archive


async def finish(run: Run, gateway: Running, **result: Any) -> None:
    async with run.working(gateway) as agent:
        await agent.say("result", **agent.result(**result))
        await agent.expect("ack")


@pytest.mark.parametrize("base", ["/v1", "", f"/ns/{NAMESPACE}/v1", f"/ns/{NAMESPACE}"])
async def test_a_prediction_as_clients_want_it(world: World, base: str) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        await finish(run, gateway)
        answer = await reader.get(f"{base}/predictions/{run.id}")
    assert answer.headers["content-type"] == "application/json"
    assert '"input":{"b": 1.0, "a": 12345678901234567890}' in answer.text
    shown = answer.json()
    prefix = f"{gateway.url}/ns/{NAMESPACE}" if base.startswith("/ns") else gateway.url
    assert shown["id"] == run.id
    assert shown["model"] == "team/answer"
    assert shown["version"] == "c" * 64
    assert shown["status"] == "succeeded"
    assert shown["output"] == {"answer": 42.0}
    assert shown["error"] is None
    assert shown["metrics"].keys() == {"predict_time", "total_time"}
    assert shown["created_at"].endswith("Z")
    assert shown["urls"]["get"] == f"{prefix}/v1/predictions/{run.id}"
    assert shown["urls"]["cancel"] == f"{prefix}/v1/predictions/{run.id}/cancel"
    assert (shown["namespace"], shown["name"], shown["depth"]) == (NAMESPACE, "run", 1)
    assert shown["cost"] is not None


@pytest.mark.parametrize("text", ['{"value": 1', '{"value": NaN}', "[" * 60_000 + "]" * 60_000])
async def test_an_input_that_is_no_json_does_not_break_the_answer(world: World, text: str) -> None:
    run = world.run(inputJSON=text)
    async with world.gateway() as gateway, gateway.client() as reader:
        before = await reader.get(f"/v1/predictions/{run.id}")
        run.end_by_controller("Refused")
        await gateway.closed(run.uid)
        after = await reader.get(f"/v1/predictions/{run.id}")
    for answer in (before, after):
        assert (answer.status_code, answer.json()["input"]) == (200, {})
    assert after.json()["error"] == "The pod went away."


async def test_links_are_in_the_base_that_the_proxy_names(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        headers = {"X-Forwarded-Host": "mayfly.example", "X-Forwarded-Proto": "https"}
        shown = (await reader.get(f"/v1/predictions/{run.id}", headers=headers)).json()
        assert shown["urls"]["get"] == f"https://mayfly.example/v1/predictions/{run.id}"
        headers = {"X-Forwarded-Host": 'evil"><script>', "X-Forwarded-Proto": "javascript"}
        shown = (await reader.get(f"/v1/predictions/{run.id}", headers=headers)).json()
        assert shown["urls"]["get"] == f"{gateway.url}/v1/predictions/{run.id}"


async def test_states_before_the_end(world: World) -> None:
    run = world.run()
    async with world.gateway() as gateway, gateway.client() as reader, run.dial(gateway) as agent:
        await agent.hello()
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert (shown["status"], shown["started_at"], shown["output"]) == ("starting", None, None)
        run.claim()
        await agent.start()
        await agent.say("output", index=0, value="first")
        await agent.say("log", offset=0, data="line\n")
        await agent.expect("logack")
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert shown["status"] == "processing"
        assert shown["started_at"] is not None
        assert shown["completed_at"] is None
        assert shown["output"] == ["first"]
        assert shown["logs"] == "line\n"
        assert shown["metrics"] == {}


async def test_finished_and_deleted_runs_come_from_sql(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        await finish(run, gateway)
        run.delete()
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert shown["status"] == "succeeded"
        assert shown["output"] == {"answer": 42.0}


async def test_a_finished_run_that_sql_has_lost_comes_from_the_api_server(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        await finish(run, gateway)
    (world.folder / "mayfly.db").rename(world.folder / "lost.db")
    async with world.gateway() as gateway, gateway.client() as reader:
        shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        assert shown["status"] == "succeeded"
        assert shown["output"] == {"answer": 42}


async def test_who_may_read(world: World) -> None:
    run = world.claimed()
    stranger = ({"mayfly"}, {"username": "stranger"})
    world.cluster.tokens["stranger-token"] = stranger
    world.cluster.tokens["kubectl-token"] = ({""}, {"username": "reader"})
    path = f"/v1/predictions/{run.id}"
    async with world.gateway() as gateway, gateway.client(None) as client:

        async def get(path: str, token: str | None, scheme: str = "Bearer") -> Any:
            headers = {"Authorization": f"{scheme} {token}"} if token else {}
            return await client.get(path, headers=headers)

        assert (await get(path, None)).status_code == 401
        assert (await get(path, "nobody")).status_code == 401
        assert (await get(path, run.pod_token)).status_code == 401
        assert (await get(path, "reader-token")).status_code == 200
        assert (await get(path, "reader-token", "Token")).status_code == 200
        assert (await get(path, "kubectl-token")).status_code == 200
        hidden = await get(path, "stranger-token")
        unknown = await get("/v1/predictions/" + "0" * 26, "stranger-token")
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.json() == {**unknown.json(), "detail": hidden.json()["detail"]}
        assert hidden.json().keys() == {"title", "detail", "status", "type"}
        assert (await get(f"/ns/{NAMESPACE}{path}", "stranger-token")).status_code == 403
        world.cluster.allowed.add(("reader", "elsewhere"))
        assert (await get(f"/ns/elsewhere{path}", "reader-token")).status_code == 404


async def test_reviews_are_kept_for_a_moment(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, gateway.client() as reader:
        for _ in range(5):
            assert (await reader.get(f"/v1/predictions/{run.id}")).status_code == 200
    assert world.cluster.reviews == 1


async def test_a_runs_token_reads_its_tree_while_it_lives(world: World) -> None:
    run, other = world.claimed(), world.claimed("other")
    token = run_tokens.mint(KEY, NAMESPACE, run.uid)
    async with world.gateway() as gateway, gateway.client(token) as client:
        await gateway.gateway.cache.runs.synced.wait()
        assert (await client.get(f"/v1/predictions/{run.id}")).status_code == 200
        assert (await client.get(f"/v1/predictions/{other.id}")).status_code == 404
        await finish(run, gateway)
        assert (await client.get(f"/v1/predictions/{run.id}")).status_code == 401
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    async with world.gateway() as gateway, gateway.client(forged) as client:
        assert (await client.get(f"/v1/predictions/{run.id}")).status_code == 401


async def test_a_followed_log_comes_as_it_is_written_and_ends_with_the_run(world: World) -> None:
    run = world.claimed()
    async with (
        world.gateway() as gateway,
        gateway.client() as reader,
        run.working(gateway) as agent,
    ):
        await agent.say("log", offset=0, data="one\n")
        await agent.expect("logack")
        path = f"/v1/predictions/{run.id}/logs?follow=true"
        async with reader.stream("GET", path) as answer:
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            pieces = answer.aiter_text()
            assert await anext(pieces) == "one\n"
            await agent.say("log", offset=4, data="two\n")
            assert await anext(pieces) == "two\n"
            await agent.say("result", **agent.result())
            assert "".join([piece async for piece in pieces]) == ""


async def test_a_followed_log_ends_with_the_gateway(world: World) -> None:
    run = world.claimed()
    async with world.gateway() as gateway:
        client = gateway.client()
        async with run.working(gateway) as agent:
            await agent.say("log", offset=0, data="one\n")
            await agent.expect("logack")
        request = client.build_request("GET", f"/v1/predictions/{run.id}/logs?follow=true")
        answer = await client.send(request, stream=True)
        pieces = answer.aiter_text()
        assert await anext(pieces) == "one\n"
    assert "".join([piece async for piece in pieces]) == ""
    await answer.aclose()
    await client.aclose()


async def upload(run: Run, gateway: Running, name: str, body: Any, **headers: str) -> Any:
    async with gateway.client(None) as client:
        return await client.put(
            f"/agent/v1/files/{name}", headers={**run.headers(), **headers}, content=body
        )


async def test_a_file_of_an_output_is_a_link_that_anyone_may_follow(world: World) -> None:
    run = world.claimed()
    content = bytes(range(256)) * 5000
    async with world.gateway() as gateway, run.working(gateway) as agent:
        answer = await upload(
            run, gateway, "..%2Fb%C3%B6se%20%22name.html", content, **{"Content-Type": "text/html"}
        )
        assert answer.status_code == 201
        stored = answer.json()
        assert stored["size"] == len(content)
        output = f'{{"mayfly-file:x":1.0,"file":"{stored["id"]}","word":"a {stored["id"]}"}}'
        await agent.say("result", **agent.result(outputJSON=output))
        await agent.expect("ack")
        assert run.status["output"]["file"] == stored["id"]
        async with gateway.client() as reader:
            text = (await reader.get(f"/v1/predictions/{run.id}")).text
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
        link = shown["output"]["file"]
        assert link.startswith(f"{gateway.url}/v1/files/")
        assert shown["output"]["word"] == f"a {stored['id']}"
        assert '"mayfly-file:x":1.0,' in text
        async with gateway.client(None) as anyone:
            got = await anyone.get(link)
            assert got.status_code == 200
            assert got.content == content
            assert got.headers["content-disposition"].startswith("attachment;")
            assert "%22name.html" in got.headers["content-disposition"]
            assert got.headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in got.headers["content-security-policy"]
            for wrong in (
                link.replace("signature=", "signature=0"),
                link.replace("expires=", "expires=9"),
                link.partition("?")[0],
                link.replace("/v1/files/", "/v1/files/0", 1),
            ):
                refused = await anyone.get(wrong)
                assert refused.status_code == 403
                assert refused.json()["status"] == 403
            world.clock.ahead = timedelta(hours=26)
            assert (await anyone.get(link)).status_code == 403


async def test_a_childs_file_in_an_output_is_a_link_of_the_readers_own(world: World) -> None:
    """A run has its children's files as links for pods, which expire and lead nowhere outside."""
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        mine = await gateway.gateway.files.store.put_text("mine", namespace=NAMESPACE)
        theirs = await gateway.gateway.files.store.put_text("theirs", namespace="other")
        inside = world.config().internal_url
        links = [
            f"{inside}/v1/files/{each.id}/download/a.png?expires=1&signature=2"
            for each in (mine, theirs)
        ]
        foreign = f"https://elsewhere.example/v1/files/{mine.id}"
        for index, item in enumerate(links):
            await agent.say("output", index=index, value=item)
        given = {"picture": links[0], "others": [links[1], foreign]}
        await agent.say("result", **agent.result(outputJSON=json.dumps(given)))
        await agent.expect("ack")
        assert run.status["output"] == {
            "picture": mine.reference,
            "others": [links[1], foreign],
        }
        async with gateway.gateway.process.database.read() as tx:
            assert json.loads(await archive.items(tx, run.uid) or "") == [mine.reference, links[1]]
        async with gateway.client() as reader:
            shown = (await reader.get(f"/v1/predictions/{run.id}")).json()
            assert shown["output"]["picture"].startswith(f"{gateway.url}/v1/files/{mine.id}/")
            assert shown["output"]["others"] == [links[1], foreign]
            got = await reader.get(shown["output"]["picture"], headers={"Authorization": ""})
            assert got.text == "mine"


@pytest.mark.parametrize(("plain", "written"), [("/", "\\/"), ("/files/", "/\\u0066iles/")])
async def test_a_childs_file_in_an_output_is_found_however_its_link_is_escaped(
    world: World, plain: str, written: str
) -> None:
    run = world.claimed()
    async with world.gateway() as gateway, run.working(gateway) as agent:
        file = await gateway.gateway.files.store.put_text("mine", namespace=NAMESPACE)
        link = json.dumps(f"{world.config().internal_url}/v1/files/{file.id}/download/a.png")
        await agent.say("output", index=0, itemsJSON=[link.replace(plain, written)])
        await agent.end(outputJSON=f'{{"picture": {link.replace(plain, written)}}}')
        assert run.status["output"] == {"picture": file.reference}
        async with gateway.gateway.process.database.read() as tx:
            assert await archive.items(tx, run.uid) == f'["{file.reference}"]'


async def test_a_file_beyond_the_limit_leaves_nothing_behind(world: World) -> None:
    world.limits["fileBytes"] = 1000
    world.limits["filesBytes"] = 1500
    run = world.claimed()

    async def unannounced() -> Any:
        for _ in range(11):
            yield b"x" * 100

    async with world.gateway() as gateway, run.working(gateway):
        assert (await upload(run, gateway, "a", b"x" * 1001)).status_code == 413
        assert (await upload(run, gateway, "a", unannounced())).status_code == 413
        assert (await upload(run, gateway, "a", b"x" * 1000)).status_code == 201
        assert (await upload(run, gateway, "b", b"x" * 501)).status_code == 413
        both = await asyncio.gather(
            upload(run, gateway, "c", b"x" * 400), upload(run, gateway, "d", b"x" * 400)
        )
        assert sorted(each.status_code for each in both) in ([201, 413], [413, 413])
        kept = [each for each in (world.folder / "files").rglob("*") if each.is_file()]
        assert sum(each.stat().st_size for each in kept) <= 1500


async def test_an_agent_reads_its_input_files_and_no_others(world: World) -> None:
    first = world.claimed("first")
    async with world.gateway() as gateway:
        async with first.working(gateway):
            named = (await upload(first, gateway, "in.txt", b"named")).json()["id"]
            other = (await upload(first, gateway, "x.txt", b"other")).json()["id"]
        second = world.claimed("second", inputJSON=f'{{"file": "{named}"}}')
        async with second.working(gateway), gateway.client(None) as client:
            path = "/agent/v1/files/"
            assert (await client.get(path + named, headers=second.headers())).content == b"named"
            assert (await client.get(path + other, headers=second.headers())).status_code == 404
            assert (await client.get(path + named)).status_code == 401


async def test_a_large_input_is_fetched(world: World) -> None:
    first = world.claimed("first")
    async with world.gateway() as gateway:
        async with first.working(gateway):
            stored = (await upload(first, gateway, "input.json", b'{"n": 1.0}')).json()
        source = {"file": stored["id"], "sha256": stored["sha256"]}
        second = world.run("second")

        def change(body: dict) -> None:
            del body["spec"]["inputJSON"]
            body["spec"]["inputFrom"] = source

        from mayfly.kube.kinds import RUNS

        world.cluster.edit(RUNS, NAMESPACE, "second", change)
        second.claim()
        async with second.dial(gateway) as agent, gateway.client(None) as client:
            await agent.hello()
            work = await agent.accept()
            assert work["inputURL"] is True
            assert "inputJSON" not in work
            answer = await client.get("/agent/v1/input", headers=second.headers())
            assert answer.content == b'{"n": 1.0}'
        async with gateway.client() as reader:
            text = (await reader.get(f"/v1/predictions/{second.id}")).text
            assert '"input":{"n": 1.0}' in text


async def test_probes_and_errors(world: World) -> None:
    async with world.gateway() as gateway, gateway.client() as reader:
        await gateway.gateway.cache.runs.synced.wait()
        assert (await reader.get("/healthz")).status_code == 200
        assert (await reader.get("/readyz")).status_code == 200
        answer = await reader.get("/v1/nothing")
        assert answer.status_code == 404
        assert answer.json()["status"] == 404
        assert answer.headers["content-type"] == "application/problem+json"
