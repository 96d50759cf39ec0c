"""Where a suite finds a bus, and what every test of one says to it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

from relais.contracts.subjects import PARTITIONS
from relais.transport.bus import BATCH_MESSAGES_MAXIMUM, Announcement, Bus, Delivered, Subscription

WAIT_SECONDS = 5.0
ALL = range(PARTITIONS)


@dataclass(frozen=True)
class BusPlace:
    """One bus, seen by a relay (`bus`) and by somebody else (`other`), and a log name of this test's own.

    `wipe` deletes its stream, `lose` the message of one sequence.
    """

    bus: Bus
    other: Bus
    log: str
    wipe: Callable[[], Awaitable[None]]
    lose: Callable[[int], Awaitable[None]]


def announcement(log: str, position: int, *, partition: int = 0, previous: int = 0, payload: bytes = b'{"a":1}') -> Announcement:
    """An announcement whose every field follows from its log and position."""
    return Announcement(
        log=log,
        partition=partition,
        position=position,
        previous=previous,
        tag="identity.verified.v1",
        tenant="tenant-a",
        stream=f"document-{position}",
        version=position % 7 + 1,
        event_id=str(uuid5(NAMESPACE_OID, f"{log}/{position}")),
        recorded_at="2026-03-01T08:00:00.000001+00:00",
        actor="service:tést",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        payload=payload,
    )


def run_of(log: str, first: int, last: int) -> list[Announcement]:
    """Announcements of these positions, spread over the partitions."""
    return [announcement(log, position, partition=position % PARTITIONS) for position in range(first, last + 1)]


async def publish_all(bus: Bus, log: str, announcements: Sequence[Announcement]) -> int:
    """Publish in batches behind whatever the stream holds; the last sequence."""
    last = (await bus.ensure_stream(log)).last_sequence
    for at in range(0, len(announcements), BATCH_MESSAGES_MAXIMUM):
        last = await bus.publish(log, announcements[at : at + BATCH_MESSAGES_MAXIMUM], last)
    return last


async def fetch_all(subscription: Subscription, count: int, maximum: int = 256) -> list[Delivered]:
    """Fetch until so many came; fails when they stop coming."""
    got: list[Delivered] = []
    while len(got) < count:
        batch = await subscription.fetch(maximum, WAIT_SECONDS)
        assert batch, f"only {len(got)} of {count} came"
        assert len(batch) <= maximum
        got += batch
    return got
