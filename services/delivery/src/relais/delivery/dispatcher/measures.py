"""What the dispatchers count, by connector; never by tenant, document or endpoint."""

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryAbandoned, DeliveryAccepted, DeliverySucceeded
from relais.delivery.domain.answers import Accepted, Answer, Refused, Retry, Succeeded, Unknown
from relais.delivery.domain.retrying import read
from relais.transport.meters import Counting, Meters, Observing

_RESULTS: dict[type[Answer], str] = {
    Succeeded: "succeeded",
    Accepted: "accepted",
    Retry: "retry",
    Refused: "refused",
    Unknown: "unknown",
}
_OUTCOMES: dict[type[Fact], str] = {DeliverySucceeded: "succeeded", DeliveryAccepted: "accepted", DeliveryAbandoned: "abandoned"}


class Measures:
    """The children of the metrics table that one connector's calls feed, looked up once."""

    def __init__(self, meters: Meters, connector: str) -> None:
        self._attempts: dict[type[Answer], Counting] = {
            kind: meters.counter("relais_delivery_attempts_total", connector, name) for kind, name in _RESULTS.items()
        }
        self._outcomes: dict[type[Fact], Counting] = {
            kind: meters.counter("relais_deliveries_total", connector, name) for kind, name in _OUTCOMES.items()
        }
        self._seconds: Observing = meters.histogram("relais_delivery_call_duration_seconds", connector)
        self._end_to_end: Observing = meters.histogram("relais_end_to_end_seconds", connector)

    def called(self, answer: Answer, seconds: float) -> None:
        """A partner answered, or did not."""
        self._attempts[type(answer)].inc()
        self._seconds.observe(seconds)

    def recorded(self, fact: Fact, received_at: str, now: float) -> None:
        """A fact was recorded; `now` in seconds since 1970."""
        outcome = self._outcomes.get(type(fact))
        if outcome is not None:
            outcome.inc()
        if isinstance(fact, DeliverySucceeded):
            self._end_to_end.observe(now - read(received_at).timestamp())
