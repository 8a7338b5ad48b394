"""The messages between agent and gateway; one class per row of the README's table.

Field names are camelCase as on the wire, so that a message documents itself.
"""

# The classes are the wire. Those with an `index` hide a method of tuple that nobody calls.
# ruff: noqa: N815

import json
from typing import Any, Literal, NamedTuple

PROTOCOL = 1
MAX_MESSAGE_BYTES = 16 * 2**20
"""A 6 MiB output is JSON text inside JSON text; escaping may double its size."""

State = Literal["idle", "loading", "running", "done"]
Outcome = Literal["succeeded", "failed", "canceled"]


class ProtocolError(Exception):
    """The other side sent something that is not in the protocol."""


class Hello(NamedTuple):
    """First message of every connection; also the answer to a `work` that is refused."""

    state: State
    run: str | None
    attempt: int | None
    protocol: int = PROTOCOL


class Accepted(NamedTuple):
    """The agent has accepted its one `work`."""

    run: str
    attempt: int


class Started(NamedTuple):
    """Sent just before `main()` is called. From then on, the state is "running"."""

    run: str
    attempt: int
    at: str


class Log(NamedTuple):
    """A piece of the log; `offset` is the bytes of UTF-8 before it."""

    run: str
    offset: int
    data: str


class Output(NamedTuple):
    """Consecutive items of an iterator output, from `index` on, as JSON texts."""

    run: str
    index: int  # type: ignore[assignment]
    itemsJSON: list[str]


class Heartbeat(NamedTuple):
    """Sent every 5 s while running: a lost pod is billed up to the last one."""

    run: str
    activeMs: int


class Result(NamedTuple):
    """The outcome of the run, sent on every connection until it is acknowledged."""

    run: str
    attempt: int
    outcome: Outcome
    reason: str
    error: str
    outputJSON: str | None
    started: bool
    startedAt: str | None
    completedAt: str | None
    activeMs: int
    logBytes: int


class Leaving(NamedTuple):
    """The agent has no run, and ends: it will never accept one."""


ToGateway = Leaving | Hello | Accepted | Started | Log | Output | Heartbeat | Result


def encode(message: ToGateway) -> bytes:
    """The JSON text of a message, in UTF-8. Lone surrogates in user text become "?"."""
    fields: dict[str, Any] = {"type": type(message).__name__.lower(), **message._asdict()}
    if isinstance(message, Hello):
        fields = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class Limits(NamedTuple):
    """The run's limits; sizes in bytes, times in milliseconds."""

    outputBytes: int = 6 * 2**20
    fileBytes: int = 2**30
    filesBytes: int = 4 * 2**30
    logBytes: int = 10 * 2**20
    importMs: int = 10_000
    fetchMs: int = 300_000
    uploadMs: int = 300_000
    cancelGraceMs: int = 5_000


class Welcome(NamedTuple):
    """The answer to `hello`: how much of log and output is stored, whether the end is recorded."""

    logOffset: int
    outputIndex: int
    recorded: bool


class Work(NamedTuple):
    """What to run. `inputJSON` is None if the input must be downloaded (`inputURL`)."""

    run: str
    attempt: int
    token: str
    files: dict[str, str]
    entrypoint: str
    inputJSON: str | None
    schema: dict[str, Any]
    timeoutMs: int
    startWithinMs: int
    limits: Limits
    id: str = ""
    namespace: str = ""
    name: str = ""
    secrets: dict[str, str] = {}  # noqa: RUF012 nobody changes it

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Without the token, the input and the secrets."""
        return f"Work(run={self.run!r}, attempt={self.attempt})"


class Cancel(NamedTuple):
    """Stop the run: at once before `started`; after it, by exception, grace period and kill.

    With `unlessStarted` (the run's parent was cancelled), a run that has started continues and
    sends `started` again.
    """

    run: str
    unlessStarted: bool = False


class LogAck(NamedTuple):
    """The log is stored up to here."""

    offset: int


class OutputAck(NamedTuple):
    """The items before `index` are stored: the next ones may be sent."""

    index: int  # type: ignore[assignment]


class Ack(NamedTuple):
    """The result is recorded: the agent may exit."""

    run: str
    attempt: int


class Retire:
    """There is no work for this pod: an idle agent exits."""


FromGateway = Welcome | Work | Cancel | LogAck | OutputAck | Ack | Retire


def decode(data: bytes) -> FromGateway | None:
    """Parse a message from the gateway. Unknown types give None, so that newer gateways work.

    Raises:
        ProtocolError: not JSON, not an object, or a field is missing or of the wrong type.
    """
    try:
        fields = json.loads(data)
        return _read(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"unreadable message: {error!r}") from error


def _read(fields: dict[str, Any]) -> FromGateway | None:
    match fields["type"]:
        case "welcome":
            offset, index = int(fields.get("logOffset", 0)), int(fields.get("outputIndex", 0))
            return Welcome(offset, index, bool(fields.get("recorded", False)))
        case "work":
            return _work(fields)
        case "cancel":
            return Cancel(str(fields["run"]), bool(fields.get("unlessStarted", False)))
        case "logack":
            return LogAck(int(fields["offset"]))
        case "outputack":
            return OutputAck(int(fields["index"]))
        case "ack":
            return Ack(str(fields["run"]), int(fields["attempt"]))
        case "retire":
            return Retire()
        case _:
            return None


def _work(fields: dict[str, Any]) -> Work:
    known = Limits._fields
    limits = Limits(**{k: int(v) for k, v in fields.get("limits", {}).items() if k in known})
    text = None if fields.get("inputURL") else str(fields["inputJSON"])
    return Work(
        run=str(fields["run"]),
        attempt=int(fields["attempt"]),
        token=str(fields["token"]),
        files={str(name): str(body) for name, body in fields["files"].items()},
        entrypoint=str(fields["entrypoint"]),
        inputJSON=text,
        schema=dict(fields["schema"]),
        timeoutMs=int(fields["timeoutMs"]),
        startWithinMs=int(fields["startWithinMs"]),
        limits=limits,
        id=str(fields.get("id", "")),
        namespace=str(fields.get("namespace", "")),
        name=str(fields.get("name", "")),
        secrets={str(env): str(value) for env, value in fields.get("secrets", {}).items()},
    )
