"""The fast way: a plan that is handled on the replica that owns the endpoint is scheduled and attempted in one append.

It saves a commit, a look at the queue and a read of the stream. Nothing is called before the append that records the attempt has
committed: the consumer writes through `ExpressLog`, which hands a delivery over only once the log has said that it is stored.
Whatever else happens to that append (a conflict, a lost lease, an answer that never came), the delivery is released, and the row in
the queue, if there is one, tells whoever owns the endpoint that an attempt has no answer.
"""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from relais.delivery.dispatcher.endpoint import EndpointDispatcher
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.ports import DeliveryId
from relais.eventlog.log import READ_MAXIMUM, EventLog
from relais.eventlog.record import Append, Appended, Checkpoint, Outcome, StoredEvent


class Express:
    """Reservations made while a batch of plans is decided, until their append is over."""

    def __init__(self, dispatcher_of: Callable[[str], EndpointDispatcher | None], knows: Callable[[str], bool]) -> None:
        self._dispatcher_of = dispatcher_of
        self.knows = knows
        self._expected: dict[UUID, tuple[EndpointDispatcher, Parcel]] = {}
        self._scheduled: dict[UUID, str] = {}

    def reserve(self, endpoint: str, delivery: DeliveryId) -> bool:
        """Whether this replica can begin the call as soon as the attempt is recorded."""
        dispatcher = self._dispatcher_of(endpoint)
        return dispatcher is not None and dispatcher.reserve(delivery)

    def expect(self, event_id: UUID, parcel: Parcel) -> None:
        """`parcel` goes when the append that begins with this event is stored; its place was reserved."""
        dispatcher = self._dispatcher_of(parcel.scheduled.destination.endpoint)
        assert dispatcher is not None, "a place was reserved with it in this very turn of the loop"
        self._expected[event_id] = (dispatcher, parcel)

    def scheduled(self, event_id: UUID, endpoint: str) -> None:
        """A delivery is only scheduled by the append that begins with this event: its dispatcher should look then."""
        self._scheduled[event_id] = endpoint

    def over(self, appends: Sequence[Append], results: Sequence[Appended] | None) -> None:
        """An append is over: with these results, or (None) in a way that stored nothing or nobody knows what."""
        waking: set[str] = set()
        for number, append in enumerate(appends):
            event_id = append.events[0].event_id
            stored = results is not None and results[number].outcome is Outcome.STORED
            expected = self._expected.pop(event_id, None)
            if expected is not None:
                dispatcher, parcel = expected
                if stored:
                    dispatcher.hand_over(parcel)
                else:
                    dispatcher.release(parcel.id)
            endpoint = self._scheduled.pop(event_id, None)
            if endpoint is not None and stored:
                waking.add(endpoint)
        for endpoint in waking:
            waking_dispatcher = self._dispatcher_of(endpoint)
            if waking_dispatcher is not None:
                waking_dispatcher.wake()


class ExpressLog:
    """The delivery log as the consumer of plans sees it: the same log, and `Express` hears how each append ended."""

    def __init__(self, log: EventLog, express: Express) -> None:
        self._event_log = log
        self._express = express

    @property
    def name(self) -> str:
        return self._event_log.name

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        results: list[Appended] | None = None
        try:
            results = await self._event_log.append(appends, checkpoints=checkpoints, all_or_nothing=all_or_nothing)
        finally:
            self._express.over(appends, results)
        return results

    async def read(
        self, after: int, limit: int = READ_MAXIMUM, *, tags: Sequence[str] = (), tenant: str | None = None
    ) -> list[StoredEvent]:
        return await self._event_log.read(after, limit, tags=tags, tenant=tenant)

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        return await self._event_log.read_streams(tenant_streams)

    async def find(self, event_ids: Sequence[UUID]) -> dict[UUID, StoredEvent]:
        return await self._event_log.find(event_ids)

    async def head(self) -> int:
        return await self._event_log.head()

    async def checkpoints(self, consumer: str) -> list[Checkpoint]:
        return await self._event_log.checkpoints(consumer)

    async def claim(self, consumer: str, log: str, epochs: Mapping[int, int]) -> list[Checkpoint]:
        return await self._event_log.claim(consumer, log, epochs)
