"""One delivery in the hands of this replica."""

from dataclasses import dataclass

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryScheduled
from relais.delivery.domain.delivery import delivery
from relais.delivery.domain.state import DeliveryState
from relais.delivery.ports import DeliveryId


@dataclass(slots=True)
class Parcel:
    """What is known of one delivery: what to carry, how it stands, and the version of its stream that this follows from."""

    id: DeliveryId
    scheduled: DeliveryScheduled
    partition: int
    traceparent: str
    state: DeliveryState
    version: int

    @property
    def size(self) -> int:
        """Plaintext bytes of the body."""
        return self.scheduled.submission.body.size

    def follow(self, facts: list[Fact], version: int) -> None:
        """These facts were stored; `version` is the stream's now."""
        self.state = delivery.fold(facts, self.state)
        self.version = version
