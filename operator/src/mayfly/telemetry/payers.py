"""The labels that an administrator may switch on: whose run, of which pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mayfly.telemetry.catalog import PAYER, Family
from mayfly.telemetry.families import Slots

NO_PIPELINE = "none"
"""Of a run that brings its own source, and of a call of a Model."""


@dataclass(frozen=True)
class PayerSettings:
    """Which labels there are.

    Attributes:
        namespaces: `namespace`, who pays.
        pipelines: `pipeline`, as namespace/name.
        limit: how many different ones have series of their own; the first that come.
    """

    namespaces: bool = False
    pipelines: bool = False
    limit: int = 10


class Payers:
    """Gives the values of those labels, the same for every family.

    Attributes:
        labels: their names; empty unless switched on.
        most: how many different values there can be.
    """

    def __init__(self, settings: PayerSettings) -> None:
        self._settings = settings
        chosen = {"namespace": settings.namespaces, "pipeline": settings.pipelines}
        self.labels = tuple(name for name, wanted in chosen.items() if wanted)
        self.most = settings.limit + 1 if self.labels else 1
        self._slots = Slots(self.labels, settings.limit)

    def narrowed(self, family: Family) -> Family:
        """A family without those of these labels that are switched off."""
        off = set(PAYER) - set(self.labels)
        return replace(family, labels=tuple(each for each in family.labels if each not in off))

    def of(self, namespace: str, pipeline: str) -> tuple[str, ...]:
        """The label values of one usage record.

        Args:
            namespace: who pays.
            pipeline: namespace/name, "" for none.
        """
        values: tuple[str, ...] = ()
        if self._settings.namespaces:
            values = (namespace,)
        if self._settings.pipelines:
            values = (*values, pipeline or NO_PIPELINE)
        return self._slots(values) if values else ()
