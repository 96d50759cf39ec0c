"""AIP-160 filters and AIP-158 page tokens of ListDocuments."""

import re
from datetime import datetime

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from relais.api.access.v1.error_reason_pb2 import ErrorReason
from relais.api.ingestion.v1 import document_pb2
from relais.chassis.api.errors import FieldsInvalid, FieldViolation
from relais.ingestion.ports import JourneyFilter

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAXIMUM = 500
FILTER_CHARACTERS_MAXIMUM = 2000

_TERM = re.compile(r'\s*(state|site|type_code|receive_time)\s*(=|>=|<)\s*("([^"\\]{1,200})"|[A-Za-z0-9_.:-]{1,200})\s*')
_STATES = {name.removeprefix("STATE_") for name, number in document_pb2.Document.State.items() if number}


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page begins, and for which question."""

    parent: str
    filter: str
    received_at: datetime
    document: str


class PageTokens:
    """Opaque page tokens, sealed under a key of the tenant, so that a token says nothing and is never an authorisation."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    def seal(self, cursor: Cursor) -> str:
        """The token of a cursor."""
        return self._fernet.encrypt(msgspec.msgpack.encode(cursor)).decode()

    def open(self, token: str, parent: str, narrowed: str) -> Cursor:
        """The cursor of a token, given back with the same question. Raises `FieldsInvalid` with PAGE_TOKEN_INVALID."""
        try:
            cursor = msgspec.msgpack.decode(self._fernet.decrypt(token.encode()), type=Cursor)
        except (InvalidToken, msgspec.MsgspecError):
            raise FieldsInvalid([FieldViolation("page_token", ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID)]) from None
        if (cursor.parent, cursor.filter) != (parent, narrowed):
            raise FieldsInvalid([FieldViolation("page_token", ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID)])
        return cursor


def page_size(asked: int) -> int:
    """The page size to use (AIP-158): 0 is the default, too many is the most, fewer than none is refused."""
    if asked < 0:
        raise FieldsInvalid([FieldViolation("page_size")])
    return min(asked or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAXIMUM)


def parse_filter(text: str, sites: frozenset[str] | None) -> JourneyFilter:
    """What a filter narrows a list to, within the caller's own sites. Raises `FieldsInvalid` with FILTER_INVALID."""
    narrowed: dict[str, object] = {}
    if len(text) > FILTER_CHARACTERS_MAXIMUM:
        raise _invalid()
    for part in re.split(r"\bAND\b", text) if text.strip() else ():
        match = _TERM.fullmatch(part)
        if match is None:
            raise _invalid()
        _apply(narrowed, match[1], match[2], match[4] or match[3])
    if sites is not None:
        asked = narrowed.get("sites")
        narrowed["sites"] = tuple(sites & set(asked)) if isinstance(asked, tuple) else tuple(sites)
        # A caller without any site, or who asks for another's, sees nothing: an impossible site, not an absent filter.
        narrowed["sites"] = narrowed["sites"] or ("",)
    return msgspec.convert(narrowed, JourneyFilter)


def _apply(narrowed: dict[str, object], field: str, operator: str, value: str) -> None:
    if field == "receive_time":
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise _invalid() from None
        key = {">=": "received_after", "<": "received_before"}.get(operator)
        if key is None or key in narrowed or at.tzinfo is None:
            raise _invalid()
        narrowed[key] = at
        return
    key = {"state": "states", "site": "sites", "type_code": "type_codes"}[field]
    if operator != "=" or key in narrowed or (field == "state" and value not in _STATES):
        raise _invalid()
    narrowed[key] = (value,)


def _invalid() -> FieldsInvalid:
    return FieldsInvalid([FieldViolation("filter", ErrorReason.ERROR_REASON_FILTER_INVALID)])
