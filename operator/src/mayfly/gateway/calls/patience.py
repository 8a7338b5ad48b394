"""Repeats work on a call of a Model that fails unexpectedly, and at last ends the call in words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mayfly.api.v1alpha1 import Reason
from mayfly.clock import Monotonic
from mayfly.database.engine import insist
from mayfly.gateway.calls.recorder import CallRecorder
from mayfly.gateway.calls.server import NotNow, Refused
from mayfly.reconcile.failing import END_TRIES, Trouble
from mayfly.workqueue import BACKOFF_FIRST

logger = logging.getLogger(__name__)


class Patience:
    """Tries again for a few seconds."""

    def __init__(
        self, calls: CallRecorder, failed: Callable[[str], None], monotonic: Monotonic
    ) -> None:
        """Get ready.

        Args:
            calls: ends calls.
            failed: counts an unexpected error, by what it was about.
            monotonic: of durations.
        """
        self._calls = calls
        self._failed = failed
        self._monotonic = monotonic

    async def with_call(self, uid: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something that can be repeated for a call; if it fails again and again, end the call.

        Raises:
            NotNow: the call has to wait.
            Refused: the call is to end.
        """
        began, tries = self._monotonic(), 0
        while True:
            try:
                await insist(act)
            except (NotNow, Refused):
                raise
            except Exception as error:
                logger.exception("a call of a Model failed", extra={"call": uid})
                self._failed("calls")
                tries += 1
                if tries >= END_TRIES:
                    spent = self._monotonic() - began
                    await self._end(uid, Trouble("gateway", tries, spent, error))
                    return
            else:
                return
            await asyncio.sleep(BACKOFF_FIRST * 2**tries)

    async def _end(self, uid: str, trouble: Trouble) -> None:
        await insist(lambda: self._calls.fail(uid, Reason.INTERNAL_ERROR, trouble.words))
