"""Metric families that can't outgrow their bounds.

A family says with its labels how many series it may have. Values that come after those share one
series whose every label is `other`, so that a sum stays whole whatever comes. A process's families
together may have `MOST_SERIES`; one too many is an error when the process starts, not a surprise on
somebody's Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from typing_extensions import override

from mayfly import __version__

MOST_SERIES = 500
STANDARD_SERIES = 16
"""Of process_*, python_gc_* and python_info."""

OTHER = "other"

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
LONG = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds, for histograms."""

_SUM = Context(prec=160)

M = TypeVar("M", Counter, Gauge, Histogram)
Labels = tuple[str, ...]

# A second series beside each counter, which only tells when the process started.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Slots:
    """Remembers which label values have a series, and sends the others to `other`."""

    def __init__(self, labels: Sequence[str], limit: int) -> None:
        self._other: Labels = (OTHER,) * len(labels)
        self._limit = limit
        self._taken: set[Labels] = set()

    def __call__(self, values: Labels) -> Labels:
        """The label values of the series that counts these."""
        if values in self._taken:
            return values
        if len(self._taken) >= self._limit:
            return self._other
        self._taken.add(values)
        return values


class Bounded(Generic[M]):
    """A labelled family of at most so many series, and one more."""

    def __init__(self, metric: M, labels: Sequence[str], limit: int) -> None:
        self._metric: M = metric
        self._slots = Slots(labels, limit)

    def of(self, *values: str) -> M:
        """The series of these label values."""
        series: M = self._metric.labels(*self._slots(values))
        return series


class ExactCounter(Collector):
    """A counter of decimals: its sum is exact, and rounded once, when it is shown."""

    def __init__(self, name: str, help_text: str, labels: Sequence[str], limit: int) -> None:
        self._name = name
        self._help = help_text
        self._labels = labels
        self._slots = Slots(labels, limit)
        self._sums: dict[Labels, Decimal] = {}

    def add(self, amount: Decimal, *values: str) -> None:
        """Count an amount, which is not negative.

        Raises:
            ValueError: it is negative.
        """
        if amount < 0:
            raise ValueError(f"{self._name} can't count {amount}: counters only go up")
        slot = self._slots(values)
        self._sums[slot] = _SUM.add(self._sums.get(slot, Decimal(0)), amount)

    @override
    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for values, total in list(self._sums.items()):
            family.add_metric(values, float(total))
        yield family


class TallyCounter(Collector):
    """A counter that somebody else keeps, by label values; read when it is shown."""

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        limit: int,
        read: Callable[[], Mapping[Labels, int]],
    ) -> None:
        self._name = name
        self._help = help_text
        self._labels = labels
        self._slots = Slots(labels, limit)
        self._read = read

    @override
    def collect(self) -> Iterable[Metric]:
        sums: dict[Labels, int] = {}
        for values, count in list(self._read().items()):
            slot = self._slots(values)
            sums[slot] = sums.get(slot, 0) + count
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for slot, count in sums.items():
            family.add_metric(slot, count)
        yield family


class Families:
    """A process's metrics, on a registry of their own.

    Attributes:
        registry: what is exposed.
        most: how many series there can be.
        help_of: the words of each family, by name as it is exposed.
        kind_of: counter, gauge or histogram, by the same name.
        labels_of: the labels, by the same name.
    """

    def __init__(self, component: str) -> None:
        self.registry = CollectorRegistry()
        self.most = STANDARD_SERIES
        self.help_of: dict[str, str] = {}
        self.kind_of: dict[str, str] = {}
        self.labels_of: dict[str, tuple[str, ...]] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        info = self._labelled_gauge(
            "mayfly_build_info", "Always 1: the version that runs.", ("version", "component"), 1
        )
        info.of(__version__, component).set(1)

    def counter(self, name: str, help_text: str) -> Counter:
        """A counter without labels. Names of counters end with `_total`."""
        self._note(name, help_text, "counter", (), 1)
        return Counter(name, help_text, registry=self.registry)

    def counters(
        self,
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        limit: int,
        *,
        start: Iterable[Labels] = (),
    ) -> Bounded[Counter]:
        """A counter with labels.

        Args:
            name: ends with `_total`.
            help_text: one sentence.
            labels: their names.
            limit: how many series it may have, beside `other`.
            start: label values that are shown from the beginning, at 0.
        """
        self._note(name, help_text, "counter", labels, limit + 1)
        family = Bounded(Counter(name, help_text, labels, registry=self.registry), labels, limit)
        for values in start:
            family.of(*values)
        return family

    def exact(
        self,
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        limit: int,
        *,
        start: Iterable[Labels] = (),
    ) -> ExactCounter:
        """A counter of decimals; `start` as of `counters`."""
        self._note(name, help_text, "counter", labels, limit + 1)
        counter = ExactCounter(name, help_text, labels, limit)
        self.registry.register(counter)
        for values in start:
            counter.add(Decimal(0), *values)
        return counter

    def tally(
        self,
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        limit: int,
        read: Callable[[], Mapping[Labels, int]],
    ) -> None:
        """A counter that somebody else keeps."""
        self._note(name, help_text, "counter", labels, limit + 1)
        self.registry.register(TallyCounter(name, help_text, labels, limit, read))

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is shown, possibly on another thread."""
        self._note(name, help_text, "gauge", (), 1)
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def gauges(
        self,
        name: str,
        help_text: str,
        label: str,
        readers: Mapping[str, Callable[[], float]],
    ) -> None:
        """A gauge with one label, whose every value has its reader."""
        family = self._labelled_gauge(name, help_text, (label,), len(readers))
        for value, read in readers.items():
            family.of(value).set_function(read)

    def histogram(self, name: str, help_text: str, buckets: Sequence[float]) -> Histogram:
        """A histogram without labels."""
        self._note(name, help_text, "histogram", (), len(buckets) + 3)
        return Histogram(name, help_text, buckets=buckets, registry=self.registry)

    def histograms(
        self,
        name: str,
        help_text: str,
        buckets: Sequence[float],
        labels: tuple[str, ...],
        limit: int,
    ) -> Bounded[Histogram]:
        """A histogram with labels."""
        self._note(name, help_text, "histogram", labels, (limit + 1) * (len(buckets) + 3))
        metric = Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)
        return Bounded(metric, labels, limit)

    def _labelled_gauge(
        self, name: str, help_text: str, labels: tuple[str, ...], limit: int
    ) -> Bounded[Gauge]:
        self._note(name, help_text, "gauge", labels, limit)
        return Bounded(Gauge(name, help_text, labels, registry=self.registry), labels, limit)

    def _note(
        self, name: str, help_text: str, kind: str, labels: tuple[str, ...], series: int
    ) -> None:
        self.most += series
        if self.most > MOST_SERIES:
            raise ValueError(f"with {name} there may be {self.most} series, over {MOST_SERIES}")
        self.help_of[name] = help_text
        self.kind_of[name] = kind
        self.labels_of[name] = labels
