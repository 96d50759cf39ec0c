"""What relay and consumers count: the three questions they ask of `relais.chassis.metrics.Metrics`, and nobody to answer them in tests."""

from typing import Protocol


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


class Meters(Protocol):
    """Metrics by name."""

    def counter(self, name: str, *labels: str) -> Counting:
        """The counter of this name for these label values."""
        ...

    def gauge(self, name: str, *labels: str) -> Measuring:
        """The gauge of this name for these label values."""
        ...

    def histogram(self, name: str, *labels: str) -> Observing:
        """The histogram of this name for these label values."""
        ...


class Unmetered:
    """Counts nothing."""

    def counter(self, _name: str, *_labels: str) -> "Unmetered":
        return self

    def gauge(self, _name: str, *_labels: str) -> "Unmetered":
        return self

    def histogram(self, _name: str, *_labels: str) -> "Unmetered":
        return self

    def inc(self, amount: float = 1) -> None:
        """Count nothing."""

    def set(self, value: float) -> None:
        """Say nothing."""

    def observe(self, amount: float) -> None:
        """Count nothing."""
