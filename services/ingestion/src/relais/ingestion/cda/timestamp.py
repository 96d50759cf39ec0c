r"""HL7 TS to an instant, and nothing guessed but what the standard says an absent part means.

Grammar of *Structuration minimale*: `[0-9]{1,8}|([0-9]{9,14}|[0-9]{14,14}\.[0-9]+)([+\-][0-9]{1,4})?`. It also lets through
what names no instant (`202`, `20211`, month 00, the lunar dates of some identities) or two (`+1`, `+100`): these are
malformed here, and stay readable where they stand, as written.
"""

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

_GRAMMAR: Final = re.compile(r"([0-9]{4,14})(?:\.([0-9]{1,9}))?(?:([+-])([0-9]{2})([0-9]{2})?)?", re.ASCII)
_DATE_DIGITS: Final = 8
_WHOLE_DIGITS: Final = frozenset({4, 6, 8, 10, 12, 14})
_FRACTION_DIGITS: Final = 14
_OFFSET_MAXIMUM: Final = timedelta(hours=14)
_FORMAT: Final = "%Y%m%d%H%M%S"
_EARLIEST: Final = "00000101000000"


class TimestampMalformed(ValueError):
    """The text names no instant. The message never repeats it: a birth date is personal."""

    def __init__(self) -> None:
        super().__init__("not an HL7 timestamp")


def parse_timestamp(written: str, default_zone: tzinfo) -> datetime:
    """The first instant that `written` covers, with its own offset, or in `default_zone` (the site's) where it has none.

    `2021` is the first of January at midnight. A date has no offset in the grammar. Raises TimestampMalformed.
    """
    match = _GRAMMAR.fullmatch(written)
    if match is None:
        raise TimestampMalformed
    digits, fraction, sign, hours, minutes = match.groups()
    if len(digits) not in _WHOLE_DIGITS or (fraction and len(digits) != _FRACTION_DIGITS) or (sign and len(digits) <= _DATE_DIGITS):
        raise TimestampMalformed
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    try:
        instant = datetime.strptime(digits + _EARLIEST[len(digits) :], _FORMAT).replace(microsecond=microsecond, tzinfo=default_zone)
    except ValueError:
        raise TimestampMalformed from None
    if sign is None:
        return instant
    offset = timedelta(hours=int(hours), minutes=int(minutes or "0"))
    if offset > _OFFSET_MAXIMUM or int(minutes or "0") > 59:
        raise TimestampMalformed
    return instant.replace(tzinfo=timezone(offset if sign == "+" else -offset))
