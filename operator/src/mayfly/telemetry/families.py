"""Metric families that can't outgrow their bounds.

A family says with its labels how many series it may have. Values that come after those share one
series whose every label is `other`, so that a sum stays whole whatever comes. A process's families
together may have `MOST_SERIES`; one too many is an error when the process starts, not a surprise on
somebody's Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from mayfly.telemetry.catalog import BUILD_INFO, Family, Kind

MOST_SERIES = 500
STANDARD_SERIES = 16
"""Of process_*, python_gc_* and python_info."""

OTHER = "other"

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
LONG = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds, for histograms."""

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

    def __call__(self, values: Labels, *, new: bool = True) -> Labels:
        """The label values of the series that counts these.

        Args:
            values: what is counted.
            new: whether they may take a series that is free.
        """
        if values in self._taken:
            return values
        if not new or len(self._taken) >= self._limit:
            return self._other
        self._taken.add(values)
        return values


class Bounded(Generic[M]):
    """A labelled family of at most so many series, and one more."""

    def __init__(self, metric: M, labels: Sequence[str], limit: int) -> None:
        self._metric: M = metric
        self._slots = Slots(labels, limit)

    def of(self, *values: str) -> M:
        """The series of these label values; a family without labels is its one series."""
        series: M = self._metric.labels(*self._slots(values)) if values else self._metric
        return series


class TallyCounter(Collector):
    """A counter that somebody else keeps, by label values; read when it is shown."""

    def __init__(
        self, family: Family, limit: int, read: Callable[[], Mapping[Labels, int]]
    ) -> None:
        self._family = family
        self._slots = Slots(family.labels, limit)
        self._read = read

    @override
    def collect(self) -> Iterable[Metric]:
        sums: dict[Labels, int] = {}
        for values, count in list(self._read().items()):
            slot = self._slots(values)
            sums[slot] = sums.get(slot, 0) + count
        shown = CounterMetricFamily(
            self._family.name, self._family.help, labels=self._family.labels
        )
        for slot, count in sums.items():
            shown.add_metric(slot, count)
        yield shown


class Families:
    """A process's metrics, on a registry of their own.

    Attributes:
        registry: what is exposed.
        most: how many series there can be.
        known: the families, by name.
    """

    def __init__(self, component: str) -> None:
        self.registry = CollectorRegistry()
        self.most = STANDARD_SERIES
        self.known: dict[str, Family] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        info = self.labelled_gauge(BUILD_INFO, 1)
        info.of(__version__, component).set(1)

    def counter(self, family: Family) -> Counter:
        """A counter without labels."""
        self._add(family, Kind.COUNTER, 1)
        return Counter(family.name, family.help, registry=self.registry)

    def counters(
        self, family: Family, limit: int, *, start: Iterable[Labels] = ()
    ) -> Bounded[Counter]:
        """A counter with labels.

        Args:
            family: its declaration.
            limit: how many series it may have, beside `other`.
            start: label values that are shown from the beginning, at 0.
        """
        self._add(family, Kind.COUNTER, limit + 1)
        metric = Counter(family.name, family.help, family.labels, registry=self.registry)
        bounded = Bounded(metric, family.labels, limit)
        for values in start:
            bounded.of(*values)
        return bounded

    def tally(self, family: Family, limit: int, read: Callable[[], Mapping[Labels, int]]) -> None:
        """A counter that somebody else keeps."""
        self._add(family, Kind.COUNTER, limit + 1)
        self.registry.register(TallyCounter(family, limit, read))

    def gauge(self, family: Family, read: Callable[[], float]) -> None:
        """A gauge that is read when it is shown, possibly on another thread."""
        self._add(family, Kind.GAUGE, 1)
        Gauge(family.name, family.help, registry=self.registry).set_function(read)

    def gauges(self, family: Family, readers: Mapping[str, Callable[[], float]]) -> None:
        """A gauge with one label, whose every value has its reader."""
        gauge = self.labelled_gauge(family, len(readers))
        for value, read in readers.items():
            gauge.of(value).set_function(read)

    def histogram(self, family: Family, buckets: Sequence[float]) -> Histogram:
        """A histogram without labels."""
        self._add(family, Kind.HISTOGRAM, len(buckets) + 3)
        return Histogram(family.name, family.help, buckets=buckets, registry=self.registry)

    def histograms(
        self, family: Family, buckets: Sequence[float], limit: int
    ) -> Bounded[Histogram]:
        """A histogram with labels."""
        self._add(family, Kind.HISTOGRAM, (limit + 1) * (len(buckets) + 3))
        metric = Histogram(
            family.name, family.help, family.labels, buckets=buckets, registry=self.registry
        )
        return Bounded(metric, family.labels, limit)

    def labelled_gauge(self, family: Family, limit: int) -> Bounded[Gauge]:
        """A gauge with labels, of so many series; each is given its reader or its value."""
        self._add(family, Kind.GAUGE, limit)
        metric = Gauge(family.name, family.help, family.labels, registry=self.registry)
        return Bounded(metric, family.labels, limit)

    def _add(self, family: Family, kind: Kind, series: int) -> None:
        if family.kind is not kind:
            raise ValueError(f"{family.name} is declared as a {family.kind}, not as a {kind}")
        self.most += series
        if self.most > MOST_SERIES:
            raise ValueError(
                f"with {family.name} there may be {self.most} series, over {MOST_SERIES}"
            )
        self.known[family.name] = family
