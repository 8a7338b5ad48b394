"""The examples whose results need more than a look at their reason."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import httpx
import yaml
from support.cluster.installation import Namespace, message, reason

EXAMPLES = Path(__file__).parents[2] / "examples"


def given(example: str) -> dict:
    return yaml.safe_load((EXAMPLES / example / "run.yaml").read_text())["spec"]["input"]


def create(namespace: Namespace, example: str) -> str:
    file = str(EXAMPLES / example / "run.yaml")
    made = namespace.kubectl("create", "-n", namespace.name, "-f", file, "-o", "name")
    return made.strip().split("/")[1]


def test_they_succeed(namespace):
    runs = {name: create(namespace, name) for name in ("video", "inputs", "streaming")}
    for name, run in runs.items():
        ended = namespace.finished(run, seconds=240)
        assert reason(ended) == "Succeeded", (name, message(ended), namespace.logs(run))
        assert ended["status"]["usage"]["activeMilliseconds"] > 0
    namespace.no_pods()

    url = namespace.prediction(runs["video"])["output"]
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    film = httpx.get(url, verify=context)
    assert film.status_code == 200
    assert film.headers["content-type"] == "video/mp4"
    # An MP4 begins with the length of its first box, and that box says what the file is.
    assert film.content[4:8] == b"ftyp"
    assert b"moov" in film.content
    assert "filmed 2 seconds of 320 x 160 pixels" in namespace.logs(runs["video"])

    told = given("inputs")
    got = namespace.prediction(runs["inputs"])["output"]
    assert got.pop("types") == {"whole": "int", "ratio": "float", "numbers": ["float", "float"]}
    assert got == told | {
        "flag": False,
        "file": "hello",
        "files": ["first", "second"],
        "title": None,
        "percent": 50,
        "code": "ab-12",
    }

    words = namespace.prediction(runs["streaming"])["output"]
    assert 1 < len(words) <= given("streaming")["words"]
    assert words[0] == "The"
    assert all(word[0] == " " and word.strip() in given("streaming")["text"] for word in words[1:])


def test_a_pipeline_shows_its_inputs(namespace):
    file = str(EXAMPLES / "inputs" / "pipeline.yaml")
    namespace.kubectl("apply", "-n", namespace.name, "-f", file)
    namespace.kubectl(
        "wait", "--for=condition=Ready", "mpl", "--all", "-n", namespace.name, "--timeout=60s"
    )
    run = namespace.create({"pipelineRef": {"name": "inputs"}, "input": given("inputs")})
    (version,) = namespace.kubectl.json("get", "mplv", "-n", namespace.name)["items"]
    text = str(version)
    for word in ("Percent", "What to paint with.", "^[a-z]+-[0-9]+$"):
        assert word in text
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    namespace.no_pods()
