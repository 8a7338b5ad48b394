"""`use(…, hint=…)`: the reference's example under mypy, with the client that runs have."""

import asyncio
import sys
from pathlib import Path

import pytest
from support.tools.clients import environment

REFERENCE = """
import replicate
from pathlib import Path

# Flux takes a required prompt string and optional image and seed.
def hint(*, prompt: str, image: Path | None = None, seed: int | None = None) -> str: ...

flux_dev = replicate.use("black-forest-labs/flux-dev", hint=hint)

def main() -> None:
    output1 = flux_dev() # will warn that `prompt` is missing
    output2 = flux_dev(prompt="str") # output2 will be typed as `str`
    reveal_type(output2)
"""

MORE = """
import replicate

def hint(*, prompt: str) -> str: ...

words = replicate.use("a/b", hint=hint, streaming=True)
later = replicate.use("a/b", hint=hint, use_async=True)

async def main() -> None:
    reveal_type(words(prompt="x"))
    reveal_type(words.create(prompt="x"))
    reveal_type(await later(prompt="x"))
    words(prompt=1)
    await later(prompt="x", more="y")
"""


async def checked(folder: Path, source: str) -> list[str]:
    """What mypy says of a file, a line a finding, without the place."""
    file = folder / "main.py"
    file.write_text(source)
    command = [sys.executable, "-m", "mypy", "--config-file=", "--python-version=3.12"]
    command += [f"--python-executable={environment('replicate-1.1', (3, 12))}"]
    # A hint has no body.
    command += ["--disable-error-code=empty-body", "--no-incremental", "--hide-error-codes"]
    process = await asyncio.create_subprocess_exec(
        *command, str(file), cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    lines = out.decode().splitlines()
    return [each.partition("main.py:")[2].partition(": ")[2] for each in lines if "main.py" in each]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            REFERENCE,
            [
                'error: Missing named argument "prompt" for "__call__" of "Function"',
                'note: Revealed type is "str"',
            ],
        ),
        (
            MORE,
            [
                'note: Revealed type is "typing.Iterator[str]"',
                'note: Revealed type is "replicate.use.Run[typing.Iterator[str]]"',
                'note: Revealed type is "str"',
                'error: Argument "prompt" to "__call__" of "Function" has incompatible type "int"; '
                'expected "str"',
                'error: Unexpected keyword argument "more" for "__call__" of "AsyncFunction"',
            ],
        ),
    ],
    ids=["reference", "streaming and async"],
)
async def test_a_hint_gives_a_model_its_types(tmp_path: Path, source: str, says: list[str]) -> None:
    assert [each for each in await checked(tmp_path, source) if "defined" not in each] == says
