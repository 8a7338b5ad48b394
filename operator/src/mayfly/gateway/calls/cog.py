"""Cog HTTP servers: calls are sent by PUT, reported by callbacks, and watched by health checks.

The server offers no way to read a prediction, and a second PUT of an id that it has forgotten would
run it again. So its reports come by callbacks, and its health check shows whether it is still
alive.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.identity import run_id
from mayfly.clock import Monotonic
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.calls.rows import Call
from mayfly.gateway.calls.server import (
    Json,
    Lost,
    NotNow,
    PreparedCall,
    Refused,
    Unknown,
    hand_over,
)
from mayfly.gateway.files.links import FileLinks
from mayfly.gateway.http import rawjson
from mayfly.gateway.http.outbound import (
    Answer,
    Forbidden,
    Outbound,
    OutboundError,
)
from mayfly.gateway.secrets.sealed import Sealed, Unsealable
from mayfly.metering.ledger import RunRow
from mayfly_runtime.spec import urls

logger = logging.getLogger(__name__)

PURPOSE = "model-callback"
LOOK_SECONDS = 5.0
QUICK_SECONDS = 10.0
"""Timeout of requests that a server answers at once, even when it is busy."""

IDLE_FACTOR = 8
"""An idle server may still have an end to report: while we were away, it retries its callback for
minutes, with growing intervals."""

BROKEN = frozenset({"SETUP_FAILED", "DEFUNCT", "UNHEALTHY"})


class Health:
    """The answer of a server's health check.

    Attributes:
        status: STARTING, READY, BUSY, …; "" if the server has no health check.
        incarnation: when its setup began; it changes when the server restarts.
    """

    def __init__(self, body: Any) -> None:
        found = body if isinstance(body, dict) else {}
        setup = found.get("setup")
        self.status = str(found.get("status") or "")
        self.incarnation = str((setup if isinstance(setup, dict) else {}).get("started_at") or "")


def base_of(target: Json) -> str:
    """A server's base URL, without a trailing slash."""
    endpoint = target["endpoint"]
    service = endpoint.get("service")
    if service:
        port = service.get("port", 5000)
        return f"http://{service['name']}.{target['namespace']}.svc:{port}"
    return str(endpoint["url"]).rstrip("/")


class CogServer:
    """Client of Cog servers: prepares, sends, follows and cancels calls."""

    def __init__(
        self,
        *,
        outbound: Outbound,
        calls: CallRecorder,
        links: FileLinks,
        sealed: Sealed,
        key: SigningKey,
        callbacks: Callable[[Json], str],
        fate_seconds: float,
        monotonic: Monotonic,
    ) -> None:
        """Create the client.

        Args:
            outbound: the HTTP client.
            calls: the rows of calls.
            links: links to files that inputs name.
            sealed: secrets that inputs name.
            key: signs callback URLs.
            callbacks: the base URL by which a target's server reaches us.
            fate_seconds: how long a server may be silent before its calls are given up.
            monotonic: measures silences.
        """
        self._outbound = outbound
        self._calls = calls
        self._links = links
        self._sealed = sealed
        self._key = key
        self._callbacks = callbacks
        self._fate_seconds = fate_seconds
        self._monotonic = monotonic

    async def prepare(self, row: RunRow, target: Json) -> PreparedCall:
        """Prepare a call, if the server has room."""
        try:
            health = await self.health(target)
        except Forbidden as error:
            raise Refused(Reason.UNREACHABLE, f"The model can't be called: {error}") from None
        except OutboundError as error:
            raise NotNow(str(error), down=True) from None
        if health.status in BROKEN:
            raise NotNow(f"the model's server says {health.status}", down=True)
        if health.status not in {"READY", ""}:
            raise NotNow(f"the model's server says {health.status}", down=False)
        base = self._callbacks(target)
        signature = self._key.sign(PURPOSE, row.uid)
        fields = {
            "id": row.id,
            "input": rawjson.RawJSON(await self._input(row, base)),
            "webhook": f"{base}/callback/v1/models/{row.uid}/{signature}",
            "webhook_events_filter": ["start", "output", "logs", "completed"],
        }
        return PreparedCall(
            method="PUT",
            url=f"{base_of(target)}/predictions/{quote(row.id)}",
            headers={"Content-Type": "application/json", "Prefer": "respond-async"},
            body=rawjson.dumps(fields).encode("utf-8", "surrogatepass"),
            incarnation=health.incarnation,
        )

    async def _input(self, row: RunRow, base: str) -> str:
        # Replace links first, so that a secret that looks like a file reference is not changed.
        text = await self._links.to_links(row.input_json, row.namespace, base)
        try:
            return await self._sealed.opened(row.uid, text)
        except Unsealable as error:
            raise Refused(Reason.SECRET_UNAVAILABLE, str(error)) from None

    async def health(self, target: Json) -> Health:
        """The server's health.

        Raises:
            OutboundError: no answer, or not the answer of a Cog server.
        """
        answer = await self._ask("GET", target, "/health-check")
        if answer.status == 404:
            return Health({})
        try:
            health = Health(json.loads(answer.body))
        except ValueError:
            health = Health({})
        if answer.status != 200 or not health.status:
            raise OutboundError(f"{_at(target)} does not answer like a Cog server")
        return health

    async def schema(self, target: Json) -> Json:
        """The OpenAPI document of the server.

        Raises:
            OutboundError: there is none.
        """
        answer = await self._ask("GET", target, "/openapi.json")
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if answer.status != 200 or not isinstance(found, dict):
            raise OutboundError(f"{_at(target)} has no schema at /openapi.json ({answer.status})")
        return found

    async def send(self, call: Call, request: PreparedCall, target: Json) -> None:
        """Send a claimed call by PUT."""
        answer = await hand_over(self._outbound, request, inside=_inside(target))
        if answer.status in {409, 503}:
            raise NotNow(f"{_at(target)} is busy ({answer.status})", down=False)
        if 400 <= answer.status < 500:
            reason = Reason.INVALID_INPUT if answer.status == 422 else Reason.USER_ERROR
            raise Refused(reason, _refusal(answer))
        if answer.status >= 300:
            raise Unknown(f"{_at(target)} answers with {answer.status}")
        await self._calls.accepted(call.uid)

    def follow(self, target: Json) -> CogFollower:
        """Follow a call that was sent."""
        return CogFollower(self, self._calls, target, self._fate_seconds, self._monotonic)

    async def cancel(self, call: Call, target: Json) -> None:
        """Ask the server to cancel a call."""
        try:
            await self._ask("POST", target, f"/predictions/{quote(run_id(call.uid))}/cancel")
        except OutboundError as error:
            logger.info("a cancel did not reach its server: %s", error)

    async def _ask(self, method: str, target: Json, path: str) -> Answer:
        return await self._outbound.request(
            method, base_of(target) + path, inside=_inside(target), seconds=QUICK_SECONDS
        )


class CogFollower:
    """Follows one call by the health of its server."""

    def __init__(
        self,
        server: CogServer,
        calls: CallRecorder,
        target: Json,
        fate_seconds: float,
        monotonic: Monotonic,
    ) -> None:
        self._server = server
        self._calls = calls
        self._target = target
        self._fate_seconds = fate_seconds
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._strange_since: float | None = None
        self._pause = min(LOOK_SECONDS, fate_seconds / 4)

    async def look(self, call: Call, row: RunRow) -> float:
        """Check the server's health, at intervals."""
        now = self._monotonic()
        if self._looked_at is not None and now - self._looked_at < self._pause:
            return self._pause - (now - self._looked_at)
        self._looked_at = now
        strange, patience = await self._strange(call)
        if not strange:
            self._strange_since = None
            if row.started_at is not None:
                await self._calls.alive(call.uid)
            return self._pause
        if self._strange_since is None:
            self._strange_since = now
        if self._monotonic() - self._strange_since >= patience:
            raise Lost(strange)
        return self._pause

    async def _strange(self, call: Call) -> tuple[str, float]:
        """Why the call can't be running, or "", and how many seconds that is tolerated."""
        patience = self._fate_seconds
        try:
            health = await self._server.health(self._target)
        except OutboundError as error:
            return f"its server went away: {error}", patience
        if call.upstream and health.incarnation and call.upstream != health.incarnation:
            return "its server was restarted in the meantime", patience
        if health.status in BROKEN:
            return f"its server says {health.status}", patience
        if health.status == "READY" and self._target.get("concurrency", 1) == 1:
            return "its server is idle and has reported no end", patience * IDLE_FACTOR
        return "", patience


def _inside(target: Json) -> bool:
    return bool(target["endpoint"].get("service"))


def _at(target: Json) -> str:
    return urls.authority_of(base_of(target))


def _refusal(answer: Answer) -> str:
    """The server's validation errors of an input, one sentence per field."""
    try:
        detail = json.loads(answer.body).get("detail")
    except (ValueError, AttributeError):
        detail = None
    if isinstance(detail, list):
        found = [each for each in detail if isinstance(each, dict)]
        return "; ".join(
            f"{'.'.join(str(part) for part in each.get('loc') or ('input',))}: {each.get('msg')}"
            for each in found
        )
    words = detail if isinstance(detail, str) else answer.text[:500]
    return f"The model's server refuses the prediction ({answer.status}): {words}"
