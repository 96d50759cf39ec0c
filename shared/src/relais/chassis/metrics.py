"""Metrics: one table, counted in process, served for Prometheus on a port of its own.

No label ever names a tenant, a site, a document or a person: hundreds of sites times connectors would explode, and such
questions are answered from the read models. Hot paths keep the child that `Metrics.counter(...)` returns.
"""

from collections.abc import Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from relais.chassis.config import Address
from relais.chassis.metrics_table import METRICS, Kind, Metric


class UnknownMetric(KeyError):
    """No metric of that name, or not of that kind, stands in the table: a mistake of ours."""


class Counting(Protocol):
    """One counter with its labels decided."""

    def inc(self, amount: float = 1) -> None:
        """Count."""
        ...


class Measuring(Protocol):
    """One gauge with its labels decided."""

    def set(self, value: float) -> None:
        """Say how it is now."""
        ...


class Observing(Protocol):
    """One histogram with its labels decided."""

    def observe(self, amount: float) -> None:
        """Count one value."""
        ...


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._families = {metric.name: self._family(metric) for metric in METRICS}
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}

    def counter(self, name: str, *labels: str) -> Counting:
        """The counter of this name for these label values, in the table's order."""
        child = self._child(name, labels)
        if not isinstance(child, Counter):
            raise UnknownMetric(name)
        return child

    def gauge(self, name: str, *labels: str) -> Measuring:
        """The gauge of this name for these label values."""
        child = self._child(name, labels)
        if not isinstance(child, Gauge):
            raise UnknownMetric(name)
        return child

    def histogram(self, name: str, *labels: str) -> Observing:
        """The histogram of this name for these label values."""
        child = self._child(name, labels)
        if not isinstance(child, Histogram):
            raise UnknownMetric(name)
        return child

    def _child(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        # The library's own look-up of labels takes ten times this one, and a call counts several metrics.
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            family = self._families.get(name)
            if family is None:
                raise UnknownMetric(name)
            child = self._children[key] = family.labels(*labels) if labels else family
        return child

    def _family(self, metric: Metric) -> Counter | Gauge | Histogram:
        labels: Sequence[str] = metric.labels
        match metric.kind:
            case Kind.COUNTER:
                return Counter(metric.name, metric.meaning, labels, registry=self.registry)
            case Kind.GAUGE:
                return Gauge(metric.name, metric.meaning, labels, registry=self.registry)
            case Kind.HISTOGRAM:
                return Histogram(metric.name, metric.meaning, labels, registry=self.registry, buckets=metric.buckets)


class MetricsServer:
    """Serves `/metrics` from a thread of its own, so that a scrape never waits for the event loop."""

    def __init__(self, metrics: Metrics, listen: Address) -> None:
        self._server, self._thread = start_http_server(listen.port, listen.host or "::", registry=metrics.registry)
        self.port = int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
