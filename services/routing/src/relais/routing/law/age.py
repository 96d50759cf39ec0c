"""Whether a patient is of age on a day, from birth dates that may be partly known (SAFETY 12)."""

import calendar
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

MAJORITY_YEARS: Final = 18

_DATE: Final = re.compile(r"(?P<year>[0-9]{4})(?:(?P<month>[0-9]{2})(?:(?P<day>[0-9]{2})[0-9.+-]*)?)?")
# The westernmost French territory: nobody's birthday has come anywhere in France before it has come there.
_WESTERNMOST_HOURS: Final = -10


def day_of_sending(now: datetime) -> date:
    """The day on which an age is counted: the earliest that it is anywhere in France at this moment."""
    return (now.astimezone(UTC) + timedelta(hours=_WESTERNMOST_HOURS)).date()


def is_of_age(births: Iterable[str], day: date) -> bool:
    """Whether the person is certainly 18 on that day, by every birth date that was stated (HL7 TS, perhaps partial).

    Unknown is not of age. A partial date, or one of those the INS gives to people who do not know theirs (month or day 00, month
    above 12), counts as the latest day it can mean.
    """
    latest = [_latest_day(birth) for birth in births if birth.strip()]
    return bool(latest) and all(birth is not None and _majority(birth) <= day for birth in latest)


def _majority(birth: date) -> date:
    year = birth.year + MAJORITY_YEARS
    if birth.month == 2 and birth.day == 29 and not calendar.isleap(year):
        return date(year, 3, 1)
    return birth.replace(year=year)


def _latest_day(written: str) -> date | None:
    match = _DATE.fullmatch(written.strip())
    if match is None or not 1 <= int(match["year"]) <= date.max.year - MAJORITY_YEARS:
        return None
    year, month = int(match["year"]), int(match["month"] or 0)
    if not 1 <= month <= 12:
        return date(year, 12, 31)
    last = calendar.monthrange(year, month)[1]
    day = int(match["day"] or 0)
    return date(year, month, day if 1 <= day <= last else last)
