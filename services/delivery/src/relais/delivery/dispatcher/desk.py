"""What one replica has in flight for one endpoint, and how much more it may take. No waiting happens here."""

from collections import deque
from collections.abc import Iterable

from relais.clock import Clock
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.dispatcher.settings import READY_MAXIMUM, WINDOW_BYTES_MAXIMUM, WINDOW_DOCUMENTS_MAXIMUM
from relais.delivery.ports import DeliveryId

# A plan that reserved a place and whose commit nobody ever heard of gives it back after this; its row in the queue remains.
RESERVATION_SECONDS_MAXIMUM = 30.0


class Desk:
    """A delivery is in flight from the moment its attempt is decided until its answer is recorded; nobody may pull it meanwhile.

    `ready` have a recorded attempt and wait for their body; the window bounds the bodies in memory.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_flight: set[DeliveryId] = set()
        self._reserved: dict[DeliveryId, float] = {}
        self._window_documents = 0
        self._window_bytes = 0
        self.ready: deque[Parcel] = deque()

    @property
    def in_flight(self) -> set[DeliveryId]:
        """Deliveries not to be pulled, those only reserved included."""
        return self._in_flight

    @property
    def room(self) -> int:
        """How many more deliveries may be taken in."""
        return READY_MAXIMUM - len(self._in_flight)

    def take(self, deliveries: Iterable[DeliveryId]) -> None:
        """These are in flight now."""
        self._in_flight.update(deliveries)

    def reserve(self, delivery: DeliveryId) -> bool:
        """Keep a place for a delivery whose attempt is about to be recorded elsewhere; False when there is none."""
        if self.room <= 0 or delivery in self._in_flight:
            return False
        self._in_flight.add(delivery)
        self._reserved[delivery] = self._clock.monotonic() + RESERVATION_SECONDS_MAXIMUM
        return True

    def hand_over(self, parcel: Parcel) -> bool:
        """The attempt of a reserved delivery is recorded. False when the reservation had run out: then the queue has it."""
        if self._reserved.pop(parcel.id, None) is None:
            return False
        parcel.looked_at = self._clock.monotonic()
        self.ready.append(parcel)
        return True

    def forget_lost_reservations(self) -> None:
        """Give places back that nobody came for."""
        now = self._clock.monotonic()
        for delivery in [delivery for delivery, until in self._reserved.items() if until < now]:
            self.finish(delivery)

    def finish(self, delivery: DeliveryId) -> None:
        """Its answer is recorded, or it was never ours."""
        self._in_flight.discard(delivery)
        self._reserved.pop(delivery, None)

    def next_batch(self) -> list[Parcel]:
        """Ready parcels whose bodies fit into the window now; a body larger than the window goes when the window is empty."""
        batch: list[Parcel] = []
        while self.ready and self._fits(self.ready[0]):
            parcel = self.ready.popleft()
            self._window_documents += 1
            self._window_bytes += parcel.size
            batch.append(parcel)
        return batch

    def leave_window(self, parcel: Parcel) -> None:
        """Its body is not in memory any more."""
        self._window_documents -= 1
        self._window_bytes -= parcel.size

    def _fits(self, parcel: Parcel) -> bool:
        if self._window_documents == 0:
            return True
        return (
            self._window_documents < WINDOW_DOCUMENTS_MAXIMUM
            and self._window_bytes + min(parcel.size, WINDOW_BYTES_MAXIMUM) <= WINDOW_BYTES_MAXIMUM
        )
