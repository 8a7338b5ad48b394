"""Secrets in the pod: in the environment and in the input, and in nothing that the agent tells."""

import json

import pytest
from contract.agent.messages import work

KEY = "hunter2-é"


async def test_variables_are_there_before_the_source_is_imported(run):
    ended = await run(
        """
        import os
        AT_IMPORT = os.environ["API_KEY"]
        def main() -> list:
            return [len(AT_IMPORT), os.environ["API_KEY"] == AT_IMPORT, os.environ["OTHER"]]
        """,
        secrets={"API_KEY": KEY, "OTHER": "x"},
    )
    assert ended.output == [len(KEY), True, "x"]


async def test_the_runs_token_is_its_own(run):
    ended = await run(
        "import os\ndef main() -> str: return os.environ['REPLICATE_API_TOKEN']",
        secrets={"REPLICATE_API_TOKEN": "another"},
    )
    assert ended.output == "run-token"


async def test_a_secret_input_is_a_secret(run):
    ended = await run(
        """
        from cog import Secret
        def main(key: Secret, more: list[Secret], none: Secret | None = None) -> list:
            print(key, repr(key), more)
            return [type(key).__name__, len(key.get_secret_value()),
                    [len(each.get_secret_value()) for each in more], none]
        """,
        {"key": KEY, "more": ["first", "second"]},
    )
    assert ended.output == ["Secret", len(KEY), [5, 6], None]
    assert KEY not in ended.log
    assert "**********" in ended.log


@pytest.mark.parametrize("where", ["variable", "input"])
async def test_what_is_printed_is_redacted(run, capfd, where):
    given = {"secrets": {"KEY": KEY}} if where == "variable" else {}
    ended = await run(
        """
        import os, subprocess, sys, time
        from cog import Secret
        def main(key: Secret = None) -> int:
            value = os.environ["KEY"] if key is None else key.get_secret_value()
            print("whole", value)
            sys.stdout.write("in two " + value[:4])
            sys.stdout.flush()
            time.sleep(0.3)
            print(value[4:])
            subprocess.run(["echo", "by another process", value], check=True)
            return 1
        """,
        {} if where == "variable" else {"key": KEY},
        **given,
    )
    lines = ["whole [redacted]", "in two [redacted]", "by another process [redacted]"]
    assert ended.log.splitlines() == lines
    assert capfd.readouterr().out.splitlines() == lines
    assert "hunter" not in json.dumps(ended.messages)


@pytest.mark.parametrize("place", ["main", "import"])
async def test_an_error_is_redacted_wherever_it_is_told(run, capfd, place):
    raising = "raise ValueError('the key ' + os.environ['KEY'] + ' is wrong')"
    source = "import os\n" + (
        f"def main(): {raising}\n" if place == "main" else f"{raising}\ndef main(): ...\n"
    )
    ended = await run(source, secrets={"KEY": KEY})
    assert ended.result["error"] == "ValueError: the key [redacted] is wrong"
    assert ended.termination["error"] == ended.result["error"]
    assert "[redacted] is wrong" in ended.log
    assert "hunter" not in json.dumps([ended.messages, ended.termination], ensure_ascii=False)
    shown = capfd.readouterr()
    assert "hunter" not in shown.out + shown.err


async def test_a_reference_that_nobody_resolved_starts_nothing(run):
    ended = await run(
        "from cog import Secret\ndef main(key: Secret): ...",
        {"key": {"secretKeyRef": {"name": "a", "key": "b"}}},
    )
    assert ended.result["reason"] == "InvalidInput"
    assert not ended.result["started"]


async def test_an_input_from_the_store_is_redacted_too(launch, gateway):
    gateway.input_text = json.dumps({"key": KEY})
    agent = await launch()
    session = await agent.session()
    source = "from cog import Secret\ndef main(key: Secret): print(key.get_secret_value())"
    await session.send("work", **work(source, inputURL=True))
    assert (await agent.finish(session)).log == "[redacted]\n"
