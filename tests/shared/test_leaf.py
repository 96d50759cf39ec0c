"""The leaf envelope is frozen: its published vectors, made by another program from the documented layout, hold for ever."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.eventlog.leaf import ENTRY_BYTES_MAXIMUM, leaf_entry, leaf_hash
from relais.eventlog.limits import NAME_BYTES_MAXIMUM, TAG_BYTES_MAXIMUM
from relais.eventlog.log import FACT_BYTES_MAXIMUM
from relais.eventlog.record import NewEvent, StoredEvent
from relais.testing.eventlog_place import append_of, event
from relais.testing.postgres import TestPostgres
from tests.shared.eventlog_postgres import LOG, log_pool, place_on

VECTORS = Path(__file__).parent / "vectors" / "leaf_v1.json"

# Of the file's bytes. If this fails, put the file back: trees that were signed stand on it. A new layout is a new format and a new file.
VECTORS_SHA256 = "baf39107dc3e6bfea06e0bf8f127b9743e64d05dc47b130e233aea5738100242"


def cases() -> list[Any]:
    loaded: list[Any] = json.loads(VECTORS.read_text("utf-8"))["cases"]
    return loaded


def event_of(case: Any) -> StoredEvent:
    return StoredEvent(
        position=case["position"],
        tenant=case["tenant"],
        tenant_sequence=case["tenant_sequence"],
        stream=case["stream"],
        version=case["version"],
        event_id=UUID(case["event_id"]),
        tag=case["tag"],
        partition=case["partition"],
        recorded_at=datetime.fromisoformat(case["recorded_at"]),
        actor=case["actor"],
        traceparent=case["traceparent"],
        payload=bytes.fromhex(case["payload_hex"]),
    )


def test_the_published_vectors_were_not_touched() -> None:
    assert hashlib.sha256(VECTORS.read_bytes()).hexdigest() == VECTORS_SHA256


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["name"]))
def test_every_published_vector_is_made_byte_for_byte(case: Any) -> None:
    entry = leaf_entry(case["log"], event_of(case))
    assert entry.hex() == case["entry_hex"]
    assert leaf_hash(entry).hex() == case["leaf_hash_hex"]


def test_the_leaf_of_an_empty_entry_is_that_of_the_standard() -> None:
    # RFC 6962's own test vector, as certificate transparency implementations publish it.
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


async def test_what_postgres_gives_back_makes_the_leaf_of_what_was_handed_in(postgres: TestPostgres) -> None:
    handed_in = [
        event("Straße", tenant="chu-é", payload=bytes(range(256)) * 20, partition=31),
        event("s", payload=b""),
        event("t", payload=b"x" * FACT_BYTES_MAXIMUM),
    ]
    async with log_pool(postgres) as pool:
        log = place_on(pool).log
        answers = await log.append([append_of(one) for one in handed_in])
        first = await log.read(0)
        again = list((await log.find([one.event_id for one in handed_in])).values())
    for given_event, answer, stored in zip(handed_in, answers, first, strict=True):
        assert answer.recorded_at is not None
        entry = leaf_entry(LOG, stored_of(given_event, answer.position, answer.tenant_sequence, answer.version, answer.recorded_at))
        assert leaf_entry(LOG, stored) == entry
        assert leaf_entry(LOG, next(one for one in again if one.event_id == stored.event_id)) == entry


def stored_of(new: NewEvent, position: int, tenant_sequence: int, version: int, recorded_at: datetime) -> StoredEvent:
    return StoredEvent(
        position, new.tenant, tenant_sequence, new.stream, version, new.event_id, new.tag, new.partition, recorded_at, new.actor,
        new.traceparent, new.payload,
    )  # fmt: skip


def test_the_largest_event_the_log_takes_fits_an_entry_of_a_tile() -> None:
    longest = "n" * NAME_BYTES_MAXIMUM
    largest = StoredEvent(
        2**63 - 1, longest, 2**63 - 1, longest, 2**63 - 1, UUID(int=2**128 - 1), "t" * TAG_BYTES_MAXIMUM, 31,
        datetime.max.replace(tzinfo=UTC), longest, "p" * TAG_BYTES_MAXIMUM, b"x" * FACT_BYTES_MAXIMUM,
    )  # fmt: skip
    assert len(leaf_entry("l" * 63, largest)) < 2048 < ENTRY_BYTES_MAXIMUM


CHANGES: dict[str, Any] = {
    "position": 2, "tenant": "u", "tenant_sequence": 2, "stream": "b", "version": 2, "event_id": UUID(int=2), "tag": "c.v1", "partition": 2,
    "recorded_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(microseconds=1), "actor": "y", "traceparent": "0", "payload": b"y",
}  # fmt: skip


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_changing_any_stored_column_changes_the_leaf(field: str) -> None:
    stored = StoredEvent(1, "t", 1, "s", 1, UUID(int=1), "a.v1", 1, datetime(2026, 3, 1, tzinfo=UTC), "x", "", b"x")
    assert set(CHANGES) == {column.name for column in msgspec.structs.fields(StoredEvent)}
    assert leaf_entry("l", msgspec.structs.replace(stored, **{field: CHANGES[field]})) != leaf_entry("l", stored)
    assert leaf_entry("m", stored) != leaf_entry("l", stored)


names = st.text(min_size=1, max_size=20)


@given(st.lists(st.tuples(names, names, names), min_size=2, max_size=2, unique=True))
def test_no_two_events_that_differ_in_their_names_share_a_leaf(pairs: list[tuple[str, str, str]]) -> None:
    entries = {
        leaf_entry("l", StoredEvent(1, tenant, 1, stream, 1, UUID(int=1), tag, 1, datetime(2026, 3, 1, tzinfo=UTC), "x", "", b""))
        for tenant, stream, tag in pairs
    }
    assert len(entries) == 2
