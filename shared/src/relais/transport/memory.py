"""The bus in memory, verified by the suite the real one passes; and its faults, which a test may ask for."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from relais.clock import Clock, SystemClock
from relais.transport.bell import Bell
from relais.transport.bus import (
    Announcement,
    BusUnavailable,
    Delivered,
    PublishUnknown,
    StreamExtent,
    StreamMissing,
    StreamState,
    WrongLastSequence,
)
from relais.transport.wire import check_batch


@dataclass(slots=True)
class _Stream:
    incarnation: str
    messages: dict[int, Announcement] = field(default_factory=dict)
    last_sequence: int = 0
    base: int = 0
    front: int = 0

    @property
    def extent(self) -> StreamExtent:
        first = next(iter(self.messages), self.last_sequence + 1)
        return StreamExtent(self.incarnation, first, self.last_sequence, len(self.messages), self.front)


class MemoryBus:
    """See `relais.transport.bus.Bus`. One object is the server; every reader and writer of a simulation shares it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._streams: dict[str, _Stream] = {}
        self._incarnations = itertools.count(1)
        self._pulls: set[MemorySubscription] = set()
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._answers_to_lose: dict[str, list[bool]] = {}
        self._available = True

    # Faults, for tests.

    def lose_answer(self, log: str, *, stored: bool) -> None:
        """The next publish to this log gets no answer, whether it was `stored` or not."""
        self._answers_to_lose.setdefault(log, []).append(stored)

    def wipe(self, log: str) -> None:
        """Delete the stream, as if somebody had removed its folder."""
        self._streams.pop(log, None)
        self._wake()

    def cut(self, log: str, last_sequence: int) -> None:
        """Lose everything above a sequence, as a power cut may."""
        stream = self._stream(log)
        stream.messages = {sequence: message for sequence, message in stream.messages.items() if sequence <= last_sequence}
        stream.last_sequence = last_sequence
        self._wake()

    def drop(self, log: str, sequence: int) -> None:
        """Lose one message without a word, wherever it stands; sequences stay as they are."""
        del self._stream(log).messages[sequence]

    def become(self, *, available: bool) -> None:
        """Be out of reach, or back."""
        self._available = available
        self._wake()

    def stored(self, log: str) -> list[Announcement]:
        """What the stream holds, in order; for assertions."""
        return list(self._stream(log).messages.values())

    # The port.

    async def ensure_stream(self, log: str) -> StreamState:
        self._require_available()
        if log not in self._streams:
            self._streams[log] = _Stream(f"incarnation-{next(self._incarnations)}")
        return await self.state(log)

    async def state(self, log: str) -> StreamState:
        stream = self._stream(log)
        last = next(reversed(stream.messages.values()), None)
        lasts = {message.partition: message for message in stream.messages.values()}
        return StreamState(
            **msgspec.structs.asdict(stream.extent),
            last_position=last.position if last else 0,
            last_positions={partition: message.position for partition, message in lasts.items()},
            base=stream.base,
            last_event_id=last.event_id if last else "",
            last_event_ids={partition: message.event_id for partition, message in lasts.items()},
        )

    async def extent(self, log: str) -> StreamExtent:
        return self._stream(log).extent

    async def sequence_after(self, log: str, position: int) -> int:
        stream = self._stream(log)
        later = (sequence for sequence, message in stream.messages.items() if message.position > position)
        return next(later, stream.last_sequence + 1)

    async def publish(self, log: str, batch: Sequence[Announcement], expected_last_sequence: int) -> int:
        check_batch(batch)
        self._require_available()
        losses = self._answers_to_lose.get(log)
        stored_without_answer = losses.pop(0) if losses else None
        if stored_without_answer is False:
            raise PublishUnknown("the answer was lost, and the batch with it")
        stream = self._stream(log)
        if stream.last_sequence != expected_last_sequence:
            raise WrongLastSequence(f"{log}: {stream.last_sequence}")
        for announcement in batch:
            stream.last_sequence += 1
            stream.messages[stream.last_sequence] = announcement
        self._wake()
        if stored_without_answer:
            raise PublishUnknown("the answer was lost, but not the batch")
        return stream.last_sequence

    async def subscribe(self, log: str, partitions: Sequence[int], start_sequence: int) -> "MemorySubscription":
        stream = self._stream(log)
        if start_sequence > stream.last_sequence + 1:
            raise StreamMissing(log)
        return MemorySubscription(self, log, frozenset(partitions), start_sequence, stream.incarnation)

    async def trim(self, log: str, below_sequence: int) -> None:
        stream = self._stream(log)
        stream.messages = {sequence: message for sequence, message in stream.messages.items() if sequence >= below_sequence}

    async def rebase(self, log: str, position: int, front: int) -> None:
        stream = self._stream(log)
        stream.base, stream.front = position, front

    async def ring(self, log: str) -> None:
        for wake in self._listeners.get(log, ()):
            wake()

    async def listen(self, log: str, wake: Callable[[], None]) -> "MemoryListening":
        self._listeners.setdefault(log, []).append(wake)
        return MemoryListening(self._listeners[log], wake)

    # What subscriptions need.

    def read(self, subscription: "MemorySubscription", maximum: int) -> list[Delivered]:
        """The next messages of a subscription's partitions; moves it on."""
        stream = self._stream(subscription.log)
        if stream.incarnation != subscription.incarnation or subscription.next_sequence > stream.last_sequence + 1:
            raise StreamMissing(subscription.log)
        batch: list[Delivered] = []
        while subscription.next_sequence <= stream.last_sequence and len(batch) < maximum:
            message = stream.messages.get(subscription.next_sequence)
            if message is not None and message.partition in subscription.partitions:
                batch.append(Delivered(subscription.next_sequence, message))
            subscription.next_sequence += 1
        return batch

    def backlog(self, subscription: "MemorySubscription") -> int:
        """How many messages of its partitions a subscription has not read."""
        stream = self._streams.get(subscription.log)
        unread = stream.messages.items() if stream else ()
        return sum(sequence >= subscription.next_sequence and message.partition in subscription.partitions for sequence, message in unread)

    async def news(self, subscription: "MemorySubscription", wait_seconds: float) -> None:
        """Wait until something was published or broke, or for so long."""
        self._pulls.add(subscription)
        try:
            await subscription.bell.wait(self._clock, wait_seconds)
        finally:
            self._pulls.discard(subscription)

    def _wake(self) -> None:
        for pull in self._pulls:
            pull.bell.ring()

    def _require_available(self) -> None:
        if not self._available:
            raise BusUnavailable("not connected")

    def _stream(self, log: str) -> _Stream:
        self._require_available()
        if log not in self._streams:
            raise StreamMissing(log)
        return self._streams[log]


class MemorySubscription:
    """See `relais.transport.bus.Subscription`."""

    def __init__(self, bus: MemoryBus, log: str, partitions: frozenset[int], start_sequence: int, incarnation: str) -> None:
        self._bus = bus
        self.log = log
        self.partitions = partitions
        self.next_sequence = start_sequence
        self.incarnation = incarnation
        self.bell = Bell()

    @property
    def backlog(self) -> int:
        return self._bus.backlog(self)

    async def fetch(self, maximum: int, wait_seconds: float) -> list[Delivered]:
        batch = self._bus.read(self, maximum)
        if not batch and wait_seconds > 0:
            await self._bus.news(self, wait_seconds)
            batch = self._bus.read(self, maximum)
        # A real server is always an await away: whoever loops over a fake must let others run too.
        await asyncio.sleep(0)
        return batch

    async def close(self) -> None:
        self.bell.ring()


class MemoryListening:
    """See `relais.transport.bus.Listening`."""

    def __init__(self, listeners: list[Callable[[], None]], wake: Callable[[], None]) -> None:
        self._listeners = listeners
        self._wake = wake

    async def close(self) -> None:
        if self._wake in self._listeners:
            self._listeners.remove(self._wake)
