"""The examples, as the README has people run them."""

from __future__ import annotations

import io
import os
import ssl
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.cluster.installation import Namespace, reason

ROOT = Path(__file__).parents[2]


def run_example(namespace: Namespace, example: str) -> str:
    """`kubectl create -f examples/<example>/run.yaml`; the run's name."""
    file = f"{ROOT}/examples/{example}/run.yaml"
    return (
        namespace.kubectl("create", "-n", namespace.name, "-f", file, "-o", "name")
        .strip()
        .split("/")[1]
    )


def test_image_in_image_out(namespace):
    run = run_example(namespace, "image")
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]
    assert ended["status"]["phase"] == "Succeeded"
    assert ended["status"]["usage"]["activeMilliseconds"] > 0
    output = namespace.prediction(run)["output"]
    url = (
        output if isinstance(output, str) else next(v for v in output.values() if "http" in str(v))
    )
    # The URL alone must do: clients fetch outputs without a token and follow no redirect.
    trusted = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    with httpx.Client(transport=httpx.HTTPTransport(verify=trusted, retries=8)) as stranger:
        answer = stranger.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.width > 0
    namespace.no_pods()


def test_text_in_json_out(namespace):
    run = run_example(namespace, "text")
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]
    assert isinstance(namespace.prediction(run)["output"], dict)


def test_scikit_learn(namespace):
    run = run_example(namespace, "learn")
    ended = namespace.finished(run)
    assert reason(ended) == "Succeeded", ended["status"]


def test_one_that_fails(namespace):
    run = run_example(namespace, "fails")
    ended = namespace.finished(run)
    assert reason(ended) == "UserError"
    assert ended["status"]["error"]
    logs = namespace.logs(run)
    assert "Traceback" in logs
    assert "main.py" in logs
    assert "mayfly_runtime" not in logs
    assert "importlib" not in logs
    namespace.no_pods()


def test_one_that_runs_too_long(namespace):
    run = run_example(namespace, "too-long")
    ended = namespace.finished(run)
    assert reason(ended) == "TimedOut"
    assert "5 s" in ended["status"]["error"]
    assert ended["status"]["usage"]["activeMilliseconds"] >= 5000
    namespace.no_pods()


def test_the_listing_reads_well(namespace):
    run = run_example(namespace, "text")
    namespace.finished(run)
    heading, line = namespace.kubectl("get", "prun", "-n", namespace.name).strip().splitlines()
    assert heading.split() == ["NAME", "PIPELINE", "PHASE", "REASON", "ACTIVE-MS", "AGE"]
    assert "Succeeded" in line


@pytest.mark.parametrize("example", ["image"])
def test_a_pipeline_by_name(namespace, example):
    file = f"{ROOT}/examples/{example}/pipeline.yaml"
    namespace.kubectl("apply", "-n", namespace.name, "-f", file)
    namespace.kubectl(
        "wait", "--for=condition=Ready", "mpl", "--all", "-n", namespace.name, "--timeout=60s"
    )
    listed = namespace.kubectl.json("get", "mplv", "-n", namespace.name)["items"]
    assert len(listed) == 1
