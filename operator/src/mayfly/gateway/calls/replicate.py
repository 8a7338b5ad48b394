"""Replicate-compatible APIs: predictions are created by POST and polled until they end."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from mayfly.api.v1alpha1 import Reason
from mayfly.api.v1alpha1.pipeline import SecretKeyRef
from mayfly.clock import Monotonic
from mayfly.database.engine import insist
from mayfly.gateway.calls import news
from mayfly.gateway.calls.outputs import Fetchable
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.calls.replies import Replies
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
from mayfly.gateway.files import links
from mayfly.gateway.files.store import Files, StoredFile, references
from mayfly.gateway.http import rawjson
from mayfly.gateway.http.outbound import Answer, Forbidden, Outbound, OutboundError
from mayfly.gateway.secrets.lookup import SecretLookup, SecretUnavailable
from mayfly.gateway.secrets.sealed import Sealed, Unsealable
from mayfly.kube.errors import KubeError
from mayfly.metering.ledger import RunRow
from mayfly_runtime.spec import urls

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
POLL_MAX_SECONDS = 5.0
POLL_GROWTH = 1.3
ALIVE_SECONDS = 5.0
UPLOAD_SECONDS = 300.0
INPUT_REFUSED = frozenset({400, 413, 422})
DELIVERY = ".replicate.delivery"
"""The domain from which Replicate serves the files of outputs."""


class ReplicateServer:
    """Client of a Replicate-compatible API: prepares, creates, polls and cancels predictions."""

    def __init__(
        self,
        *,
        outbound: Outbound,
        calls: CallRecorder,
        replies: Replies,
        files: Files,
        sealed: Sealed,
        lookup: SecretLookup,
        fate_seconds: float,
        answer_bytes: int,
        monotonic: Monotonic,
    ) -> None:
        self._outbound = outbound
        self._calls = calls
        self._replies = replies
        self._files = files
        self._sealed = sealed
        self._lookup = lookup
        self._fate_seconds = fate_seconds
        self._answer_bytes = answer_bytes
        self._monotonic = monotonic

    # -- sent ------------------------------------------------------------------------------------

    async def prepare(self, row: RunRow, target: Json) -> PreparedCall:
        """Prepare a call: read the token, upload the input's files to the upstream."""
        token = await self.token(target)
        text = await self._input(row, target, token)
        fields: dict[str, Any] = {"input": rawjson.RawJSON(text)}
        version = target.get("upstreamVersion")
        if version:
            fields = {"version": version, **fields}
            path = "/predictions"
        else:
            path = f"/models/{quote(target['replicate']['model'])}/predictions"
        return PreparedCall(
            method="POST",
            url=_base(target) + path,
            headers={
                "Content-Type": "application/json",
                # Upstreams that do not support it ignore it; we send only once in any case.
                "Idempotency-Key": row.uid,
                **_authorization(token),
            },
            body=rawjson.dumps(fields).encode("utf-8", "surrogatepass"),
        )

    async def token(self, target: Json) -> str:
        """The upstream's token, "" for none.

        Raises:
            Refused: the token is not available.
            NotNow: the API server does not answer.
        """
        reference = target["replicate"].get("tokenSecretRef")
        if not reference:
            return ""
        try:
            secret = SecretKeyRef.model_validate(reference)
            return (await self._lookup.value(target["namespace"], secret)).strip()
        except SecretUnavailable as error:
            raise Refused(Reason.SECRET_UNAVAILABLE, str(error)) from None
        except KubeError as error:
            raise NotNow(f"the Kubernetes API does not answer: {error}", down=False) from None

    async def _input(self, row: RunRow, target: Json, token: str) -> str:
        """The input with its secrets, and with our files replaced by the upstream's."""
        try:
            text = await self._sealed.opened(row.uid, row.input_json)
        except Unsealable as error:
            raise Refused(Reason.SECRET_UNAVAILABLE, str(error)) from None
        known = await self._files.find_all(references(row.input_json))
        brought = {
            each.id: await self._upload(each, target, token)
            for each in known.values()
            if each.namespace == row.namespace
        }
        return links.with_links(text, brought) if brought else text

    async def _upload(self, file: StoredFile, target: Json, token: str) -> str:
        boundary = f"mayfly-{file.id}"
        name = file.name.replace("\\", "_").replace('"', "_")
        head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="content"; filename="{name}"\r\n'
            f"Content-Type: {file.content_type}\r\n\r\n"
        ).encode()
        foot = f"\r\n--{boundary}--\r\n".encode()

        async def body() -> AsyncIterator[bytes]:
            yield head
            async for piece in await self._files.read(file.id):
                yield bytes(piece)
            yield foot

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + file.size + len(foot)),
            **_authorization(token),
        }
        try:
            answer = await self._outbound.request(
                "POST",
                f"{_base(target)}/files",
                headers=headers,
                content=body(),
                seconds=UPLOAD_SECONDS,
            )
        except Forbidden as error:
            raise Refused(Reason.UNREACHABLE, f"The model can't be called: {error}") from None
        except OutboundError as error:
            # Uploading a file twice does no harm.
            raise NotNow(str(error), down=True) from None
        if answer.status in {429, 500, 502, 503, 504}:
            raise NotNow(f"{_at(target)} accepts no files now ({answer.status})", down=True)
        url = _url_of(answer)
        if answer.status >= 300 or not url:
            raise Refused(
                Reason.INPUT_FETCH_FAILED,
                f'The file "{file.name}" can\'t be uploaded to {_at(target)}: {_detail(answer)}',
            )
        return url

    async def send(self, call: Call, request: PreparedCall, target: Json) -> None:
        """Create the prediction at the upstream, once."""
        answer = await hand_over(self._outbound, request, limit=self._answer_bytes)
        if answer.status in {429, 503}:
            words = f"{_at(target)} accepts no predictions now ({answer.status}): {_detail(answer)}"
            raise NotNow(words, down=answer.status == 503, after=_after(answer))
        if 300 <= answer.status < 500:
            about_input = answer.status in INPUT_REFUSED
            reason = Reason.INVALID_INPUT if about_input else Reason.UNREACHABLE
            raise Refused(
                reason,
                f"{_at(target)} refuses the prediction ({answer.status}): {_detail(answer)}",
            )
        if answer.status >= 500:
            raise Unknown(f"{_at(target)} answers with {answer.status}")
        try:
            made = news.read(answer.body)
        except news.Garbage as error:
            raise Unknown(f"{_at(target)} gave an invalid answer: {error}") from None
        if not made.identity:
            raise Unknown(f"{_at(target)} answers with a prediction without an id")
        await insist(lambda: self._calls.accepted(call.uid, made.identity))
        await self._replies.hear(call.uid, made, fetchable=fetchable(target))

    # -- followed --------------------------------------------------------------------------------

    def follow(self, target: Json) -> ReplicateFollower:
        """Follow a call that was sent."""
        return ReplicateFollower(
            self, self._calls, self._replies, target, self._fate_seconds, self._monotonic
        )

    async def state(self, call: Call, target: Json, token: str) -> Answer:
        """Read the prediction from the upstream."""
        return await self._get(f"/predictions/{quote(call.upstream, safe='')}", target, token)

    async def cancel(self, call: Call, target: Json) -> None:
        """Ask the upstream to cancel the prediction."""
        if not call.upstream:
            return
        try:
            token = await self.token(target)
            await self._outbound.request(
                "POST",
                f"{_base(target)}/predictions/{quote(call.upstream, safe='')}/cancel",
                headers=_authorization(token),
                limit=self._answer_bytes,
            )
        except (OutboundError, Refused, NotNow) as error:
            logger.info("a cancel did not reach its server: %s", error)

    # -- what it is ------------------------------------------------------------------------------

    async def describe(self, target: Json) -> tuple[Json, str]:
        """The schema of the upstream's model, and the version id to call; "" to call it by name.

        Raises:
            OutboundError: the upstream did not answer properly.
            Refused: the token is not available.
            NotNow: the API server does not answer.
        """
        token = await self.token(target)
        path = f"/models/{quote(target['replicate']['model'])}"
        answer = await self._get(path, target, token)
        if answer.status != 200:
            raise OutboundError(f"{_at(target)} says {answer.status}: {_detail(answer)}")
        latest = _member(answer, "latest_version")
        schema = latest.get("openapi_schema") if isinstance(latest, dict) else None
        if not isinstance(schema, dict):
            raise OutboundError(f"{_at(target)} has no schema for {target['replicate']['model']}")
        # Like Replicate's own clients: a model whose versions are not listed is called by name. So
        # is one whose version was learned between the two answers.
        versions = await self._get(f"{path}/versions", target, token)
        listed = _member(versions, "results") if versions.status == 200 else None
        ids = {each.get("id") for each in listed or () if isinstance(each, dict)}
        version = latest.get("id")
        return schema, version if isinstance(version, str) and version in ids else ""

    async def _get(self, path: str, target: Json, token: str) -> Answer:
        return await self._outbound.request(
            "GET", _base(target) + path, headers=_authorization(token), limit=self._answer_bytes
        )


class ReplicateFollower:
    """Polls one prediction."""

    def __init__(
        self,
        server: ReplicateServer,
        calls: CallRecorder,
        replies: Replies,
        target: Json,
        fate_seconds: float,
        monotonic: Monotonic,
    ) -> None:
        self._server = server
        self._calls = calls
        self._replies = replies
        self._target = target
        self._fate_seconds = fate_seconds
        self._monotonic = monotonic
        self._pause = POLL_SECONDS
        self._before = b""
        self._alive_at = 0.0
        self._refused_since: float | None = None
        self._token: str | None = None

    async def look(self, call: Call, row: RunRow) -> float:  # noqa: ARG002 - what all are given
        """Poll once."""
        if not call.upstream:
            raise Lost("it is unknown whether it arrived")
        self._pause = min(self._pause * POLL_GROWTH, POLL_MAX_SECONDS)
        try:
            if self._token is None:
                self._token = await self._server.token(self._target)
            answer = await self._server.state(call, self._target, self._token)
        except (OutboundError, NotNow) as error:
            # The prediction still exists; spec.timeout ends the wait.
            logger.info("an upstream does not answer: %s", error)
            return self._pause
        except Refused as error:
            self._refuse(str(error))
            return self._pause
        if answer.status == 429 or answer.status >= 500:
            return max(self._pause, _after(answer))
        if answer.status >= 300:
            self._token = None
            self._refuse(f"{_at(self._target)} says {answer.status}: {_detail(answer)}")
            return self._pause
        await self._take(call, answer)
        return self._pause

    def _refuse(self, words: str) -> None:
        now = self._monotonic()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since >= self._fate_seconds:
            raise Lost(words)

    async def _take(self, call: Call, answer: Answer) -> None:
        now = self._monotonic()
        if answer.body == self._before:
            self._refused_since = None
            if now - self._alive_at >= ALIVE_SECONDS:
                self._alive_at = now
                await self._calls.alive(call.uid)
            return
        try:
            told = news.read(answer.body)
        except news.Garbage as error:
            self._refuse(f"{_at(self._target)} gave an invalid answer: {error}")
            return
        self._refused_since = None
        self._before, self._alive_at = answer.body, now
        self._pause = POLL_SECONDS
        await self._replies.hear(call.uid, told, fetchable=fetchable(self._target))


def fetchable(target: Json) -> Fetchable | None:
    """Which strings of an output are files: by the schema, otherwise by their host."""
    files = target.get("outputFiles")
    if files is False:
        return None
    own = _at(target)

    def by_place(text: str) -> bool:
        try:
            place = urls.read(text) if urls.is_http(text) else None
        except urls.URLError:
            return False
        return place is not None and (place.authority == own or place.host.endswith(DELIVERY))

    return urls.is_http if files else by_place


def _base(target: Json) -> str:
    return str(target["replicate"].get("baseURL") or "https://api.replicate.com/v1").rstrip("/")


def _at(target: Json) -> str:
    return urls.authority_of(_base(target))


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _member(answer: Answer, name: str) -> Any:
    try:
        return json.loads(answer.body).get(name)
    except (ValueError, AttributeError):
        return None


def _url_of(answer: Answer) -> str:
    named = _member(answer, "urls")
    url = named.get("get") if isinstance(named, dict) else None
    return url if isinstance(url, str) else ""


def _detail(answer: Answer) -> str:
    detail = _member(answer, "detail")
    return detail[:500] if isinstance(detail, str) else answer.text[:200]


def _after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 60.0) if text.isdecimal() else 0.0
