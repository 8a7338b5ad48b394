"""Cancel, timeout, deletion: what stops a run, and what is told of it."""

import asyncio
import os
import signal

import pytest
from contract.agent.conftest import children_of
from contract.agent.messages import RUN, work
from support.waiting import eventually

WAITS = """
import time
def main() -> None:
    print("in main", flush=True)
    while True:
        time.sleep(100)
"""


async def test_cancel_before_the_start_kills_and_bills_nothing(launch):
    agent = await launch()
    session = await agent.session()
    source = "import time\nprint('importing')\ntime.sleep(1000)\ndef main() -> None: ..."
    await session.send("work", **work(source))
    await session.receive("log")
    await session.send("cancel", run=RUN)
    ended = await agent.finish(session)
    result = ended.result
    assert (result["outcome"], result["reason"], result["error"]) == ("canceled", "Canceled", "")
    assert (result["started"], result["startedAt"], result["activeMs"]) == (False, None, 0)
    assert ended.termination["outcome"] == "canceled"


async def test_a_cancel_unless_started_ends_a_run_that_is_imported(launch):
    agent = await launch()
    session = await agent.session()
    source = "import time\nprint('importing')\ntime.sleep(1000)\ndef main() -> None: ..."
    await session.send("work", **work(source))
    await session.receive("log")
    await session.send("cancel", run=RUN, unlessStarted=True)
    result = (await agent.finish(session)).result
    assert (result["outcome"], result["reason"]) == ("canceled", "Canceled")
    assert (result["started"], result["activeMs"]) == (False, 0)


async def test_a_cancel_unless_started_leaves_a_started_run_alone(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        import pathlib, time
        def main() -> str:
            print("in main", flush=True)
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            return "done"
        """
    await session.send("work", **work(source))
    first = await session.receive("started")
    await session.receive("log")
    await session.send("cancel", run=RUN, unlessStarted=True)
    assert await session.receive("started") == first
    (agent.folder / "scratch" / "run" / "go").touch()
    ended = await agent.finish(session)
    assert (ended.result["outcome"], ended.output) == ("succeeded", "done")


async def test_a_cancel_of_its_own_still_stops_what_was_left_alone(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    await session.receive("log")
    await session.send("cancel", run=RUN, unlessStarted=True)
    await session.receive("started")
    await session.send("cancel", run=RUN)
    assert (await agent.finish(session)).result["outcome"] == "canceled"


@pytest.mark.parametrize(
    "source",
    [
        WAITS,
        "import asyncio\nasync def main():\n    print('in main')\n    await asyncio.sleep(1000)",
        "import socket\ndef main():\n    print('in main')\n    a, b = socket.socketpair()\n"
        "    a.recv(1)",
        "import time\ndef main():\n    print('in main')\n    yield 1\n    time.sleep(1000)",
        "import time\ndef main():\n    print('in main')\n    while True:\n"
        "        try:\n            time.sleep(1)\n        except Exception:\n            pass",
    ],
    ids=["sleep", "async", "socket", "generator", "swallows Exception"],
)
async def test_cancel_while_running_raises_in_main(launch, source):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(source))
    await session.receive("log")
    await session.send("cancel", run=RUN)
    ended = await agent.finish(session)
    result = ended.result
    assert (result["outcome"], result["reason"]) == ("canceled", "Canceled")
    assert result["started"]
    assert result["activeMs"] >= 1
    assert "Traceback" not in ended.log
    assert ended.output == ([1] if "yield" in source else None)


async def test_the_author_may_clean_up_when_cancelled(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        import time, cog
        def main() -> str:
            print("in main")
            try:
                time.sleep(1000)
            except cog.CancelationException:
                print("cleaned")
            return "done all the same"
        """
    await session.send("work", **work(source))
    await session.receive("log")
    await session.send("cancel", run=RUN)
    ended = await agent.finish(session)
    assert ended.log == "in main\ncleaned\n"
    assert ended.result["outcome"] == "canceled"
    assert ended.output is None


async def test_a_run_that_ignores_the_cancel_is_killed_with_its_children(launch):
    agent = await launch()
    session = await agent.session()
    source = """
        import os, signal, subprocess, sys, time
        def main() -> None:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            print(os.getpid(), child.pid)
            time.sleep(1000)
        """
    await session.send("work", **work(source, limits={"cancelGraceMs": 100}))
    pids = (await session.receive("log"))["data"].split()
    await session.send("cancel", run=RUN)
    ended = await agent.finish(session)
    assert ended.result["outcome"] == "canceled"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


async def test_timeout_is_of_active_time(run):
    ended = await run(WAITS, timeoutMs=300)
    result = ended.result
    assert (result["outcome"], result["reason"]) == ("failed", "TimedOut")
    assert result["error"] == "main() ran longer than its timeout of 300 ms"
    assert result["activeMs"] >= 300


async def test_a_timeout_that_main_catches_is_still_one(run):
    ended = await run(
        "import time\ndef main():\n    try: time.sleep(1000)\n    except BaseException: return 1",
        timeoutMs=100,
    )
    assert ended.result["reason"] == "TimedOut"
    assert ended.output is None


async def test_a_cancel_of_another_run_changes_nothing(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work("def main() -> int: return 1"))
    await session.send("cancel", run="another")
    assert (await agent.finish(session)).result["outcome"] == "succeeded"


async def test_retire_ends_an_idle_agent_only(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("retire")
    assert await agent.exit_code() == 0
    assert (agent.folder / "termination").read_bytes() == b""


async def test_retire_after_work_is_ignored(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work("def main() -> int: return 1"))
    await session.send("retire")
    assert (await agent.finish(session)).output == 1


async def test_close_4409_ends_the_agent(launch):
    agent = await launch()
    session = await agent.session()
    await session.close(4409)
    assert await agent.exit_code() == 0


async def test_close_4409_while_running_leaves_the_stamps(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    await session.receive("log")
    await session.close(4409)
    assert await agent.exit_code() == 1
    left = agent.termination()
    assert left["outcome"] is None
    assert left["started"]
    assert left["completedAt"] >= left["startedAt"]
    assert left["activeMs"] >= 1


async def test_a_deleted_pod_writes_its_termination_message(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    started = await session.receive("started")
    await session.receive("log")
    agent.process.send_signal(signal.SIGTERM)
    assert await agent.exit_code() == 1
    left = agent.termination()
    assert (left["run"], left["attempt"], left["outcome"]) == (RUN, 1, None)
    assert left["startedAt"] == started["at"]
    assert left["activeMs"] >= 1


async def test_a_deleted_pod_tells_the_gateway_how_long_the_run_has_worked(launch):
    """The termination message goes with the pod, and perhaps nobody has read it."""
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    await session.receive("log")
    agent.process.send_signal(signal.SIGTERM)
    assert await agent.exit_code() == 1
    beat = session.messages[-1]
    assert (beat["type"], beat["run"]) == ("heartbeat", RUN)
    assert beat["activeMs"] == agent.termination()["activeMs"] >= 1


async def deleted_unheard(launch):
    """An agent whose pod is deleted while it runs, and a gateway that has not welcomed it again."""
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    await session.receive("log")
    session.drop()
    again = await agent.session(welcome=False)
    agent.process.send_signal(signal.SIGTERM)
    return agent, again


async def test_a_deleted_pod_waits_for_a_gateway_that_is_away(launch):
    agent, again = await deleted_unheard(launch)
    await asyncio.to_thread(eventually, lambda: agent.termination()["completedAt"])
    assert agent.process.returncode is None
    await again.send("welcome", logOffset=0, recorded=False)
    assert await agent.exit_code() == 1
    assert again.hello["state"] == "running"
    beat = again.messages[-1]
    assert (beat["type"], beat["activeMs"]) == ("heartbeat", agent.termination()["activeMs"])


async def test_a_deleted_pod_does_not_wait_for_ever(launch):
    agent, again = await deleted_unheard(launch)
    assert await agent.exit_code() == 1
    assert [message["type"] for message in again.messages] == ["hello"]
    assert agent.termination()["activeMs"] >= 1


async def test_each_heartbeat_is_in_the_termination_message(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    beat = await session.receive("heartbeat")
    await session.receive("heartbeat")
    agent.kill()
    await agent.exit_code()
    assert agent.termination()["activeMs"] >= beat["activeMs"]


async def test_a_deleted_idle_pod_says_that_it_goes(launch):
    agent = await launch()
    session = await agent.session()
    agent.process.send_signal(signal.SIGTERM)
    assert await agent.exit_code() == 0
    assert [message["type"] for message in session.messages] == ["hello", "leaving"]


async def test_an_idle_pod_whose_worker_was_killed_says_that_it_goes(launch):
    """As for want of memory: the worker is killed first."""
    agent = await launch()
    session = await agent.session()
    [worker] = children_of(agent.process)
    os.kill(worker, signal.SIGKILL)
    assert await agent.exit_code() == 1
    assert session.messages[-1]["type"] == "leaving"


async def test_the_stamps_are_there_when_the_agent_is_killed(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    await session.receive("log")
    agent.kill()
    await agent.exit_code()
    left = agent.termination()
    assert left["outcome"] is None
    assert left["started"]


async def test_a_heartbeat_tells_the_active_time(launch):
    agent = await launch()
    session = await agent.session()
    await session.send("work", **work(WAITS))
    beats = [await session.receive("heartbeat") for _ in range(2)]
    assert beats[0]["run"] == RUN
    assert 1 <= beats[0]["activeMs"] < beats[1]["activeMs"]
    await session.send("cancel", run=RUN)
    ended = await agent.finish(session)
    assert ended.result["activeMs"] >= beats[1]["activeMs"]


async def test_what_outlives_main_is_killed_before_the_result(run):
    ended = await run(
        """
        import os, subprocess
        def main() -> int:
            child = subprocess.Popen(
                ["sh", "-c", "sleep 1000 & sleep 1000"], start_new_session=True)
            return child.pid
        """
    )
    with pytest.raises(ProcessLookupError):
        os.kill(ended.output, 0)
