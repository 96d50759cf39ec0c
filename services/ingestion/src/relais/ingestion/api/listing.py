"""What ListDocuments may be narrowed to, and how its pages follow one another."""

from datetime import datetime
from typing import Final

import msgspec

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.ingestion.v1 import document_pb2
from relais.chassis.api.errors import ApiError
from relais.chassis.api.filters import Term, parse_filter
from relais.ingestion.ports import JourneyFilter

FIELDS: Final = {
    "state": frozenset({"="}),
    "site": frozenset({"="}),
    "type_code": frozenset({"="}),
    "receive_time": frozenset({">=", "<"}),
}

_STATES: Final = {name.removeprefix("STATE_") for name, number in document_pb2.Document.State.items() if number}
_KEYS: Final = {
    ("state", "="): "states",
    ("site", "="): "sites",
    ("type_code", "="): "type_codes",
    ("receive_time", ">="): "received_after",
    ("receive_time", "<"): "received_before",
}


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last document of a page: the next one begins after it."""

    received_at: datetime
    document: str


def narrowing(text: str, sites: frozenset[str] | None) -> JourneyFilter:
    """What a filter narrows the list to, within the caller's own sites. Raises `ApiError` with FILTER_INVALID."""
    narrowed: dict[str, object] = {}
    for term in parse_filter(text, FIELDS):
        key = _KEYS[term.field, term.operator]
        if key in narrowed:
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        narrowed[key] = _value(term)
    if sites is not None:
        asked = narrowed.get("sites")
        visible = sites & frozenset(asked) if isinstance(asked, tuple) else sites
        # A caller without any site, or who asks for another's, sees nothing: an impossible site, not an absent filter.
        narrowed["sites"] = tuple(sorted(visible)) or ("",)
    return msgspec.convert(narrowed, JourneyFilter)


def _value(term: Term) -> object:
    if term.field == "receive_time":
        try:
            at = datetime.fromisoformat(term.value)
        except ValueError:
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID) from None
        if at.tzinfo is None:
            raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
        return at
    if term.field == "state" and term.value not in _STATES:
        raise ApiError(ErrorReason.ERROR_REASON_FILTER_INVALID)
    return (term.value,)
