"""The bus as a port: the real one is JetStream, the verified fake is in memory; one suite runs on both.

The bus is transport that can be deleted and rebuilt: it never knows anything that a log does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

BATCH_MESSAGES_MAXIMUM = 500
BATCH_BYTES_MAXIMUM = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Announcement:
    """One fact on its way: everything of the stored event that a consumer needs, the payload byte for byte.

    `previous` is the position of the partition's previous announced event (0 for the first): a mismatch at a consumer is a hole.
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


@dataclass(frozen=True, slots=True)
class Delivered:
    """An announcement with its place in the stream that carried it."""

    sequence: int
    announcement: Announcement


class BusError(Exception):
    """The root of the bus's errors.

    BusError
     +-- WrongLastSequence  somebody else published since: read the last message and go on from its position, or yield
     +-- PublishUnknown     no answer came: read the last message before anything is retried
     +-- StreamMissing      the stream is gone or shorter than it was: it must be rebuilt from the log
     +-- BusUnavailable     no connection; try again later
    """


class WrongLastSequence(BusError):
    """The fence held: the stream's last sequence is not the expected one."""


class PublishUnknown(BusError):
    """Nobody knows whether the batch was stored."""


class StreamMissing(BusError):
    """There is no such stream."""


class BusUnavailable(BusError):
    """The server cannot be reached."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What a stream says of itself. `incarnation` changes when a stream is deleted and made again; sequences of another incarnation mean nothing."""

    incarnation: str
    first_sequence: int
    last_sequence: int
    last_position: int
    last_positions: dict[int, int]


class Subscription(Protocol):
    """One pull over a set of partitions of one log, in stream order."""

    async def fetch(self, maximum: int, wait_seconds: float) -> list[Delivered]:
        """What is there, at most `maximum`, waiting at most `wait_seconds` for the first message and never to fill.

        Raises `StreamMissing` when the stream went away, `BusUnavailable` when the server did.
        """
        ...

    async def close(self) -> None:
        """Give the pull up."""
        ...


class Bus(Protocol):
    """Publishing in fenced atomic batches, reading by partition."""

    async def ensure_stream(self, log: str) -> StreamState:
        """Make the log's stream if it is missing, and say how it stands (with the last position of every partition)."""
        ...

    async def publish(self, log: str, batch: Sequence[Announcement], expected_last_sequence: int) -> int:
        """Store a batch atomically if the stream's last sequence is the expected one; the new last sequence."""
        ...

    async def subscribe(self, log: str, partitions: Sequence[int], start_sequence: int) -> Subscription:
        """Read these partitions from a stream sequence (1 = from the beginning)."""
        ...

    async def trim(self, log: str, below_sequence: int) -> None:
        """Forget messages below a sequence that every consumer has passed."""
        ...

    async def ring(self, log: str) -> None:
        """Tell whoever listens that a log grew; nothing depends on it."""
        ...
