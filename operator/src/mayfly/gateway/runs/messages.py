"""The messages of an agent session, both ways; specified in `runtime-image/README.md`.

Sizes are checked here. Whether a message fits the run's state is checked by the session.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

PROTOCOL = 1
MAX_OFFSET = 2**53
"""Maximum log offset: larger than any log, and exact in every JSON parser."""

LOG_BATCH_BYTES = 1024 * 1024

Uid = Annotated[str, Field(min_length=1, max_length=64)]
Milliseconds = Annotated[int, Field(ge=0, le=10**12)]
State = Literal["idle", "loading", "running", "done"]
OutcomeName = Literal["succeeded", "failed", "canceled"]


class BadMessage(Exception):
    """The text is not a message of this protocol."""


class _Message(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )


class Hello(_Message):
    """The first message on a connection: the agent's state."""

    type: Literal["hello"]
    protocol: int
    state: State
    run: Uid | None = None
    attempt: int | None = None


class Leaving(_Message):
    """The agent has no run, and ends: its pod takes no work any more."""

    type: Literal["leaving"]


class Accepted(_Message):
    """The agent has accepted the work, and will accept no other."""

    type: Literal["accepted"]
    run: Uid
    attempt: int


class Started(_Message):
    """main() is being called."""

    type: Literal["started"]
    run: Uid
    attempt: int
    at: AwareDatetime


class Log(_Message):
    """A piece of the run's log, at `offset` bytes of UTF-8."""

    type: Literal["log"]
    run: Uid
    offset: int = Field(ge=0, le=MAX_OFFSET)
    data: str = Field(max_length=LOG_BATCH_BYTES)


class Output(_Message):
    """Consecutive items of an iterator's output, as JSON texts that are not checked yet."""

    type: Literal["output"]
    run: Uid
    index: int = Field(ge=0, le=10**9)
    items_json: list[str] = Field(alias="itemsJSON")

    @model_validator(mode="before")
    @classmethod
    def _of_one(cls, fields: Any) -> Any:
        """Accept `value`, the only item: pods from before an upgrade still send that."""
        if isinstance(fields, dict) and "value" in fields:
            return {**fields, "itemsJSON": [json.dumps(fields["value"], separators=(",", ":"))]}
        return fields


class Heartbeat(_Message):
    """The run is still working; its active time so far."""

    type: Literal["heartbeat"]
    run: Uid
    active_ms: Milliseconds


class Result(_Message):
    """The outcome of the run; repeated on each connection until it is acknowledged."""

    type: Literal["result"]
    run: Uid
    attempt: int
    outcome: OutcomeName
    reason: str = Field(max_length=64)
    error: str = ""
    output_json: str | None = Field(default=None, alias="outputJSON", repr=False)
    started: bool
    started_at: AwareDatetime | None = None
    completed_at: AwareDatetime | None = None
    active_ms: Milliseconds = 0
    log_bytes: int = Field(default=0, ge=0, le=MAX_OFFSET)


Message = Annotated[
    Hello | Leaving | Accepted | Started | Log | Output | Heartbeat | Result,
    Field(discriminator="type"),
]
RunMessage = Accepted | Started | Log | Output | Heartbeat | Result
_ADAPTER: TypeAdapter[Hello | Leaving | RunMessage] = TypeAdapter(Message)


def parse(text: str) -> Hello | Leaving | RunMessage:
    """Parse a message from an agent.

    Raises:
        BadMessage: it is not a message of this protocol, or exceeds a bound.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadMessage(f"{place}: {first['msg']}") from error


def welcome(*, log_offset: int, output_index: int, recorded: bool) -> dict[str, Any]:
    """The answer to `hello`.

    Args:
        log_offset: how many bytes of the log are stored.
        output_index: how many items of the output are stored.
        recorded: whether the end is recorded.
    """
    return {
        "type": "welcome",
        "logOffset": log_offset,
        "outputIndex": output_index,
        "recorded": recorded,
    }


def cancel(run: str) -> dict[str, Any]:
    """Stop the run."""
    return {"type": "cancel", "run": run}


def cancel_unless_started(run: str) -> dict[str, Any]:
    """Stop the run unless main() was called; if it was, the agent sends `started` again."""
    return {"type": "cancel", "run": run, "unlessStarted": True}


def logack(offset: int) -> dict[str, Any]:
    """The log is stored up to this offset."""
    return {"type": "logack", "offset": offset}


def outputack(index: int) -> dict[str, Any]:
    """The items before this index are stored; the agent may send the next ones."""
    return {"type": "outputack", "index": index}


def ack(run: str, attempt: int) -> dict[str, Any]:
    """The end of the run is recorded; the agent may exit."""
    return {"type": "ack", "run": run, "attempt": attempt}


def retire() -> dict[str, Any]:
    """There is no work for this pod."""
    return {"type": "retire"}
