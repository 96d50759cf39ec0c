"""The bus as a port: the real one is JetStream, the verified fake is in memory; one suite runs on both.

The bus is transport that can be deleted and rebuilt: it never knows anything that a log does not.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

BATCH_MESSAGES_MAXIMUM = 500
BATCH_BYTES_MAXIMUM = 4 * 1024 * 1024
ANNOUNCEMENT_OVERHEAD_BYTES = 512


class Announcement(msgspec.Struct, frozen=True, gc=False):
    """One fact on its way: everything of the stored event that a consumer needs, the payload byte for byte.

    `previous` is the position of the partition's previous announced event (0 for the first): above what a consumer has seen, it is a hole.
    `recorded_at` is ISO 8601 in UTC.
    """

    log: str
    partition: int
    position: int
    previous: int
    tag: str
    tenant: str
    stream: str
    version: int
    event_id: str
    recorded_at: str
    actor: str
    traceparent: str
    payload: bytes

    @property
    def size_bytes(self) -> int:
        """What it counts for in a batch: the payload, the names and a fixed allowance for everything else."""
        return ANNOUNCEMENT_OVERHEAD_BYTES + len(self.payload) + len(self.tenant) + len(self.stream) + len(self.actor)


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """An announcement with its place in the stream that carried it."""

    sequence: int
    announcement: Announcement


class BusError(Exception):
    """The root of the bus's errors.

    BusError
     +-- WrongLastSequence  somebody else published since: read the last message and go on from its position, or yield
     +-- PublishUnknown     no answer came: read the last message before anything is retried
     +-- StreamMissing      the stream is gone or shorter than it was: it must be rebuilt from the log
     +-- BusUnavailable     no connection, or the server cannot take it now; try again later
     +-- BatchTooLarge      the caller handed in nothing, or more than one batch may hold
     +-- ServerRefused      this server must not be used at all
    """


class WrongLastSequence(BusError):
    """The fence held: the stream's last sequence is not the expected one."""


class PublishUnknown(BusError):
    """Nobody knows whether the batch was stored."""


class StreamMissing(BusError):
    """There is no such stream, or it is not the one that was being read."""


class BusUnavailable(BusError):
    """The server cannot be reached, or says that it cannot serve."""


class BatchTooLarge(BusError):
    """A batch holds 1 to BATCH_MESSAGES_MAXIMUM messages and at most BATCH_BYTES_MAXIMUM."""


class ServerRefused(BusError):
    """The server is too old or lacks JetStream; the message says what is needed."""


class LogForkDetected(Exception):
    """One position, two events: the log was rewritten (an older backup, a lost failover). Nothing goes on until a person has looked."""

    def __init__(self, log: str, position: int) -> None:
        super().__init__(f"the log {log} holds another event at position {position} than the one already seen there")
        self.log = log
        self.position = position


class StreamExtent(msgspec.Struct, frozen=True):
    """Where a stream begins and ends, and how many messages it holds; it is empty when `first_sequence` is above `last_sequence`.

    `incarnation` changes when a stream is deleted and made again; sequences of another incarnation mean nothing.
    `front`: its relay left nothing above this sequence as its first message (0: no relay has said so yet).
    """

    incarnation: str
    first_sequence: int
    last_sequence: int
    messages: int
    front: int

    @property
    def missing(self) -> int:
        """How many messages it lost. Sequences are given without gaps, whatever becomes of a batch, and a relay forgets from the front
        only, after having said up to where: so everything from there to the end must be there.
        """
        first = min(self.front or self.first_sequence, self.first_sequence)
        return self.last_sequence - first + 1 - self.messages

    @property
    def whole(self) -> bool:
        """Whether it holds everything that its relay put in and has not forgotten itself."""
        return self.missing == 0


class StreamState(StreamExtent, frozen=True):
    """What a stream says of itself: its extent, its last event (position 0 when empty), and the last event of each partition in it.

    `base`: it holds, or will hold, every announced event above this position. Who has not come so far must ask for republication.
    """

    last_position: int
    last_positions: dict[int, int]
    base: int = 0
    last_event_id: str = ""
    last_event_ids: dict[int, str] = msgspec.field(default_factory=dict)


class Subscription(Protocol):
    """One pull over a set of partitions of one log, in stream order, nothing twice and nothing left out while it lives."""

    @property
    def backlog(self) -> int:
        """How many announcements waited in the stream behind the last one fetched, as far as is known."""
        ...

    async def fetch(self, maximum: int, wait_seconds: float) -> list[Delivered]:
        """What is there, at most `maximum`, waiting at most `wait_seconds` for the first message and never to fill.

        Raises `StreamMissing` when the stream went away or lost its end, `BusUnavailable` when the server did; after the
        latter the same subscription can be asked again and goes on where it was.
        """
        ...

    async def close(self) -> None:
        """Give the pull up."""
        ...


class Listening(Protocol):
    """Somebody listens to a doorbell."""

    async def close(self) -> None:
        """Stop listening."""
        ...


class Bus(Protocol):
    """Publishing in fenced atomic batches, reading by partition."""

    async def ensure_stream(self, log: str) -> StreamState:
        """Make the log's stream if it is missing (its base is 0), and say how it stands. Only the log's own relay may do that."""
        ...

    async def state(self, log: str) -> StreamState:
        """How the stream stands. Raises `StreamMissing`."""
        ...

    async def extent(self, log: str) -> StreamExtent:
        """The cheap part of `state`, for whoever only wants to know that the stream is still the one it was. Raises `StreamMissing`."""
        ...

    async def sequence_after(self, log: str, position: int) -> int:
        """The sequence of the first message whose position is above `position`; one past the last message when there is none.

        Positions grow with sequences, so it is found by bisection. Raises `StreamMissing`.
        """
        ...

    async def publish(self, log: str, batch: Sequence[Announcement], expected_last_sequence: int) -> int:
        """Store a batch atomically if the stream's last sequence is the expected one; the new last sequence.

        Raises `WrongLastSequence`, `PublishUnknown`, `StreamMissing`, `BusUnavailable` (nothing was stored), `BatchTooLarge`.
        """
        ...

    async def subscribe(self, log: str, partitions: Sequence[int], start_sequence: int) -> Subscription:
        """Read these partitions from a stream sequence (1 = from the beginning). Raises `StreamMissing`, `BusUnavailable`."""
        ...

    async def trim(self, log: str, below_sequence: int) -> None:
        """Forget messages below a sequence that every consumer has passed; sequences go on from where they were."""
        ...

    async def rebase(self, log: str, position: int, front: int) -> None:
        """Say that the stream holds what is above `position` and no more, and that its first message has sequence `front` at most.

        Said before trimming, and before a rebuilt stream is filled. Raises `StreamMissing`, `BusUnavailable`.
        """
        ...

    async def ring(self, log: str) -> None:
        """Tell whoever listens that a log grew; nothing depends on it, and it raises nothing."""
        ...

    async def listen(self, log: str, wake: Callable[[], None]) -> Listening:
        """Call `wake` whenever the log's bell is rung, until closed; bells may be lost."""
        ...
