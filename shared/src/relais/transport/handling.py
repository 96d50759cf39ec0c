"""What a consumer asks of a service: effects for a batch of facts, and a place for those that cannot be handled."""

from collections.abc import Collection, Sequence
from typing import Final, Protocol, TypeAlias
from uuid import UUID, uuid5

import msgspec

from relais.contracts.fact import Fact, UnknownTag, decode
from relais.eventlog.record import Append
from relais.transport.bus import Delivered

Effects: TypeAlias = list[Append]

# Fixed for ever: it is in the id of every event that a consumer makes.
EFFECT_NAMESPACE: Final = UUID("0d4b2f0e-7a43-5d0c-8a54-3f4f6c1f2b90")

FACT_UNREADABLE: Final = "FACT_UNREADABLE"
FACT_UNKNOWN: Final = "FACT_UNKNOWN"
FOLLOWS_PARKED: Final = "FOLLOWS_PARKED"

Document: TypeAlias = tuple[str, str]


def effect_id(consumer: str, log: str, position: int, number: int) -> UUID:
    """The id of the `number`th event that a consumer makes of the fact at this position: the same whenever it is made again."""
    return uuid5(EFFECT_NAMESPACE, f"{consumer}/{log}/{position}/{number}")


def document_of(delivered: Delivered) -> Document:
    """Tenant and document of a fact: its stream, and for a stream of one destination (`<document>/<ordinal>`) what is before the slash."""
    announcement = delivered.announcement
    return announcement.tenant, announcement.stream.partition("/")[0]


class Unhandleable(Exception):
    """A fact cannot be handled, now or when it is tried again: its document is parked under `code`, the others go on."""

    def __init__(self, position: int, code: str) -> None:
        super().__init__(f"the fact at position {position} cannot be handled: {code}")
        self.position = position
        self.code = code


def fact_of(delivered: Delivered) -> Fact:
    """The decoded fact. Raises `Unhandleable` when its tag is unknown to this build or its bytes are not that fact."""
    announcement = delivered.announcement
    try:
        return decode(announcement.tag, announcement.payload)
    except UnknownTag as error:
        raise Unhandleable(announcement.position, FACT_UNKNOWN) from error
    except msgspec.MsgspecError:
        # Not chained: a decoder's message may quote what it choked on.
        raise Unhandleable(announcement.position, FACT_UNREADABLE) from None


class BatchHandler(Protocol):
    """Turns facts into effects. It stores nothing itself and may be called again for the same facts, so it remembers no batch."""

    async def handle(self, batch: Sequence[Delivered]) -> Effects:
        """The effects of a batch, decided on states loaded now, several facts of one stream folded in order.

        Event ids come from `effect_id`, so that what is stored already is recognised. Raises `Unhandleable` for a fact that must
        be parked; it is then called again without that document.
        """
        ...


class Parking(Protocol):
    """How a service keeps what it could not handle, as facts of its own log."""

    async def parked(self, partitions: Collection[int]) -> Collection[Document]:
        """The documents of these partitions that are parked now. Asked each time partitions are taken over."""
        ...

    def park(self, delivered: Delivered, code: str) -> Append:
        """The fact that says that this announcement waits, and why (FOLLOWS_PARKED: an earlier one of its document waits already)."""
        ...
