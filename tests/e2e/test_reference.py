"""The examples of the reference page of pipeline models, and what else its words promise.

Each example stands here as it does there but for the edits that its test names. All have one in
common: the page has lost the indentation of its code.
"""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from support.cluster import example_models
from support.cluster.example_models import below, failed, ran
from support.cluster.installation import message, reason
from support.waiting import eventually

from localcluster.clone import ROOT

pytestmark = pytest.mark.timeout(900)  # the first one may build the models' image


def png(width: int = 30, height: int = 20) -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


# -- the examples --------------------------------------------------------------------------------


def test_running_pipeline_models(models):
    """Edits: none."""
    log = ran(
        models,
        """
        import replicate

        flux_dev = replicate.use("black-forest-labs/flux-dev")
        claude = replicate.use("anthropic/claude-4-sonnet")

        def main() -> None:
            images = flux_dev(prompt="a cat wearing an amusing hat")
            result = claude(prompt="describe this image for me", image=images[0])
            print(str(result)) # "This shows an image of a cat wearing a hat ..."
        """,
    )
    assert log == "You said: describe this image for me I see an image of 64 by 64 pixels. \n"


def test_hint(models):
    """Edits: the call without a prompt is in a `try`, since the model refuses it, as the page's
    words say that it needs one; output2 is printed. `contract/api/test_hint.py` is about types."""
    log = ran(
        models,
        """
        import replicate
        from pathlib import Path

        # Flux takes a required prompt string and optional image and seed.
        def hint(*, prompt: str, image: Path | None = None, seed: int | None = None) -> str: ...

        flux_dev = replicate.use("black-forest-labs/flux-dev", hint=hint)

        def main() -> None:
            try:
                output1 = flux_dev() # will warn that `prompt` is missing
            except replicate.exceptions.ReplicateError as error:
                print(error.status, error.detail)
            output2 = flux_dev(prompt="str") # output2 will be typed as `str`
            print(len(output2), output2[0].__fspath__().rpartition(".")[2])
        """,
    )
    refused, painted = log.splitlines()
    assert refused == "422 prompt: is required"
    assert painted == "1 png"


def test_passing_files_between_models(models):
    """Edits: the body is in main(); "dog.jpg" is an input of it, and a PNG, since the model here
    reads no other; the summary is printed."""
    log = ran(
        models,
        """
        import replicate
        from cog import Path

        upscale = replicate.use("stability-ai/sd-xl-upscale")
        caption = replicate.use("anthropic/claude-4-sonnet")

        def main(dog: Path) -> None:
            hi_res = upscale(image=dog)
            summary = caption(prompt="Describe the image", image=hi_res)
            print(summary)
        """,
        dog=data_url(png(30, 20)),
    )
    assert log == "You said: Describe the image I see an image of 60 by 40 pixels. \n"


FUNCTION = """
import time

def main(input1: str, input2: float) -> str:
    print("began", flush=True)
    time.sleep(input2)
    return input1.upper()
"""


def test_running_models_in_parallel(models):
    """Edits: the import, and main() around the body; my-name is the namespace; value1 and value2
    are inputs of main() that its pipelines take; the outputs are printed."""
    for name in ("function1", "function2"):
        example_models.pipeline(models, name, FUNCTION)
    run = models.run(
        f"""
import replicate

function1 = replicate.use("{models.name}/function1")
function2 = replicate.use("{models.name}/function2")

def main(value1: str, value2: float) -> None:
    run1 = function1.create(input1=value1, input2=value2)
    run2 = function2.create(input1=value1, input2=value2)
    output1 = run1.output()
    output2 = run2.output()
    print(output1, output2)
""",
        input={"value1": "both", "value2": 15.0},
    )
    ended = models.finished(run, seconds=240)
    assert reason(ended) == "Succeeded", message(ended)
    assert models.logs(run) == "BOTH BOTH\n"
    first, second = below(models, run)
    assert {first["model"], second["model"]} == {
        f"{models.name}/function1",
        f"{models.name}/function2",
    }
    # Each worked while the other one did.
    assert first["started_at"] < second["completed_at"]
    assert second["started_at"] < first["completed_at"]


def test_streaming_outputs(models):
    """Edits: the loop is in main()."""
    log = ran(
        models,
        """
        import replicate

        claude = replicate.use("anthropic/claude-4-sonnet", streaming=True)

        def main() -> None:
            output = claude(prompt="Summarize War and Peace in emojis")
            for chunk in output:
                print(chunk)
        """,
    )
    words = ["You", "said:", "Summarize", "War", "and", "Peace", "in", "emojis"]
    assert log == "".join(f"{word} \n" for word in words)


def test_async_predictions(models):
    """Edits: main() awaits the handler and prints what it returns."""
    run = models.run(
        """
import asyncio, replicate

flux = replicate.use("black-forest-labs/flux-dev", use_async=True)
claude = replicate.use("anthropic/claude-4-sonnet", use_async=True)

async def handler():
    img_task, text_task = await asyncio.gather(
        flux(prompt="astronaut playing guitar on Mars"),
        claude(prompt="Write a song about Mars")
    )
    return text_task

async def main() -> None:
    print(await handler())
""",
        input={},
    )
    ended = models.finished(run, seconds=240)
    assert reason(ended) == "Succeeded", models.logs(run)
    assert models.logs(run) == "You said: Write a song about Mars \n"
    flux, claude = sorted(below(models, run), key=lambda each: each["model"])
    assert len(flux["output"]) == 1
    # Both were asked for before either had ended.
    assert flux["created_at"] < claude["completed_at"]
    assert claude["created_at"] < flux["completed_at"]


def test_getting_logs(models):
    """Edits: what logs() and output() return is printed."""
    log = ran(
        models,
        """
        import replicate

        claude = replicate.use("anthropic/claude-4-sonnet")

        def main() -> None:
            prediction = claude.create(prompt="Give me a recipe for tasty smashed avocado on "
                                              "sourdough toast that could feed all of California.")
            print(repr(prediction.logs())) # get current logs (WIP)
            print(prediction.output()) # get the output
            print(repr(prediction.logs()))
        """,
    )
    current, output, whole = log.splitlines()
    assert current in {"''", "None", whole}
    assert output.startswith("You said: Give me a recipe for tasty smashed avocado on sourdough")
    assert whole == r"'writing 19 words\n'"


# -- what else they promise ----------------------------------------------------------------------


def test_a_chunk_is_there_long_before_the_model_is_done(models, person):
    """The model would write for hours: the run has read a chunk of it and is over, and it still
    writes."""
    run = models.run(
        """
import replicate

story = replicate.use(f"NAMESPACE/story", streaming=True)

def main() -> str:
    for chunk in story(words=10000, pause=2):
        print(chunk)
        return chunk
""".replace("NAMESPACE", models.name),
        input={},
    )
    ended = models.wait(run, seconds=240)
    child = below(models, run)[0]
    try:
        assert reason(ended) == "Succeeded", models.logs(run)
        assert models.logs(run).split() == [models.prediction(run)["output"].strip()]
        assert child["status"] == "processing"
    finally:
        person.cancel(child["id"])
    assert person.ended(child["id"])["status"] == "canceled"
    # Its bill is final once the last of its tree has ended.
    eventually(lambda: models.get(run)["status"]["usage"]["final"])


def test_logs_while_the_model_runs(models, person):
    run = models.run(
        """
import time, replicate

story = replicate.use("NAMESPACE/story")

def main() -> None:
    run = story.create(words=10000, pause=2)
    while not (log := run.logs()):
        time.sleep(0.2)
    print(log, end="")
""".replace("NAMESPACE", models.name),
        input={},
    )
    ended = models.wait(run, seconds=240)
    child = below(models, run)[0]
    try:
        assert reason(ended) == "Succeeded", models.logs(run)
        assert models.logs(run).startswith("word 0\n")
        assert child["status"] == "processing"
    finally:
        person.cancel(child["id"])


def test_outputs_are_local_files_and_local_files_are_inputs(models):
    """A file made by the pipeline goes in from its disk, and what comes out is opened there."""
    run = models.run(
        """
import io
import pathlib
import replicate
from PIL import Image

upscale = replicate.use("stability-ai/sd-xl-upscale")

def main() -> dict:
    dog = pathlib.Path("dog.png")
    Image.new("RGB", (5, 7), "green").save(dog)
    large = upscale(image=dog, scale=3)
    with Image.open(large) as picture:
        print("by path", picture.size)
    with open(dog, "rb") as stream:
        again = upscale(image=stream, scale=2)
    with open(again, "rb") as stream:
        print("by file", Image.open(io.BytesIO(stream.read())).size)
    return {"large": large, "both": [large, again], "name": pathlib.Path(again)}
""",
        input={},
    )
    ended = models.finished(run, seconds=240)
    assert reason(ended) == "Succeeded", f"{message(ended)} {models.logs(run)}"
    assert models.logs(run) == "by path (15, 21)\nby file (10, 14)\n"
    kept = ended["status"]["output"]
    assert kept["large"] == kept["both"][0]
    assert all(each.startswith("mayfly-file:") for each in (kept["large"], *kept["both"]))
    shown = models.prediction(run)["output"]
    for link, size in ((shown["large"], (15, 21)), (shown["name"], (10, 14))):
        # In the reader's own base, and for whoever has it.
        assert link.startswith(f"{str(models.api.base_url).rstrip('/')}/v1/files/")
        answer = models.api.get(link, headers={"Authorization": ""})
        assert answer.status_code == 200
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.size == size


def test_run_and_stream(models):
    log = ran(
        models,
        """
        import replicate

        def main() -> None:
            print("".join(replicate.run("anthropic/claude-4-sonnet", input={"prompt": "run"})))
            pictures = replicate.run("black-forest-labs/flux-dev", input={"prompt": "a square"})
            print(len(pictures), pictures[0].read()[:8])
            for event in replicate.stream(
                "anthropic/claude-4-sonnet", input={"prompt": "stream", "image": pictures[0].url}
            ):
                print(event.event.value, repr(str(event)))
        """,
    ).splitlines()
    assert log[0] == "You said: run "
    assert log[1] == r"1 b'\x89PNG\r\n\x1a\n'"
    said = ["You", "said:", "stream", "I", "see", "an", "image", "of", "64", "by", "64", "pixels."]
    events = [each for each in log[2:] if not each.startswith("logs ")]
    assert events == [f"output '{word} '" for word in said] + ["done ''"]


def test_a_child_pipeline_by_namespace_and_name(models):
    example_models.pipeline(
        models,
        "shouter",
        """
        from cog import ConcatenateIterator

        def main(text: str, times: int = 1) -> ConcatenateIterator[str]:
            for _ in range(times):
                print("shouting", flush=True)
                yield text.upper() + "!"
        """,
    )
    run = models.run(
        """
import replicate

shout = replicate.use("NAMESPACE/shouter")

def main() -> str:
    child = shout.create(text="hey", times=2)
    said = child.output()
    print(child.logs(), end="")
    return said
""".replace("NAMESPACE", models.name),
        input={},
    )
    ended = models.finished(run, seconds=240)
    assert reason(ended) == "Succeeded", models.logs(run)
    assert ended["status"]["output"] == "HEY!HEY!"
    assert models.logs(run) == "shouting\nshouting\n"
    (child,) = below(models, run)
    assert (child["depth"], child["status"]) == (2, "succeeded")
    (made,) = [
        each
        for each in models.kubectl.json("get", "prun", "-n", models.name)["items"]
        if each["status"].get("id") == child["id"]
    ]
    assert made["spec"]["parentRef"]["name"] == run


def test_an_unknown_model_is_named_in_the_runs_error(models):
    error, log = failed(
        models,
        """
        import replicate

        nothing = replicate.use("nobody/nothing")

        def main() -> None:
            nothing(prompt="?")
        """,
    )
    assert "nobody/nothing" in log
    assert "404" in log
    assert "nobody/nothing" in error


@pytest.mark.parametrize("call", ['f(why="the moon")', 'f.create(why="the moon").output()'])
def test_a_model_that_fails_is_a_model_error_of_the_run(models, call):
    error, log = failed(
        models,
        f"""
        import replicate

        f = replicate.use("{models.name}/fails")

        def main() -> None:
            print("calling")
            {call}
        """,
    )
    assert error.startswith(("replicate.exceptions.ModelError: ", "ModelError: "))
    assert "it fails: the moon" in error
    assert log.startswith("calling\n")
    assert call in log


def test_the_example_that_calls_models(models):
    file = f"{ROOT}/examples/calls/run.yaml"
    made = models.kubectl("create", "-n", models.name, "-f", file, "-o", "name").strip()
    run = made.split("/")[1]
    ended = models.finished(run, seconds=240)
    assert reason(ended) == "Succeeded", models.logs(run)
    words = "You said: a cat wearing an amusing hat I see an image of 256 by 256 pixels. "
    assert models.logs(run) == words
    output = models.prediction(run)["output"]
    assert output["words"] == words
    answer = models.api.get(output["picture"], headers={"Authorization": ""})
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (256, 256)
