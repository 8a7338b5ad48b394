"""Pipelines and models called from outside the cluster, by Replicate's own clients."""

from __future__ import annotations

import base64
import io
import json
import os
from dataclasses import dataclass

import pytest
from PIL import Image
from support.cluster import example_models
from support.cluster.example_models import Person
from support.cluster.installation import Namespace, message, reason
from support.tools.clients import Client, javascript_client, python_client
from support.waiting import eventually

pytestmark = pytest.mark.timeout(900)  # the first one may build the models' image

DESCRIBE = """
import replicate
from cog import Input

flux_dev = replicate.use("black-forest-labs/flux-dev")
claude = replicate.use("anthropic/claude-4-sonnet")

def main(prompt: str = Input(description="What to paint.")) -> str:
    images = flux_dev(prompt=prompt)
    return claude(prompt=prompt, image=images[0])
"""

TELL = """
import replicate
from cog import ConcatenateIterator

claude = replicate.use("anthropic/claude-4-sonnet", streaming=True)

def main(prompt: str) -> ConcatenateIterator[str]:
    for word in claude(prompt=prompt):
        print("passing on", word, flush=True)
        yield word
"""

ENLARGE = """
import replicate
from cog import Path

upscale = replicate.use("stability-ai/sd-xl-upscale")

def main(image: Path, scale: int = 2) -> Path:
    return upscale(image=image, scale=scale)
"""


@dataclass(frozen=True)
class Installed:
    """The cluster's gateway, as the clients' environments want it."""

    url: str


@pytest.fixture(scope="session")
def pipelines(models: Namespace) -> Namespace:
    """The namespace of the models, with pipelines that call them."""
    for name, source in (("describe", DESCRIBE), ("tell", TELL), ("enlarge", ENLARGE)):
        example_models.pipeline(models, name, source)
    return models


@pytest.fixture(params=["", "/ns/{namespace}"], ids=["plain", "namespace"])
def base(request: pytest.FixtureRequest, models: Namespace) -> str:
    """What follows the gateway's address in the base URL."""
    return str(request.param).format(namespace=models.name)


async def told(client: Client, person: Person, base: str, code: str, **extra: str) -> object:
    """The JSON value that a program prints."""
    url = os.environ["MAYFLY_URL"] + base
    trust = os.environ["SSL_CERT_FILE"]
    return await client.run(
        Installed(url), code, person.token, SSL_CERT_FILE=trust, NODE_EXTRA_CA_CERTS=trust, **extra
    )


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file to send: its path."""
    path = tmp_path_factory.mktemp("pictures") / "dog.png"
    Image.new("RGB", (11, 13), "brown").save(path)
    return str(path)


def size(encoded: object) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(str(encoded)))) as found:
        return found.size


SEEN = "You said: a cat I see an image of 64 by 64 pixels. "
EXPECTED = {
    "pipeline": SEEN,
    "model": "You said: to a model ",
    "polled": ["succeeded", SEEN],
    "pipeline streamed": "You said: one two ",
    "model streamed": "You said: three four ",
    "logs": "passing on You \npassing on said: \npassing on five \n",
    "missing": 404,
    "refused": 422,
    "failed": True,
}
SIZES = {"pipeline": (33, 39), "model": (22, 26)}


def check(shown: object) -> None:
    assert isinstance(shown, dict)
    files = {name: size(encoded) for name, encoded in shown.pop("files").items()}
    assert shown == EXPECTED
    assert files == SIZES


async def test_python_1_0(pipelines: Namespace, person: Person, base: str, picture: str) -> None:
    code = """
import base64, json, os, replicate
ns, dog = os.environ["NS"], os.environ["DOG"]
shown, files = {}, {}

def text(output):
    return output if isinstance(output, str) else "".join(output)

shown["pipeline"] = text(replicate.run(f"{ns}/describe", input={"prompt": "a cat"}))
shown["model"] = text(
    replicate.run("anthropic/claude-4-sonnet", input={"prompt": "to a model"})
)
polled = replicate.models.predictions.create(f"{ns}/describe", input={"prompt": "a cat"})
while polled.status not in ("succeeded", "failed", "canceled"):
    polled.reload()
shown["polled"] = [polled.status, polled.output]
for name, model, words in (
    ("pipeline streamed", f"{ns}/tell", "one two"),
    ("model streamed", "anthropic/claude-4-sonnet", "three four"),
):
    events = replicate.stream(model, input={"prompt": words})
    shown[name] = "".join(str(each) for each in events if each.event.value == "output")
told = replicate.models.predictions.create(f"{ns}/tell", input={"prompt": "five"})
told.wait()
shown["logs"] = told.logs
for name, model, scale in (
    ("pipeline", f"{ns}/enlarge", 3), ("model", "stability-ai/sd-xl-upscale", 2)
):
    with open(dog, "rb") as stream:
        output = replicate.run(model, input={"image": stream, "scale": scale})
    files[name] = base64.b64encode(output.read()).decode()
for name, model in (("missing", f"{ns}/nothing"), ("refused", f"{ns}/describe")):
    try:
        replicate.run(model, input={})
    except replicate.exceptions.ReplicateError as error:
        shown[name] = error.status
try:
    replicate.run(f"{ns}/fails", input={"why": "the sun"})
except replicate.exceptions.ModelError as error:
    shown["failed"] = "it fails: the sun" in str(error)
print(json.dumps({**shown, "files": files}))
"""
    client = python_client("replicate-1.0")
    check(await told(client, person, base, code, NS=pipelines.name, DOG=picture))


async def test_python_2_0(pipelines: Namespace, person: Person, base: str, picture: str) -> None:
    code = """
import base64, json, os, time, httpx, replicate
ns, dog = os.environ["NS"], os.environ["DOG"]
client = replicate.Replicate()
shown, files = {}, {}

def text(output):
    return output if isinstance(output, str) else "".join(output)

def create(name, **given):
    return client.models.predictions.create(model_owner=ns, model_name=name, input=given)

def ended(prediction):
    while prediction.status not in ("succeeded", "failed", "canceled"):
        time.sleep(0.2)
        prediction = client.predictions.get(prediction_id=prediction.id)
    return prediction

shown["pipeline"] = text(replicate.run(f"{ns}/describe", input={"prompt": "a cat"}))
shown["model"] = text(
    replicate.run("anthropic/claude-4-sonnet", input={"prompt": "to a model"})
)
polled = ended(create("describe", prompt="a cat"))
shown["polled"] = [polled.status, polled.output]
for name, model, words in (
    ("pipeline streamed", f"{ns}/tell", "one two"),
    ("model streamed", "anthropic/claude-4-sonnet", "three four"),
):
    shown[name] = "".join(str(each) for each in replicate.stream(model, input={"prompt": words}))
shown["logs"] = ended(create("tell", prompt="five")).logs
for name, model, scale in (
    ("pipeline", f"{ns}/enlarge", 3), ("model", "stability-ai/sd-xl-upscale", 2)
):
    with open(dog, "rb") as stream:
        output = replicate.run(model, input={"image": stream, "scale": scale})
    files[name] = base64.b64encode(output.read()).decode()
for name, model in (("missing", f"{ns}/nothing"), ("refused", f"{ns}/describe")):
    try:
        replicate.run(model, input={})
    except replicate.APIStatusError as error:
        shown[name] = error.status_code
try:
    replicate.run(f"{ns}/fails", input={"why": "the sun"})
except Exception as error:
    # The package has its class under no public name.
    shown["failed"] = type(error).__name__ == "ModelError" and "it fails: the sun" in str(error)
print(json.dumps({**shown, "files": files}))
"""
    client = python_client("replicate-2.0", base="/v1")
    check(await told(client, person, base, code, NS=pipelines.name, DOG=picture))


async def test_javascript(pipelines: Namespace, person: Person, base: str, picture: str) -> None:
    code = """
import { readFileSync } from "node:fs";
import Replicate from "replicate";
const replicate = new Replicate({ baseUrl: process.env.REPLICATE_BASE_URL });
const ns = process.env.NS;
const dog = new Blob([readFileSync(process.env.DOG)], { type: "image/png" });
const shown = {}, files = {};
const text = (output) => (typeof output === "string" ? output : output.join(""));

shown["pipeline"] = text(await replicate.run(`${ns}/describe`, { input: { prompt: "a cat" } }));
shown["model"] = text(
  await replicate.run("anthropic/claude-4-sonnet", { input: { prompt: "to a model" } })
);
let polled = await replicate.predictions.create({
  model: `${ns}/describe`, input: { prompt: "a cat" },
});
polled = await replicate.wait(polled);
shown["polled"] = [polled.status, polled.output];
for (const [name, model, words] of [
  ["pipeline streamed", `${ns}/tell`, "one two"],
  ["model streamed", "anthropic/claude-4-sonnet", "three four"],
]) {
  shown[name] = "";
  for await (const { event, data } of replicate.stream(model, { input: { prompt: words } })) {
    if (event === "output") shown[name] += data;
  }
}
const said = await replicate.predictions.create({
  model: `${ns}/tell`, input: { prompt: "five" },
});
shown["logs"] = (await replicate.wait(said)).logs;
for (const [name, model, scale] of [
  ["pipeline", `${ns}/enlarge`, 3], ["model", "stability-ai/sd-xl-upscale", 2],
]) {
  const output = await replicate.run(model, { input: { image: dog, scale } });
  files[name] = Buffer.from(await (await output.blob()).arrayBuffer()).toString("base64");
}
for (const [name, model] of [["missing", `${ns}/nothing`], ["refused", `${ns}/describe`]]) {
  try {
    await replicate.run(model, { input: {} });
  } catch (error) {
    shown[name] = error.response.status;
  }
}
try {
  await replicate.run(`${ns}/fails`, { input: { why: "the sun" } });
} catch (error) {
  shown["failed"] = error.message.includes("it fails: the sun");
}
console.log(JSON.stringify({ ...shown, files }));
"""
    client = javascript_client()
    check(await told(client, person, base, code, NS=pipelines.name, DOG=picture))


def test_a_pipeline_made_by_the_api_is_an_object_and_runs(models, person) -> None:
    source = 'def main(name: str) -> str:\n    print("greeting")\n    return f"Hello, {name}!"\n'
    body = {"owner": models.name, "name": "greeter", "visibility": "private", "hardware": "default"}
    made = person.request("POST", "/v1/models", {**body, "source": source})
    assert (made["owner"], made["name"]) == (models.name, "greeter")
    # kubectl sees it, ...
    seen = models.kubectl.json("get", "mpl", "greeter", "-n", models.name)
    assert seen["spec"]["source"] == {"inline": source}
    # ... runs it, ...
    eventually(
        lambda: (
            models.kubectl.json("get", "mpl", "greeter", "-n", models.name)
            .get("status", {})
            .get("latestVersion")
        )
    )
    run = models.create({"pipelineRef": {"name": "greeter"}, "input": {"name": "kubectl"}})
    ended = models.finished(run)
    assert reason(ended) == "Succeeded", message(ended)
    assert ended["status"]["output"] == "Hello, kubectl!"
    assert models.prediction(run)["model"] == f"{models.name}/greeter"
    # ... and sees the run that the API makes.
    called = person.create(f"{models.name}/greeter", name="HTTP")
    shown = person.ended(called["id"])
    assert (shown["status"], shown["output"], shown["logs"]) == (
        "succeeded",
        "Hello, HTTP!",
        "greeting\n",
    )
    (object_,) = [
        each
        for each in models.kubectl.json("get", "prun", "-n", models.name)["items"]
        if each["status"].get("id") == called["id"]
    ]
    assert object_["spec"]["pipelineRef"]["name"] == "greeter"
    assert json.loads(object_["spec"]["inputJSON"]) == {"name": "HTTP"}
    assert object_["metadata"]["labels"]["mayfly.dev/pipeline"] == "greeter"


def test_a_pipeline_made_by_kubectl_is_a_model_of_the_api(models, person) -> None:
    example_models.pipeline(models, "adder", "def main(a: int, b: int = 2) -> int: return a + b")
    shown = person.request("GET", f"/v1/models/{models.name}/adder")
    properties = shown["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]
    assert set(properties["properties"]) == {"a", "b"}
    version = shown["latest_version"]["id"]
    made = person.request("POST", "/v1/predictions", {"version": version, "input": {"a": 40}})
    assert person.ended(made["id"])["output"] == 42
