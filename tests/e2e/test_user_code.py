"""User code at its worst: the run ends in words, nothing is left, and nobody else notices."""

from __future__ import annotations

import json
import re

from support.cluster.installation import Json, Namespace, message, reason

LOG_LIMIT = 10 * 2**20


def end(namespace: Namespace, run: str) -> tuple[str, str]:
    """Reason and message of a run's end; each is also where `kubectl get` and the API show it."""
    ended = namespace.finished(run, seconds=240)
    why, words = reason(ended), message(ended)
    if why == "Succeeded":
        assert ended["status"]["phase"] == "Succeeded"
    else:
        assert ended["status"]["error"] == words
        assert ended["status"]["phase"] == "Failed"
        assert namespace.prediction(run)["error"] == words
    return why, words


def succeeded(namespace: Namespace, run: str) -> Json:
    """The status of a run that must have succeeded."""
    assert end(namespace, run) == ("Succeeded", "main() returned."), namespace.logs(run)
    return namespace.get(run)["status"]


EXITS = {
    "import sys\ndef main() -> str:\n    sys.exit(0)\n": (
        "main() called sys.exit(0): it exited with code 0"
    ),
    "import sys\ndef main() -> str:\n    sys.exit('enough')\n": (
        "main() called sys.exit('enough'): it exited with code 1"
    ),
    "import os\ndef main() -> str:\n    os._exit(0)\n": (
        "the process exited with code 0 before main() returned"
    ),
    "import ctypes\ndef main() -> str:\n    ctypes.string_at(0)\n": (
        "the process was ended by SIGSEGV (a segmentation fault) before main() returned"
    ),
    "import os, signal\ndef main() -> str:\n    os.kill(os.getpid(), signal.SIGKILL)\n": (
        "the process was ended by SIGKILL (killed) before main() returned"
    ),
    "import os\ndef main() -> int:\n    os.closerange(3, 4096)\n    return 7\n": (
        "the process exited with code 0 before main() returned"
    ),
}


def test_ways_to_leave(namespace):
    runs = {source: namespace.run(source) for source in EXITS}
    for source, run in runs.items():
        assert end(namespace, run) == ("Exited", EXITS[source]), source
        assert namespace.get(run)["status"]["usage"]["activeMilliseconds"] > 0, source
    namespace.no_pods()


def test_imports_that_go_wrong(namespace):
    cases = {
        "import threading\nthreading.Event().wait()\ndef main() -> int:\n    return 1\n": (
            "ImportError",
            "importing main.py took longer than 30 s",
        ),
        "import no_such_package\ndef main() -> int:\n    return 1\n": (
            "ImportError",
            "ModuleNotFoundError: No module named 'no_such_package' (no file of the source and "
            "no package of this runtime; `kubectl get mprt -o yaml` lists the packages)",
        ),
        "raise SystemExit(3)\ndef main() -> int:\n    return 1\n": (
            "Exited",
            "main.py called sys.exit(3) when imported",
        ),
    }
    runs = {source: namespace.run(source) for source in cases}
    for source, run in runs.items():
        assert end(namespace, run) == cases[source]
        ended = namespace.get(run)
        assert reason(ended, "Started") == "NotStarted"
        assert ended["status"]["usage"]["activeMilliseconds"] == 0
        assert float(ended["status"]["usage"]["cost"]) == 0
        assert "startedAt" not in ended["status"]
    namespace.no_pods()


# A bound on each, so that a node without a limit on processes survives the test too.

FORKS = """
import os, signal
def main() -> str:
    for _ in range(2000):
        if os.fork() == 0:
            signal.pause()
    return "nothing stopped it"
"""

BOMB = """
import os, signal
def main() -> str:
    first = os.getpid()
    count = os.open("count", os.O_CREAT | os.O_APPEND | os.O_RDWR)
    while os.fstat(count).st_size < 3000:
        try:
            os.fork()
        except BlockingIOError:
            if os.getpid() == first:
                raise
            break  # it stays, and keeps its place
        os.write(count, b"x")
    signal.pause()
"""

THREADS = """
import threading
from cog import Path
def main() -> Path:
    Path("made.txt").write_text("made")
    while True:
        try:
            threading.Thread(target=threading.Event().wait).start()
        except RuntimeError as error:
            print(error)
            return Path("made.txt")
        if threading.active_count() > 2000:
            raise AssertionError("nothing stopped it")
"""


def test_a_fork_bomb_takes_nobody_along(namespace, kubectl):
    """The kubelet's limit on a pod's processes; docs/operators.md asks for one."""
    forks, bomb = namespace.run(FORKS), namespace.run(BOMB, timeout="60s")
    full = "BlockingIOError: [Errno 11] Resource temporarily unavailable"
    assert end(namespace, forks) == ("UserError", full)
    assert end(namespace, bomb) == ("UserError", full)
    # There is no room for a single thread more, and the file is stored all the same.
    threads = namespace.run(THREADS)
    status = succeeded(namespace, threads)
    assert "can't start new thread" in namespace.logs(threads)
    assert status["output"]
    namespace.no_pods()
    nodes = kubectl.json("get", "nodes")["items"]
    ready = [c for node in nodes for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert [each["status"] for each in ready] == ["True"] * len(nodes)
    pressed = {"MemoryPressure", "DiskPressure", "PIDPressure"}
    conditions = [each for node in nodes for each in node["status"]["conditions"]]
    assert [c["type"] for c in conditions if c["type"] in pressed and c["status"] == "True"] == []
    assert succeeded(namespace, namespace.run("def main() -> int:\n    return 1\n"))["output"] == 1


CLOSES = """
import os
def main() -> int:
    print("before", flush=True)
    os.closerange(0, 101)
    return 7
"""

PARENT = """
import os, signal
def read(path):
    with open(path, "rb") as file:
        return file.read(1)
def main() -> dict:
    told = {"parent": os.getppid()}
    for name in ("SIGKILL", "SIGSTOP", "SIGTERM", "SIGINT"):
        os.kill(os.getppid(), getattr(signal, name))
    readers = {"environ": read, "mem": read, "maps": read, "fd": os.listdir, "cwd": os.readlink}
    for name, reader in readers.items():
        try:
            told[name] = repr(reader(f"/proc/1/{name}"))[:80]
        except OSError as error:
            told[name] = type(error).__name__
    return told
"""

LINGERS = """
import os, signal, subprocess, threading, time
def main() -> str:
    for _ in range(3):
        threading.Thread(target=threading.Event().wait).start()
    subprocess.Popen(["sleep", "3600"], start_new_session=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return "left three threads and a process"
"""

CLOCK = """
import datetime, time
really_sleep = time.sleep
def main() -> str:
    for name in ("time", "monotonic", "perf_counter", "process_time"):
        setattr(time, name, lambda: 1e15)
        setattr(time, f"{name}_ns", lambda: 10**24)
    time.sleep = lambda seconds: None
    time.clock_gettime = time.clock_gettime_ns = lambda clock: 0
    really_sleep(1.5)
    return str(time.time())
"""


def test_what_it_does_to_its_own_process(namespace):
    sources = {"closes": CLOSES, "parent": PARENT, "lingers": LINGERS, "clock": CLOCK}
    runs = {name: namespace.run(source) for name, source in sources.items()}
    found = {name: succeeded(namespace, run) for name, run in runs.items()}
    assert found["closes"]["output"] == 7
    assert "before" in namespace.logs(runs["closes"])
    secret = dict.fromkeys(["environ", "mem", "maps", "fd", "cwd"], "PermissionError")
    assert found["parent"]["output"] == {"parent": 1, **secret}
    assert found["lingers"]["output"] == "left three threads and a process"
    # What it is billed is the agent's and the gateway's time, whatever its own clock says.
    assert found["clock"]["output"] == "1000000000000000.0"
    assert 1500 <= found["clock"]["usage"]["activeMilliseconds"] < 240_000
    created = namespace.get(runs["clock"])["metadata"]["creationTimestamp"]
    assert created[:10] <= found["clock"]["startedAt"][:10]
    assert found["clock"]["startedAt"] < found["clock"]["completedAt"] < "2200"
    namespace.no_pods()


PRINTS = """
def main() -> int:
    line = "x" * 1023
    for _ in range(100 * 1024):
        print(line)
    return 1
"""

BINARY = """
import os, sys
def main() -> int:
    os.write(1, bytes(range(256)) + b"\\n")
    os.write(2, "half a letter: é".encode()[:-1])
    os.write(1, b"\\n")
    print("\\ud800 is no text")
    for letter in "abc":
        print(letter * 1_000_000)
    sys.stderr.write("no line ends this")
    return 1
"""


def test_logs_of_any_kind(namespace):
    large, binary = namespace.run(PRINTS), namespace.run(BINARY)
    status = succeeded(namespace, large)
    log = namespace.logs(large)
    assert len(log.encode()) <= LOG_LIMIT
    lines = log.splitlines()
    dropped = re.fullmatch(r"mayfly: (\d+) bytes of log past the limit were dropped", lines[-1])
    assert dropped, lines[-1]
    assert sum("mayfly" in line for line in lines) == 1
    kept = log[: log.index("mayfly")].rstrip("\n")
    assert len(kept) + int(dropped[1]) in {100 * 2**20, 100 * 2**20 - 1}
    assert len(kept) > LOG_LIMIT - 4096
    assert status["logsTail"].endswith(f"{lines[-1]}\n")

    status = succeeded(namespace, binary)
    log = namespace.logs(binary)
    # What is no UTF-8 is shown as that, and a NUL, which no database keeps, likewise.
    first = bytes(range(1, 256)).decode("utf-8", "replace")
    assert log.startswith(f"\ufffd{first}\n")
    assert "half a letter: \ufffd\n" in log
    assert "\\ud800 is no text\n" in log
    for letter in "abc":
        assert f"\n{letter * 1_000_000}\n" in log
    assert log.endswith("no line ends this")
    assert status["logsTail"].endswith("no line ends this")
    assert namespace.prediction(binary)["logs"].endswith("no line ends this")
    namespace.no_pods()


REPLAYS = """
import base64, json, os, socket, ssl, urllib.parse
from pathlib import Path

TOKEN = Path("/etc/mayfly/token").read_text().strip()
GATEWAY = urllib.parse.urlsplit(os.environ["REPLICATE_BASE_URL"])

def dial():
    port = GATEWAY.port or 443
    plain = socket.create_connection((GATEWAY.hostname, port), timeout=30)
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    return context.wrap_socket(plain, server_hostname=GATEWAY.hostname)

def asked(method, path, headers, body=b""):
    wire = dial()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {GATEWAY.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    wire.sendall("\\r\\n".join([*lines, "", ""]).encode() + body)
    file = wire.makefile("rb")
    status = int(file.readline().split()[1])
    while file.readline().strip():
        pass
    return status, file

def opened(headers):
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket",
               "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    status, file = asked("GET", "/agent/v1/session", {**upgrade, **headers})
    if status != 101:
        return status
    first, second = file.read(2)
    payload = file.read(second & 127)
    # Opcode 8 closes, and its payload begins with the code.
    return int.from_bytes(payload[:2], "big") if first & 15 == 8 else payload.decode()

def main() -> dict:
    mine = {"Authorization": f"Bearer {TOKEN}"}
    made_up = {**mine, "Mayfly-Session": "A" * 43}
    size = {"Content-Length": "1", "Connection": "close"}
    api = {"Authorization": f"Bearer {os.environ['REPLICATE_API_TOKEN']}"}
    return {
        "no secret": opened(mine),
        "another secret": opened(made_up),
        "no token": opened({"Mayfly-Session": "A" * 43}),
        "the run's token": opened({**api, "Mayfly-Session": "A" * 43}),
        "file without": asked("PUT", "/agent/v1/files/x", {**mine, **size}, b"x")[0],
        "file with another": asked("PUT", "/agent/v1/files/x", {**made_up, **size}, b"x")[0],
        "input": asked("GET", "/agent/v1/input", {**made_up, "Connection": "close"})[0],
    }
"""


def test_the_gateways_token_is_worth_nothing_to_it(namespace):
    run = namespace.run(REPLAYS)
    found = succeeded(namespace, run)["output"]
    assert found == {
        "no secret": 4403,
        "another secret": 4403,
        "no token": 4401,
        "the run's token": 4401,
        "file without": 403,
        "file with another": 403,
        "input": 403,
    }, json.dumps(found)
    namespace.no_pods()
