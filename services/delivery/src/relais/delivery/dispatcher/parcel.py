"""One delivery in the hands of this replica."""

from dataclasses import dataclass

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryScheduled
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.state import DeliveryState
from relais.delivery.ports import DeliveryId


@dataclass(slots=True)
class Parcel:
    """What is known of one delivery: what to carry, how it stands, and the version of its stream that this follows from.

    `looked_at` is when it was last certain that nobody had withdrawn it, in the clock's monotonic seconds: a plan that was just
    committed is routing's newest word, and a row that was just pulled was neither withdrawn nor parked.
    """

    id: DeliveryId
    scheduled: DeliveryScheduled
    partition: int
    traceparent: str
    state: DeliveryState
    version: int
    looked_at: float = 0.0

    @property
    def size(self) -> int:
        """Plaintext bytes of the body."""
        return self.scheduled.submission.body.size

    def follow(self, facts: list[Fact], version: int) -> None:
        """These facts were stored; `version` is the stream's now."""
        self.state = delivery.fold(facts, self.state)
        self.version = version
