"""The labels that an administrator may switch on: whose run, of which pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mayfly.api.v1alpha1.names import INLINE
from mayfly.telemetry.catalog import PAYER, Family
from mayfly.telemetry.families import Slots

NO_PIPELINE = "none"
"""Of a call of a Model."""

Exists = Callable[[str, str], bool]
"""Whether there is a Pipeline, by namespace and name."""


@dataclass(frozen=True)
class PayerSettings:
    """Which labels there are.

    Attributes:
        namespaces: `namespace`, who pays.
        pipelines: `pipeline`, as namespace/name.
        limit: how many different ones have series of their own: the first that come. A name that
            a run gives and no Pipeline has is not one of them.
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

    def __init__(self, settings: PayerSettings, exists: Exists) -> None:
        self._settings = settings
        self._exists = exists
        chosen = {"namespace": settings.namespaces, "pipeline": settings.pipelines}
        self.labels = tuple(name for name, wanted in chosen.items() if wanted)
        self.most = settings.limit + 1 if self.labels else 1
        self._slots = Slots(self.labels, settings.limit)

    def unnamed(self) -> Payers:
        """Payers without a label: of the families that count everybody."""
        return Payers(PayerSettings(), self._exists)

    def narrowed(self, family: Family) -> Family:
        """A family without those of these labels that are switched off."""
        off = set(PAYER) - set(self.labels)
        return replace(family, labels=tuple(each for each in family.labels if each not in off))

    def of_run(self, namespace: str, pipeline: tuple[str, str]) -> tuple[str, ...]:
        """The label values of a run.

        Args:
            namespace: who pays.
            pipeline: namespace and name of what it called; the name is "" for its own source.
        """
        known = not pipeline[1] or not self._settings.pipelines or self._exists(*pipeline)
        return self._of(namespace, "/".join(pipeline) if pipeline[1] else INLINE, known=known)

    def of_call(self, namespace: str) -> tuple[str, ...]:
        """The label values of a call of a Model; `namespace` pays."""
        return self._of(namespace, NO_PIPELINE, known=True)

    def _of(self, namespace: str, pipeline: str, *, known: bool) -> tuple[str, ...]:
        values: tuple[str, ...] = ()
        if self._settings.namespaces:
            values = (namespace,)
        if self._settings.pipelines:
            values = (*values, pipeline)
        return self._slots(values, new=known) if values else ()
