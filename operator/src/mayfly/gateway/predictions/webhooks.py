"""Webhook delivery: `start`, `output`, `logs`, `completed`.

Only `completed` is retried, with backoff for about a minute, and by another gateway if this one is
killed. The other events are sent once, and superseded by later ones.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from mayfly.clock import Clock, Monotonic
from mayfly.database.engine import Database
from mayfly.gateway.access.signing import SigningKey
from mayfly.gateway.http.outbound import Forbidden, Outbound, OutboundError
from mayfly.gateway.lifecycle import archive, deliveries
from mayfly.gateway.lifecycle.deliveries import Delivery
from mayfly.gateway.lifecycle.notices import Notices
from mayfly.gateway.lifecycle.states import State
from mayfly.gateway.metrics.counters import Metrics
from mayfly.gateway.predictions.finder import Predictions
from mayfly.gateway.predictions.presenter import Presenter
from mayfly.gateway.predictions.snapshots import Prediction, Snapshot
from mayfly.reconcile.failing import Trouble
from mayfly.workqueue import Failure, WorkQueue

logger = logging.getLogger(__name__)

BACKOFF = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between attempts to deliver `completed`: about a minute in total."""

NEWS_SECONDS = 0.5
"""Minimum interval between `output` events, and between `logs` events."""

ANSWER_SECONDS = 10.0
ANSWER_BYTES = 64 * 1024


def webhook_secret(key: SigningKey, namespace: str) -> bytes:
    """The signing secret of a namespace's webhooks."""
    return bytes.fromhex(key.sign("webhook", namespace))


def shown_secret(key: SigningKey, namespace: str) -> str:
    """The secret as shown to receivers: standard base64, so that it has no second `_`."""
    return f"whsec_{base64.b64encode(webhook_secret(key, namespace)).decode()}"


def signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of the header `webhook-signature`."""
    signed = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


@dataclass
class Progress:
    """What this process has sent to a receiver; not stored, because these events are sent once.

    Attributes:
        items: of its output.
        log: bytes of its log.
        told_at: when, on the monotonic clock.
        count: how many messages.
    """

    items: int = 0
    log: int = 0
    told_at: float = float("-inf")
    count: int = 0


class Webhooks:
    """Watches predictions that have a webhook, and delivers their events."""

    def __init__(
        self,
        *,
        predictions: Predictions,
        presenter: Presenter,
        database: Database,
        outbound: Outbound,
        notices: Notices,
        metrics: Metrics,
        workqueue: WorkQueue[str],
        key: SigningKey,
        base: str,
        clock: Clock,
        monotonic: Monotonic,
    ) -> None:
        """Create the task without starting it.

        Args:
            predictions: reads the predictions.
            presenter: renders them.
            database: has the deliveries.
            outbound: sends the requests.
            notices: notifies of changes.
            metrics: counts attempts.
            workqueue: the predictions to look at.
            key: the signing key.
            base: the base URL of links, for receivers.
            clock: for timestamps.
            monotonic: for intervals.
        """
        self._predictions = predictions
        self._presenter = presenter
        self._database = database
        self._outbound = outbound
        self._metrics = metrics
        self._key = key
        self._base = base
        self._clock = clock
        self._monotonic = monotonic
        self._workqueue = workqueue
        self._progress: dict[str, Progress] = {}
        notices.news.listen(self._on_news)

    def committed(self, noted: object) -> None:
        """Called after a commit: if it opened a prediction with a webhook, start to watch it."""
        if isinstance(noted, deliveries.Owed):
            self.expect(noted.run_uid)

    def expect(self, uid: str) -> None:
        """Watch a prediction that was opened with a webhook."""
        self._progress.setdefault(uid, Progress())
        self._workqueue.add(uid)

    async def run(self) -> None:
        """Deliver until cancelled, beginning with what an earlier process left."""
        async with self._database.read(bulk=True) as tx:
            for uid in await deliveries.owed(tx):
                self.expect(uid)
        await self._workqueue.run(self._look, failing=self._failed)

    def _on_news(self, uid: str) -> None:
        if uid in self._progress:
            self._workqueue.add(uid)

    async def _look(self, uid: str) -> None:
        async with self._database.read() as tx:
            owed = await deliveries.find(tx, uid)
        if owed is None or owed.due_at is None:
            self._progress.pop(uid, None)
            return
        found = await self._predictions.get_trusted(owed.id)
        if found is None:
            return
        if found.row.started_at is not None and not owed.started:
            await self._tell_start(owed, found)
        if found.ended:
            await self._tell_end(owed, found)
        else:
            await self._tell_news(owed, found)

    async def _failed(self, uid: str, failure: Failure) -> None:
        """Give up a webhook at which the gateway itself fails again and again."""
        trouble = Trouble("gateway", failure.tries, failure.seconds, failure.error)
        if not trouble.ends:
            return
        async with self._database.read() as tx:
            owed = await deliveries.find(tx, uid)
        if owed is not None and owed.due_at is not None:
            await self._settle(owed, f"The webhook was not delivered: {trouble.words}")

    # -- news ------------------------------------------------------------------------------------

    async def _tell_start(self, owed: Delivery, found: Prediction) -> None:
        async with self._database.write() as tx:
            if not await deliveries.note_start(tx, owed.run_uid):
                return
        if owed.wants("start"):
            began = replace(
                await self._predictions.snapshot(found), state=State.PROCESSING, output=None
            )
            await self._try(owed, began, "start")

    async def _tell_news(self, owed: Delivery, found: Prediction) -> None:
        progress = self._progress.setdefault(owed.run_uid, Progress())
        left = progress.told_at + NEWS_SECONDS - self._monotonic()
        if left > 0:
            self._workqueue.add_after(owed.run_uid, left)
            return
        async with self._database.read() as tx:
            items = (await archive.output_size(tx, owed.run_uid)).items
            log = (await archive.log_size(tx, owed.run_uid)).kept
        news = [
            event
            for event, more in (("output", items > progress.items), ("logs", log > progress.log))
            if more and owed.wants(event)
        ]
        progress.items, progress.log = items, log
        if not news:
            return
        # Read after counting, so that the body contains at least what is announced.
        shown = await self._predictions.snapshot(found)
        if shown.ended:
            await self._tell_end(owed, shown)
            return
        for event in news:
            progress.told_at = self._monotonic()
            progress.count += 1
            await self._try(owed, shown, event, f"-{progress.count}")

    async def _try(self, owed: Delivery, found: Snapshot, event: str, suffix: str = "") -> None:
        try:
            await self._send(owed, found, event, suffix)
        except OutboundError as error:
            logger.info("a webhook was not delivered: %s", error, extra={"prediction": owed.id})

    # -- the end ---------------------------------------------------------------------------------

    async def _tell_end(self, owed: Delivery, found: Prediction) -> None:
        if not owed.wants("completed"):
            await self._settle(owed, "")
            return
        now = self._clock()
        # Until the end, `due_at` is when the prediction was opened.
        if owed.due_at is not None and owed.due_at > now:
            self._workqueue.add_after(owed.run_uid, (owed.due_at - now).total_seconds())
            return
        if owed.attempts > len(BACKOFF):
            await self._settle(owed, "The webhook was not delivered.")
            return
        pause = BACKOFF[min(owed.attempts, len(BACKOFF) - 1)]
        async with self._database.write() as tx:
            again_at = now + timedelta(seconds=pause)
            if not await deliveries.claim(tx, owed, again_at):
                self._workqueue.add_after(owed.run_uid, pause)
                return
        try:
            await self._send(owed, await self._predictions.snapshot(found), "completed")
        except OutboundError as error:
            last = isinstance(error, Forbidden) or owed.attempts >= len(BACKOFF)
            logger.info("a webhook was not delivered: %s", error, extra={"prediction": owed.id})
            if last:
                await self._settle(owed, f"The webhook was not delivered: {error}")
            else:
                self._workqueue.add_after(owed.run_uid, pause)
        else:
            await self._settle(owed, "")

    async def _settle(self, owed: Delivery, error: str) -> None:
        async with self._database.write() as tx:
            await deliveries.settle(tx, owed.run_uid, error)
        if error:
            self._metrics.webhooks_abandoned.inc()
        self._progress.pop(owed.run_uid, None)

    # -- one call --------------------------------------------------------------------------------

    async def _send(self, owed: Delivery, found: Snapshot, event: str, suffix: str = "") -> None:
        """Send one event, and count the result.

        Raises:
            OutboundError: the receiver did not answer, or not with 2xx.
        """
        try:
            await self._post(owed, found, f"{owed.id}-{event}{suffix}")
        except OutboundError:
            self._metrics.webhooks.of(event, "failed").inc()
            raise
        self._metrics.webhooks.of(event, "delivered").inc()

    async def _post(self, owed: Delivery, found: Snapshot, message_id: str) -> None:
        body = (await self._presenter.body(found, self._base)).encode("utf-8", "replace")
        timestamp = str(int(self._clock().timestamp()))
        secret = webhook_secret(self._key, owed.namespace)
        answer = await self._outbound.request(
            "POST",
            owed.url,
            headers={
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(secret, message_id, timestamp, body),
            },
            content=body,
            seconds=ANSWER_SECONDS,
            limit=ANSWER_BYTES,
        )
        if not 200 <= answer.status < 300:
            raise OutboundError(f"The receiver answered {answer.status}.")
