"""How a batch becomes the arguments of the SQL function `append`: one array per column, so that one round trip carries it all."""

from collections.abc import Sequence
from typing import Final

import msgspec

from relais.eventlog.log import BATCH_BYTES_MAXIMUM, LimitExceeded
from relais.eventlog.record import Append, Checkpoint

APPEND_PARAMETERS: Final = (
    "integer[]", "boolean[]", "text[]", "text[]", "bigint[]", "uuid[]", "text[]", "smallint[]", "text[]", "text[]", "bytea[]",
    "integer[]", "uuid[]", "integer[]", "boolean[]", "bytea[]",
    "integer[]", "jsonb",
    "text[]", "text[]", "smallint[]", "bigint[]", "uuid[]", "bigint[]",
    "boolean",
)  # fmt: skip

_json = msgspec.json.Encoder()


def append_arguments(appends: Sequence[Append], checkpoints: Sequence[Checkpoint], *, all_or_nothing: bool) -> tuple[object, ...]:
    """The arguments in the order of `APPEND_PARAMETERS`; appends are numbered from 1. Raises `LimitExceeded` for oversized work rows."""
    return (*_events(appends), *_chunks(appends), *_work(appends), *_checkpoints(checkpoints), all_or_nothing)


def _events(appends: Sequence[Append]) -> tuple[list[object], ...]:
    numbers: list[object] = []
    closes: list[object] = []
    expected: list[object] = []
    for number, append in enumerate(appends, start=1):
        count = len(append.events)
        if not count:
            continue
        numbers += [number] * count
        closes += [False] * (count - 1)
        closes.append(True)
        # Only the first event's expectation counts: the others follow from it, as check_append made sure.
        expected.append(append.events[0].expected_version)
        expected += [None] * (count - 1)
    events = [event for append in appends for event in append.events]
    return (
        numbers,
        closes,
        [event.tenant for event in events],
        [event.stream for event in events],
        expected,
        [event.event_id for event in events],
        [event.tag for event in events],
        [event.partition for event in events],
        [event.actor for event in events],
        [event.traceparent for event in events],
        [event.payload for event in events],
    )


def _chunks(appends: Sequence[Append]) -> tuple[list[object], ...]:
    numbered = [(number, chunk) for number, append in enumerate(appends, start=1) for chunk in append.chunks]
    return (
        [number for number, _ in numbered],
        [chunk.blob for _, chunk in numbered],
        [chunk.number for _, chunk in numbered],
        [chunk.last for _, chunk in numbered],
        [chunk.ciphertext for _, chunk in numbered],
    )


def _work(appends: Sequence[Append]) -> tuple[list[int], str | None]:
    # Rows of an append without events depend on nothing that could be refused: number 0 means always.
    numbers = [number if append.events else 0 for number, append in enumerate(appends, start=1) for _ in append.work]
    if not numbers:
        return [], None
    encoded = _json.encode([row for append in appends for row in append.work])
    if len(encoded) > BATCH_BYTES_MAXIMUM:
        raise LimitExceeded(f"more than {BATCH_BYTES_MAXIMUM} bytes of work rows in one batch")
    return numbers, encoded.decode()


def _checkpoints(checkpoints: Sequence[Checkpoint]) -> tuple[list[object], ...]:
    # In one order, so that two appends that move the same rows wait for one another instead of locking each other out.
    marks = sorted(checkpoints, key=lambda mark: (mark.consumer, mark.log, mark.partition))
    return (
        [mark.consumer for mark in marks],
        [mark.log for mark in marks],
        [mark.partition for mark in marks],
        [mark.position for mark in marks],
        [mark.event_id for mark in marks],
        [mark.epoch for mark in marks],
    )
