"""PID 1's state machine: one `work` in a life, from `idle` over `loading`, `running`, to `done`.

One thread, one inbox: sockets, pipes, signals and jobs are events, and every decision (started,
cancelled, out of time, ended) is made here, one at a time, by one monotonic clock.

    idle --work--> loading --loaded, inputs there--> running --end--> ending --> done --ack--> exit
                      `------------------- end -----------------------^

`ending` is told to the gateway as the state before it: the worker is being killed, the log
drained, files uploaded. `done` has a result, in the termination message too.
"""

import queue
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mayfly_runtime import process, termination
from mayfly_runtime.child import Child, ChildEvent, Logged, Said, Silent
from mayfly_runtime.clock import NS_PER_MS, Clock, in_words
from mayfly_runtime.jobs import (
    Fetched,
    FetchFailed,
    InputRead,
    JobEvent,
    Jobs,
    Resolved,
    ResolveFailed,
)
from mayfly_runtime.logs import LogBuffer
from mayfly_runtime.messages import (
    Accepted,
    Ack,
    Cancel,
    FromGateway,
    Heartbeat,
    Hello,
    LogAck,
    Result,
    Retire,
    State,
    Welcome,
    Work,
)
from mayfly_runtime.run import CANCELED, SUCCEEDED, End, Run, failed
from mayfly_runtime.script import Ended, FilesWanted, ReadyToStart, Script
from mayfly_runtime.session import Closed, Drained, Opened, Received, SessionEvent
from mayfly_runtime.uplink import Uplink

HEARTBEAT_NS = 5_000 * NS_PER_MS
LINGER_NS = 15 * 60_000 * NS_PER_MS
"""How long a result waits for its acknowledgement."""

_DRAIN_NS = 2_000 * NS_PER_MS
_TERMINATED_LINGER_NS = 5_000 * NS_PER_MS
_RETIRED = 4409
