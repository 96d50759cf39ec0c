"""When the next attempt is due, and when there is none."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# Doubling further would only overflow; every sensible maximum is reached long before.
_DOUBLINGS_MAXIMUM = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Delays double from the first to the maximum. A run of attempts ends by count or by age, whichever comes first."""

    delay_seconds_first: float = 2.0
    delay_seconds_maximum: float = 900.0
    attempts_maximum: int = 400
    age_seconds_maximum: float = 72 * 3600.0

    def delay_seconds(self, failures: int, jitter: float, asked_seconds: float | None = None) -> float:
        """Seconds to wait after this many failures in a row (from 1), between half of the doubled delay and the whole of it.

        `jitter` is a chance in [0, 1), drawn by the caller. A partner that asks for more time gets it, up to the maximum.
        """
        doubled = self.delay_seconds_first * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS_MAXIMUM)
        delay = min(doubled, self.delay_seconds_maximum) * (0.5 + jitter / 2)
        return max(delay, min(asked_seconds or 0.0, self.delay_seconds_maximum))

    def exhausted(self, attempts: int, since: datetime, now: datetime) -> bool:
        """Whether a run of so many attempts that began at `since` is over."""
        return attempts >= self.attempts_maximum or now - since >= timedelta(seconds=self.age_seconds_maximum)


def written(moment: datetime) -> str:
    """A moment as facts write it: RFC 3339, UTC, milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(text: str) -> datetime:
    """The moment that a fact wrote."""
    return datetime.fromisoformat(text)
