"""The lines of a history, as they are kept and written down."""

import msgspec


class Invoked(msgspec.Struct, frozen=True, tag="invoked"):
    """An append was begun. `at` is in nanoseconds, here and below."""

    operation: str
    at: int
    log: str
    tenant: str
    stream: str
    event_ids: tuple[str, ...]
    expected_version: int | None


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """An append's end: `stored`, `duplicate`, `conflict`, `failed` (nothing was stored) or `unknown`."""

    operation: str
    at: int
    outcome: str
    position: int = 0
    version: int = 0


class Read(msgspec.Struct, frozen=True, tag="read"):
    """A reader's page: (position, event id) of what it got after position `after`."""

    reader: str
    at: int
    log: str
    after: int
    seen: tuple[tuple[int, str], ...]
    partitions: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    tenant: str | None = None


class Effect(msgspec.Struct, frozen=True, tag="effect"):
    """Something a consumer did in the world."""

    consumer: str
    at: int
    key: str
