"""The developers' server: what there is to look at, and that it plays what is created."""

from pathlib import Path

from support.gateway.models import ended
from support.gateway.serve import ADMIN, serving
from support.gateway.world import NAMESPACE, READER
from support.waiting import looks


async def test_there_is_something_to_look_at(tmp_path: Path) -> None:
    async with serving(tmp_path, 0) as gateway, gateway.client(ADMIN) as caller:
        shown = (await caller.get("/v1/predictions")).json()["results"]
        assert {each["status"] for each in shown} >= {"succeeded", "failed"}
        failed = next(each for each in shown if each["model"] == f"{NAMESPACE}/draw")
        one = (await caller.get(f"/v1/predictions/{failed['id']}")).json()
        assert "ValueError: the prompt is empty" in one["logs"]
        assert (await caller.get("/v1/me")).json()["all_namespaces"] is True
        async with gateway.client(READER) as reader:
            pushed = {
                "owner": NAMESPACE,
                "name": "new",
                "source": "def main(word: str) -> str: ...\n",
            }
            assert (await reader.post("/v1/models", json=pushed)).status_code == 201
            path = f"/v1/models/{NAMESPACE}/new/predictions"
            async for _ in looks():
                wrong = await reader.post(path, json={"input": {}})
                if "word" in wrong.text:
                    break
            assert wrong.status_code == 422
            made = await reader.post(path, json={"input": {"word": "x"}})
            assert made.status_code == 201
            assert (await ended(reader, made.json()["id"]))["status"] == "succeeded"
