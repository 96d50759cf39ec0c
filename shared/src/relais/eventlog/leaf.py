"""The leaf of an event: the bytes that are hashed into a tenant's Merkle tree. Frozen with the first event ever stored.

Format 1, all numbers big-endian and unsigned, except the time:

    offset  bytes  field
    0       2      format, always 1
    2       2      partition, 0..31
    4       8      position in the log, from 1
    12      8      tenant sequence, from 1; the leaf's index in the tenant's tree is this minus 1
    20      8      version in the stream, from 1
    28      8      time of recording, signed, microseconds since 1970-01-01T00:00:00Z without leap seconds
    36      16     event id, the 16 bytes of the UUID in network order (RFC 9562)
    52      4      length of the payload in bytes
    56      ...    six strings: log, tenant, stream, tag, actor, traceparent; each is 2 bytes of length in bytes, then UTF-8
    end-32  32     SHA-256 of the payload

The payload itself is not in the leaf: the entry stays small, an entry bundle can be handed to a witness, and a leaf still verifies after
the payload has become unreadable. Everything else is rebuilt from the stored columns, byte for byte. The leaf hash is that of RFC 6962,
section 2.1: SHA-256(0x00 || entry).
"""

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from relais.eventlog.record import StoredEvent

FORMAT: Final = 1

# C2SP tlog-tiles gives the length of an entry two bytes. The largest leaf the log's own limits allow (limits.py) is far smaller.
ENTRY_BYTES_MAXIMUM: Final = 65_535

_HEADER: Final = struct.Struct(">HHQQQq16sI")
_LENGTH: Final = struct.Struct(">H")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def leaf_entry(log: str, event: StoredEvent) -> bytes:
    """The entry of one stored event of the log `log`, in format 1."""
    header = _HEADER.pack(
        FORMAT,
        event.partition,
        event.position,
        event.tenant_sequence,
        event.version,
        # Whole microseconds by integer division: a float would lose the last digits.
        (event.recorded_at - _EPOCH) // _MICROSECOND,
        event.event_id.bytes,
        len(event.payload),
    )
    strings = (log, event.tenant, event.stream, event.tag, event.actor, event.traceparent)
    return b"".join((header, *map(_prefixed, strings), hashlib.sha256(event.payload).digest()))


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf as RFC 6962 and C2SP tlog-tiles have it."""
    return hashlib.sha256(b"\0" + entry).digest()


def _prefixed(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded
