"""From stored events to batches of announcements: which facts travel, what each follows on, and where a batch ends. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relais.contracts.fact import tags
from relais.eventlog.record import StoredEvent
from relais.transport.bus import BATCH_BYTES_MAXIMUM, BATCH_MESSAGES_MAXIMUM, Announcement


@dataclass(slots=True)
class Place:
    """How far a stream has come: its last sequence, the log's position read last, and each partition's last announced position."""

    incarnation: str
    sequence: int
    position: int
    previous: dict[int, int]


class LogGap(Exception):
    """The log gave events whose positions do not follow one another. It never does; if it did, passing on would lose facts for ever."""


def silent_tags() -> frozenset[str]:
    """Facts that stay in their log. A tag this build does not know is announced: an older relay must not swallow newer facts."""
    return frozenset(tag for tag, fact in tags().items() if not fact.ANNOUNCED)


def require_contiguous(after: int, events: Sequence[StoredEvent]) -> None:
    """Raises `LogGap` unless the events follow `after` one by one."""
    for expected, event in enumerate(events, start=after + 1):
        if event.position != expected:
            raise LogGap(f"position {expected} is missing; the log went on with {event.position}")


def announce(log: str, events: Sequence[StoredEvent], previous: Mapping[int, int], silent: frozenset[str]) -> list[Announcement]:
    """The announcements of these events, in log order.

    `previous` is each partition's last announced position (0 without one). An event at or below it was published before, or
    was handled by everybody before the stream was lost, and is left out.
    """
    last = dict(previous)
    announcements: list[Announcement] = []
    for event in events:
        before = last.get(event.partition, 0)
        if event.tag in silent or event.position <= before:
            continue
        last[event.partition] = event.position
        announcements.append(
            Announcement(
                log=log,
                partition=event.partition,
                position=event.position,
                previous=before,
                tag=event.tag,
                tenant=event.tenant,
                stream=event.stream,
                version=event.version,
                event_id=str(event.event_id),
                recorded_at=event.recorded_at.isoformat(),
                actor=event.actor,
                traceparent=event.traceparent,
                payload=event.payload,
            )
        )
    return announcements


def batches(announcements: Sequence[Announcement]) -> list[list[Announcement]]:
    """The same announcements in batches that the bus takes."""
    result: list[list[Announcement]] = []
    room = 0
    for announcement in announcements:
        size = announcement.size_bytes
        if not result or size > room or len(result[-1]) == BATCH_MESSAGES_MAXIMUM:
            result.append([])
            room = BATCH_BYTES_MAXIMUM
        result[-1].append(announcement)
        room -= size
    return result
