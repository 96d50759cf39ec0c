"""Between the contract's values and ours: `FLAG_YES` and `YES`, timestamps and datetimes, short ids and resource names."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

UNSPECIFIED = "UNSPECIFIED"


def word(enum: EnumDescriptor, number: int) -> str:
    """The word of a value without its enum's prefix. A value that this build does not know is its number: newer services stay readable."""
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(_prefix(enum)) if value is not None else str(number)


def number(enum: EnumDescriptor, word: str) -> Any:
    """The value of a word without prefix. Raises ValueError for an unknown word."""
    value = enum.values_by_name.get(_prefix(enum) + word)
    if value is None:
        raise ValueError(f"{enum.name} has no value {word!r}")
    return value.number


def moment(timestamp: Timestamp) -> datetime | None:
    """A time in UTC; None where it was not set."""
    return timestamp.ToDatetime(UTC) if timestamp.seconds or timestamp.nanos else None


def name_of(parent: str, collection: str, given: str) -> str:
    """A resource name from a short id, or the name itself where one was given: ids hold no slash."""
    return given if "/" in given else f"{parent}/{collection}/{given}"


def id_of(name: str) -> str:
    """The last segment of a resource name."""
    return name.rpartition("/")[2]


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix(UNSPECIFIED)
