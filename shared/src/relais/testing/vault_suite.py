"""What every blob store and every key ring must do. A store that has not passed this is not a store.

A test module makes a subclass and gives it the fixture `stores` or `rings`: one implementation as its three users have it, each
with no more rights than the user has in production.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from relais.eventlog.record import SealedChunk
from relais.vault.keys import SUBJECT_LIFETIME_SECONDS
from relais.vault.seal import CHUNK_PLAINTEXT_BYTES, document_key, new_blob, open_body, seal_body
from relais.vault.vault import BlobStore, BodyMissing, ChunkConflict, KeyRing

_KEY = bytes(range(32))


@dataclass(frozen=True)
class Stores:
    """One blob store as ingestion, delivery and the privacy role see it."""

    ingestion: BlobStore
    delivery: BlobStore
    privacy: BlobStore


@dataclass(frozen=True)
class Rings:
    """One key ring as two ingestion replicas, delivery and the privacy role see it; `advance` moves their clocks."""

    ingestion: KeyRing
    ingestion_too: KeyRing
    delivery: KeyRing
    privacy: KeyRing
    advance: Callable[[float], Awaitable[None]]


def sealed(chunks: int = 3) -> tuple[UUID, list[SealedChunk]]:
    """A body of so many chunks, the last one short."""
    blob = new_blob(datetime.now(UTC))
    return blob, seal_body(_KEY, blob, b"x" * (CHUNK_PLAINTEXT_BYTES * (chunks - 1) + 100))


class BlobStoreSuite:
    """The laws of `relais.vault.vault.BlobStore`."""

    async def test_what_was_put_is_read_back_in_order(self, stores: Stores) -> None:
        (first, first_chunks), (second, second_chunks) = sealed(3), sealed(1)
        await stores.ingestion.put(first_chunks[:2])
        await stores.ingestion.put([*second_chunks, first_chunks[2]])
        missing = uuid4()
        found = await stores.delivery.get_many([second, missing, first])
        assert found == {first: first_chunks, second: second_chunks}
        assert len(open_body(_KEY, found[first])) == CHUNK_PLAINTEXT_BYTES * 2 + 100

    async def test_a_part_is_read_without_the_rest(self, stores: Stores) -> None:
        blob, chunks = sealed(4)
        await stores.ingestion.put(chunks)
        assert await stores.delivery.part(blob, 1, 2) == chunks[1:3]
        assert await stores.delivery.part(blob, 3, 10) == chunks[3:]
        assert await stores.delivery.part(blob, 4, 1) == []

    async def test_the_same_chunk_twice_is_no_error(self, stores: Stores) -> None:
        blob, chunks = sealed()
        await stores.ingestion.put(chunks)
        await stores.ingestion.put(chunks[1:])
        assert await stores.delivery.get_many([blob]) == {blob: chunks}

    async def test_other_bytes_under_the_same_number_are_refused_and_nothing_of_that_call_is_stored(self, stores: Stores) -> None:
        blob, chunks = sealed()
        again = seal_body(_KEY, blob, b"y" * (CHUNK_PLAINTEXT_BYTES * 2 + 1))
        await stores.ingestion.put(chunks[:1])
        with pytest.raises(ChunkConflict):
            await stores.ingestion.put(again)
        assert await stores.delivery.get_many([blob]) == {blob: chunks[:1]}

    async def test_two_connections_that_upload_one_body_at_once_never_mix_it(self, stores: Stores) -> None:
        blob, chunks = sealed()
        again = seal_body(_KEY, blob, b"y" * (CHUNK_PLAINTEXT_BYTES * 2 + 1))
        ends = await asyncio.gather(stores.ingestion.put(chunks), stores.ingestion.put(again), return_exceptions=True)
        assert [type(end) for end in ends if end is not None] == [ChunkConflict]
        stored = (await stores.delivery.get_many([blob]))[blob]
        assert stored in (chunks, again)

    async def test_an_upload_resumes_after_the_last_consecutive_chunk(self, stores: Stores) -> None:
        blob, chunks = sealed(4)
        assert await stores.ingestion.staged(blob) == 0
        await stores.ingestion.put(chunks[:2])
        await stores.ingestion.put(chunks[3:])
        assert await stores.ingestion.staged(blob) == 2
        assert await stores.ingestion.staged_part(blob, 0, 2) == chunks[:2]

    async def test_a_body_cannot_start_in_its_middle(self, stores: Stores) -> None:
        blob, chunks = sealed()
        with pytest.raises(BodyMissing):
            await stores.ingestion.put(chunks[1:])
        assert await stores.delivery.get_many([blob]) == {}

    async def test_a_named_body_is_no_longer_read_through_the_staging(self, stores: Stores) -> None:
        blob, chunks = sealed()
        await stores.ingestion.put(chunks)
        await stores.ingestion.name([blob])
        assert await stores.ingestion.staged(blob) == 0
        assert await stores.ingestion.staged_part(blob, 0, 3) == []

    async def test_a_sweep_takes_old_staged_bodies_and_nothing_else(self, stores: Stores) -> None:
        (named, named_chunks), (abandoned, abandoned_chunks) = sealed(), sealed()
        await stores.ingestion.put(named_chunks)
        await stores.ingestion.put(abandoned_chunks[:1])
        await stores.ingestion.name([named])
        assert await stores.ingestion.sweep(3600) == 0
        assert await stores.ingestion.sweep(0) == 1
        assert await stores.delivery.get_many([named, abandoned]) == {named: named_chunks}

    async def test_a_chunk_repeated_after_the_naming_does_not_expose_the_body_to_the_sweep(self, stores: Stores) -> None:
        blob, chunks = sealed()
        await stores.ingestion.put(chunks)
        await stores.ingestion.name([blob])
        await stores.ingestion.put(chunks)
        assert await stores.ingestion.sweep(0) == 0
        assert await stores.delivery.get_many([blob]) == {blob: chunks}

    async def test_a_swept_body_can_be_neither_named_nor_continued(self, stores: Stores) -> None:
        blob, chunks = sealed()
        await stores.ingestion.put(chunks[:2])
        assert await stores.ingestion.sweep(0) == 1
        with pytest.raises(BodyMissing):
            await stores.ingestion.put(chunks[2:])
        with pytest.raises(BodyMissing):
            await stores.ingestion.name([blob])
        assert await stores.ingestion.staged(blob) == 0

    async def test_naming_is_all_or_none(self, stores: Stores) -> None:
        blob, chunks = sealed()
        await stores.ingestion.put(chunks)
        with pytest.raises(BodyMissing):
            await stores.ingestion.name([blob, uuid4()])
        assert await stores.ingestion.staged(blob) == 3
        await stores.ingestion.name([blob, blob])
        await stores.ingestion.name([])

    async def test_after_an_erasure_bodies_are_removed(self, stores: Stores) -> None:
        blob, chunks = sealed()
        await stores.ingestion.put(chunks)
        await stores.ingestion.name([blob])
        assert await stores.privacy.remove([blob, uuid4()]) == 1
        assert await stores.privacy.remove([blob]) == 0
        assert await stores.delivery.get_many([blob]) == {}


class KeyRingSuite:
    """The laws of `relais.vault.vault.KeyRing`."""

    async def test_a_tenants_hmac_keys_are_stable_and_differ_by_purpose_and_tenant(self, rings: Rings) -> None:
        asked = [("north", "document-id"), ("north", "fingerprint"), ("south", "document-id")]
        keys = [await rings.ingestion.tenant_hmac(*each) for each in asked]
        assert keys == [await rings.ingestion_too.tenant_hmac(*each) for each in asked]
        assert len(set(keys)) == 3
        assert {len(key) for key in keys} == {32}

    async def test_one_identity_is_one_subject_per_tenant_on_every_replica(self, rings: Rings) -> None:
        asked = [("north", b"a"), ("north", b"b"), ("south", b"a"), ("north", b"a")]
        first = await rings.ingestion.subjects_for(asked)
        assert first == await rings.ingestion_too.subjects_for(asked)
        assert first[0] == first[3]
        assert len({key.subject for key in first}) == len({key.key for key in first}) == 3
        assert [key.tenant for key in first] == ["north", "north", "south", "north"]

    async def test_replicas_that_race_for_new_identities_agree(self, rings: Rings) -> None:
        identities = [("north", f"patient {number}".encode()) for number in range(200)]
        ends = await asyncio.gather(
            *(ring.subjects_for(asked) for ring in (rings.ingestion, rings.ingestion_too) for asked in (identities, identities[::-1]))
        )
        assert ends[0] == ends[1][::-1] == ends[2] == ends[3][::-1]

    async def test_a_reader_opens_with_the_key_that_the_writer_sealed_with(self, rings: Rings) -> None:
        [written] = await rings.ingestion.subjects_for([("north", b"a")])
        read = await rings.delivery.subjects([("north", written.subject), ("north", uuid4()), ("south", written.subject)])
        assert read == [written, None, None]

    async def test_an_erased_subject_is_gone_for_every_replica_within_the_lifetime(self, rings: Rings) -> None:
        [erased, kept] = await rings.ingestion.subjects_for([("north", b"a"), ("north", b"b")])
        names = [("north", erased.subject), ("north", kept.subject)]
        assert await rings.delivery.subjects(names) == [erased, kept]
        assert await rings.privacy.erase("north", erased.subject)
        assert not await rings.privacy.erase("north", erased.subject)
        await rings.advance(SUBJECT_LIFETIME_SECONDS)
        assert await rings.delivery.subjects(names) == [None, kept]

    async def test_an_erased_identity_that_comes_again_is_a_new_subject(self, rings: Rings) -> None:
        [before] = await rings.ingestion.subjects_for([("north", b"a")])
        await rings.privacy.erase("north", before.subject)
        await rings.advance(SUBJECT_LIFETIME_SECONDS)
        [after] = await rings.ingestion.subjects_for([("north", b"a")])
        assert after.subject != before.subject
        assert after.key != before.key

    async def test_a_retired_subject_still_opens_but_nothing_new_is_sealed_under_it(self, rings: Rings) -> None:
        [before] = await rings.ingestion.subjects_for([("north", b"a")])
        assert await rings.privacy.retire("north", before.subject)
        assert not await rings.privacy.retire("north", before.subject)
        await rings.advance(SUBJECT_LIFETIME_SECONDS)
        assert await rings.delivery.subjects([("north", before.subject)]) == [before]
        [after] = await rings.ingestion.subjects_for([("north", b"a")])
        assert after.subject != before.subject
        assert await rings.privacy.erase("north", before.subject)
        await rings.advance(SUBJECT_LIFETIME_SECONDS)
        assert await rings.delivery.subjects([("north", before.subject), ("north", after.subject)]) == [None, after]

    async def test_nothing_printed_holds_a_key(self, rings: Rings) -> None:
        [subject] = await rings.ingestion.subjects_for([("north", b"a")])
        printed = f"{subject!r} {subject} {rings.ingestion!r} {[subject]!r}"
        for secret in (subject.key, document_key(subject, "d"), await rings.ingestion.tenant_hmac("north", "fingerprint")):
            assert_absent(secret, printed)


def assert_absent(secret: bytes, text: str) -> None:
    """The secret is not in the text, in any of the ways in which bytes are usually written."""
    ways = (secret.hex(), repr(secret)[2:-1], base64.b64encode(secret).decode(), str(list(secret))[1:-1])
    assert not [way for way in ways if way.lower() in text.lower()]
