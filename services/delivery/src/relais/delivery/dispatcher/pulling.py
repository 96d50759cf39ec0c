"""Taking what is due from the queue: a bounded batch at a time, whose attempts are recorded while earlier calls are still under way."""

from collections.abc import Callable, Sequence

from relais.contracts import Fact, UnknownTag
from relais.contracts.delivery import DeliveryAttempted
from relais.delivery.dispatcher.desk import Desk
from relais.delivery.dispatcher.gate import Gate
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.dispatcher.settings import WINDOW_DOCUMENTS_MAXIMUM, EndpointSettings
from relais.delivery.dispatcher.tools import Tools
from relais.delivery.domain.commands import Attempt
from relais.delivery.ports import DeliveryId
from relais.delivery.recording import parcel_of
from relais.eventlog.log import LogUnavailable
from relais.transport.bell import Bell

# Other replicas schedule deliveries for this endpoint without being able to ring here.
POLL_SECONDS = 0.25


class Puller:
    """Fills one desk. `ready` is told when parcels with a recorded attempt were put on it."""

    def __init__(self, settings: EndpointSettings, desk: Desk, gate: Gate, tools: Tools, ready: Callable[[], None]) -> None:
        self._settings = settings
        self._desk = desk
        self._gate = gate
        self._tools = tools
        self._ready = ready
        self._more_due = False
        self.bell = Bell()

    async def run(self) -> None:
        """Look for ever: at a ring, and every POLL_SECONDS in any case."""
        while True:
            try:
                self._more_due = self._gate.leased and await self._look()
            except LogUnavailable:
                # Whoever lost the database says so once, elsewhere; here the next poll is the retry.
                self._more_due = False
            if not self._more_due or self._room() == 0:
                await self.bell.wait(self._tools.clock, POLL_SECONDS)

    def room_grew(self) -> None:
        """A delivery left the desk: when the last look found more than there was room for, look again."""
        if self._more_due and self._room() > 0:
            self.bell.ring()

    async def _look(self) -> bool:
        """Take what is due, as far as there is room; True when there may be more."""
        self._desk.forget_lost_reservations()
        limit, now = self._room(), self._tools.clock.monotonic()
        due = await self._tools.queue.due(self._settings.id, self._tools.clock.now(), limit, self._desk.in_flight)
        self._gate.mode = due.mode
        # A plan may have reserved one of these while the queue was being asked.
        fresh = [delivery for delivery in due.deliveries if delivery not in self._desk.in_flight]
        if fresh:
            self._desk.take(fresh)
            try:
                taken = await self._attempt(fresh, now)
            except BaseException:
                for delivery in fresh:
                    self._desk.finish(delivery)
                raise
            return taken == limit
        return limit == 0

    async def _attempt(self, deliveries: Sequence[DeliveryId], looked_at: float) -> int:
        """Record the attempts of these; how many there were."""
        streams = await self._tools.log.read_streams([(delivery.tenant, delivery.stream) for delivery in deliveries])
        command = Attempt(now=self._tools.clock.now(), policy=self._settings.retry)
        taken = 0
        for delivery in deliveries:
            try:
                parcel = parcel_of(delivery, streams[delivery.tenant, delivery.stream])
            except UnknownTag:
                # A newer build wrote to this stream. Whoever understands it will call; here it is left alone.
                self._desk.finish(delivery)
                continue
            assert parcel is not None, "a row of the queue is written with the fact that schedules it"
            parcel.looked_at = looked_at
            self._tools.recorder.post(parcel, command, self._attempted)
            taken += 1
        return taken

    def _attempted(self, parcel: Parcel, facts: Sequence[Fact]) -> None:
        if facts and isinstance(facts[-1], DeliveryAttempted):
            self._desk.ready.append(parcel)
            self._ready()
        else:
            self._desk.finish(parcel.id)

    def _room(self) -> int:
        """How many to ask for: enough to be worth the trip, and a single one to probe a partner that failed."""
        breaker = self._gate.breaker
        if not breaker.closed:
            return 1 if breaker.probe_ready() and not self._desk.in_flight else 0
        return WINDOW_DOCUMENTS_MAXIMUM if self._desk.room >= WINDOW_DOCUMENTS_MAXIMUM else 0
