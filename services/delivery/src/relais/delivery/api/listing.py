"""What ListDeliveries may be narrowed to, and where each kind of list is read: open ones in the queue, all others in the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.delivery.v1 import delivery_admin_pb2
from relais.chassis.api.errors import ApiError
from relais.chassis.api.filters import parse_filter
from relais.delivery.api.views import row_message, state_of, told_message
from relais.delivery.desk import DeliveryDesk, Told
from relais.delivery.ports import OpenDelivery, QueueFilter

# How many schedules one call looks at in the log for deliveries that match a filter; a page may be short, and its token goes on.
LOOKED_AT_MAXIMUM: Final = 1000

_FIELDS: Final = {"state": frozenset({"="}), "endpoint": frozenset({"="}), "kind": frozenset({"="})}
_STATES: Final = {name.removeprefix("STATE_"): number for name, number in delivery_admin_pb2.Delivery.State.items() if number}
# The states that have a row in the queue, as the queue says them.
_ROWS: Final = {
    "SCHEDULED": ("waiting", False),
    "DEFERRED": ("waiting", True),
    "ACCEPTED": ("accepted", None),
    "ABANDONED": ("abandoned", None),
}


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last delivery of a page: by its place in the queue, in the log (`sequence`), or among those of a document (`ordinal`)."""

    scheduled_at: datetime | None = None
    document: str = ""
    ordinal: int = 0
    sequence: int = 0


Page = tuple[list[delivery_admin_pb2.Delivery], Cursor | None]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The terms of a filter; an empty word asks for all."""

    state: str = ""
    endpoint: str = ""
    kind: str = ""

    def matches(self, told: Told) -> bool:
        """Whether a delivery is wanted."""
        destination = told.parcel.scheduled.destination
        return (
            self.state in ("", delivery_admin_pb2.Delivery.State.Name(state_of(told.parcel.state)).removeprefix("STATE_"))
            and self.endpoint in ("", destination.endpoint)
            and self.kind in ("", destination.kind.value)
        )


def narrowing(text: str) -> Narrowing:
    """Read a filter. Raises `ApiError` with FILTER_INVALID."""
    terms = parse_filter(text, _FIELDS)
    words = {term.field: term.value for term in terms}
    if len(words) < len(terms) or words.get("state", "SUCCEEDED") not in _STATES:
        raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
    return Narrowing(**words)


class Lists:
    """Pages of deliveries. `sites` are those the caller may see, None for every one."""

    def __init__(self, desk: DeliveryDesk) -> None:
        self._desk = desk

    async def of_document(
        self, tenant: str, document: str, wanted: Narrowing, sites: frozenset[str] | None, after: Cursor | None, size: int
    ) -> Page:
        """The deliveries of one document, the newest (highest ordinal) first."""
        told = [one for one in await self._desk.of_document(tenant, document) if wanted.matches(one) and _visible(one, sites)]
        told.sort(key=lambda one: one.parcel.id.ordinal, reverse=True)
        rest = [one for one in told if after is None or one.parcel.id.ordinal < after.ordinal]
        page = rest[:size]
        more = Cursor(ordinal=page[-1].parcel.id.ordinal) if len(rest) > size else None
        return [told_message(one, attempts=False) for one in page], more

    async def of_tenant(self, tenant: str, wanted: Narrowing, sites: frozenset[str] | None, after: Cursor | None, size: int) -> Page:
        """The deliveries of a tenant, the newest first."""
        if wanted.state in _ROWS:
            return await self._in_queue(tenant, wanted, sites, after, size)
        return await self._in_log(tenant, wanted, sites, after, size)

    async def _in_queue(self, tenant: str, wanted: Narrowing, sites: frozenset[str] | None, after: Cursor | None, size: int) -> Page:
        state, attempted = _ROWS[wanted.state]
        query = QueueFilter(tenant=tenant, state=state, attempted=attempted, endpoint=wanted.endpoint, kind=wanted.kind, sites=sites)
        place = (after.scheduled_at, after.document, after.ordinal) if after is not None and after.scheduled_at is not None else None
        found = await self._desk.queue.page(query, place, size + 1)
        page = found[:size]
        return [row_message(row) for row in page], _behind(page[-1]) if len(found) > size else None

    async def _in_log(self, tenant: str, wanted: Narrowing, sites: frozenset[str] | None, after: Cursor | None, size: int) -> Page:
        messages: list[delivery_admin_pb2.Delivery] = []
        before = after.sequence if after is not None else None
        for _ in range(max(1, LOOKED_AT_MAXIMUM // size)):
            found = await self._desk.queue.scheduled(tenant, before, size)
            told = {one.parcel.id: one for one in await self._desk.tell([delivery for _, delivery in found])}
            for sequence, delivery in found:
                before = sequence
                one = told[delivery]
                if wanted.matches(one) and _visible(one, sites):
                    messages.append(told_message(one, attempts=False))
                if len(messages) == size:
                    return messages, Cursor(sequence=sequence)
            if len(found) < size:
                return messages, None
        return messages, Cursor(sequence=before or 0)


def _behind(row: OpenDelivery) -> Cursor:
    return Cursor(scheduled_at=row.scheduled_at, document=row.id.document, ordinal=row.id.ordinal)


def _visible(told: Told, sites: frozenset[str] | None) -> bool:
    return sites is None or told.parcel.scheduled.submission.site in sites
