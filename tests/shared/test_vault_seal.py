"""Attacks the seal: flipped bits, lost, repeated, moved and foreign chunks, and every printed form of what holds a key."""

import hashlib
import os
import zlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from relais.contracts.header import Code, HeaderExtract, Identifier
from relais.contracts.submission import DeclaredIdentity, SealedContent
from relais.eventlog.record import SealedChunk
from relais.testing.vault_suite import assert_absent
from relais.vault.dictionary import CONTENT_DICTIONARY
from relais.vault.seal import (
    CHUNK_PLAINTEXT_BYTES,
    CONTENT_BYTES_MAXIMUM,
    BodyOpener,
    BodySealer,
    body_reference,
    document_key,
    new_blob,
    open_body,
    open_bytes,
    open_content,
    seal_body,
    seal_bytes,
    seal_content,
)
from relais.vault.vault import CHUNK_BYTES_MAXIMUM, SealBroken, SubjectKey

KEY = bytes(range(32))
BLOB = UUID(int=7)
DOCUMENT = "0190b2f0-0000-8000-8000-000000000001"
CONTENT = SealedContent(
    header=HeaderExtract(id=Identifier(root="1.2.3"), type=Code(code="11490-0")), identity=DeclaredIdentity(birth_family_name="Canari")
)

sizes = some.sampled_from(
    [0, 1, 17, CHUNK_PLAINTEXT_BYTES - 1, CHUNK_PLAINTEXT_BYTES, CHUNK_PLAINTEXT_BYTES + 1, 3 * CHUNK_PLAINTEXT_BYTES]
)


def body_of(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@given(sizes)
def test_what_was_sealed_opens_to_the_same_bytes(size: int) -> None:
    body = body_of(size)
    chunks = seal_body(KEY, BLOB, body)
    assert open_body(KEY, chunks) == body
    assert max(len(chunk.ciphertext) for chunk in chunks) <= CHUNK_BYTES_MAXIMUM
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


@given(some.sampled_from([0, 1, 1000, CHUNK_PLAINTEXT_BYTES, 3 * CHUNK_PLAINTEXT_BYTES]), some.booleans())
def test_a_body_that_is_deflated_opens_to_the_same_bytes_whether_it_shrinks_or_not(size: int, shrinks: bool) -> None:
    body = body_of(size) if shrinks else os.urandom(size)
    chunks = seal_body(KEY, BLOB, body, deflated=True)
    reference = body_reference(chunks, size, deflated=True)
    assert open_body(KEY, chunks, deflated=reference.deflated) == body
    assert (reference.size, reference.chunks) == (size, len(chunks))
    assert max(len(chunk.ciphertext) for chunk in chunks) <= CHUNK_BYTES_MAXIMUM
    if shrinks and size >= 1000:
        assert sum(len(chunk.ciphertext) for chunk in chunks) < size / 4


@pytest.mark.parametrize(
    "plaintext",
    [b"no zlib stream", zlib.compress(b"cut off")[:-2], zlib.compress(bytes(CHUNK_PLAINTEXT_BYTES + 1)), b""],
    ids=["no zlib stream", "cut off", "a bomb", "nothing"],
)
def test_what_does_not_inflate_to_one_chunk_is_broken(plaintext: bytes) -> None:
    chunks = seal_body(KEY, BLOB, plaintext)
    with pytest.raises(SealBroken):
        open_body(KEY, chunks, deflated=True)


def test_a_content_that_inflates_to_more_than_any_content_is_broken() -> None:
    bomb = zlib.compress(bytes(CONTENT_BYTES_MAXIMUM + 1))
    with pytest.raises(SealBroken):
        open_content(KEY, DOCUMENT, seal_bytes(KEY, bomb, b"relais.content.v1\x00" + DOCUMENT.encode()))


def test_the_dictionary_is_the_one_that_every_stored_content_was_deflated_with() -> None:
    assert hashlib.sha256(CONTENT_DICTIONARY).hexdigest() == "7d6a1089a0e454ed568fb047edeea65a91c68062cc0b9809064337a90da64e27"


def test_a_content_that_is_too_large_to_be_inflated_is_not_deflated_and_opens_all_the_same() -> None:
    content = msgspec.structs.replace(CONTENT, title="x" * CONTENT_BYTES_MAXIMUM)
    sealed = seal_content(KEY, DOCUMENT, content)
    assert len(sealed) > CONTENT_BYTES_MAXIMUM
    assert open_content(KEY, DOCUMENT, sealed) == content


@given(some.data())
def test_any_flipped_bit_is_found(data: some.DataObject) -> None:
    chunks = seal_body(KEY, BLOB, body_of(data.draw(some.sampled_from([0, 1, 1000, CHUNK_PLAINTEXT_BYTES + 5]))))
    which = data.draw(some.integers(0, len(chunks) - 1))
    bit = data.draw(some.integers(0, len(chunks[which].ciphertext) * 8 - 1))
    changed = bytearray(chunks[which].ciphertext)
    changed[bit // 8] ^= 1 << bit % 8
    chunks[which] = replace(chunks[which], ciphertext=bytes(changed))
    with pytest.raises(SealBroken):
        open_body(KEY, chunks)


@given(some.lists(some.integers(0, 3), max_size=6).filter(lambda order: order != [0, 1, 2, 3]), some.booleans())
def test_chunks_dropped_repeated_or_moved_are_found_even_when_renumbered(order: list[int], renumbered: bool) -> None:
    chunks = seal_body(KEY, BLOB, body_of(3 * CHUNK_PLAINTEXT_BYTES + 1))
    arranged = [chunks[place] for place in order]
    if renumbered:
        arranged = [SealedChunk(BLOB, number, number == len(order) - 1, each.ciphertext) for number, each in enumerate(arranged)]
    with pytest.raises(SealBroken):
        open_body(KEY, arranged)


def test_a_body_cut_at_a_chunk_does_not_pass_for_a_shorter_one() -> None:
    chunks = seal_body(KEY, BLOB, body_of(2 * CHUNK_PLAINTEXT_BYTES))
    opener = BodyOpener(KEY)
    opener.open(chunks[0])
    with pytest.raises(SealBroken):
        opener.finish()
    with pytest.raises(SealBroken):
        open_body(KEY, [replace(chunks[0], last=True)])
    with pytest.raises(SealBroken):
        open_body(KEY, [])


@given(some.uuids(), some.uuids(), some.binary(min_size=32, max_size=32))
def test_sealed_bytes_of_two_documents_never_interchange(one: UUID, other: UUID, root: bytes) -> None:
    subject = SubjectKey("north", uuid4(), root)
    key, foreign = document_key(subject, str(one)), document_key(subject, str(other))
    if one == other:
        assert key == foreign
        return
    with pytest.raises(SealBroken):
        open_body(foreign, seal_body(key, BLOB, b"body"))
    with pytest.raises(SealBroken):
        open_content(foreign, str(one), seal_content(key, str(one), CONTENT))
    with pytest.raises(SealBroken):
        open_content(key, str(other), seal_content(key, str(one), CONTENT))


def test_a_chunk_of_another_body_under_the_same_key_is_found() -> None:
    mine, other = seal_body(KEY, BLOB, body_of(CHUNK_PLAINTEXT_BYTES + 1)), seal_body(KEY, UUID(int=8), body_of(CHUNK_PLAINTEXT_BYTES + 1))
    for stranger in (other[1], replace(other[1], blob=BLOB)):
        with pytest.raises(SealBroken):
            open_body(KEY, [mine[0], stranger])


def test_a_chunk_does_not_open_as_a_content_nor_a_content_as_a_chunk() -> None:
    with pytest.raises(SealBroken):
        open_content(KEY, DOCUMENT, seal_body(KEY, BLOB, b"body")[0].ciphertext)
    with pytest.raises(SealBroken):
        open_body(KEY, [SealedChunk(BLOB, 0, True, seal_content(KEY, DOCUMENT, CONTENT))])


@given(some.binary(max_size=27))
def test_bytes_shorter_than_a_frame_are_broken_and_not_a_crash(ciphertext: bytes) -> None:
    with pytest.raises(SealBroken):
        open_bytes(KEY, ciphertext, b"")


def test_a_content_opens_to_itself_and_the_same_content_never_seals_twice_to_the_same_bytes() -> None:
    sealed = seal_content(KEY, DOCUMENT, CONTENT)
    assert open_content(KEY, DOCUMENT, sealed) == CONTENT
    assert sealed != seal_content(KEY, DOCUMENT, CONTENT)
    assert b"Canari" not in sealed


def test_bytes_that_open_but_are_no_content_are_broken_and_not_quoted() -> None:
    sealed = seal_bytes(KEY, b"\x81\xa6Canari\x01", b"relais.content.v1\x00" + DOCUMENT.encode())
    with pytest.raises(SealBroken) as broken:
        open_content(KEY, DOCUMENT, sealed)
    assert "Canari" not in f"{broken.value!r}"
    assert broken.value.__suppress_context__


@given(some.binary(min_size=32, max_size=32), some.uuids())
def test_the_document_key_is_the_rfc_5869_expansion(root: bytes, document: UUID) -> None:
    expected = HKDFExpand(hashes.SHA256(), 32, b"relais.document.v1" + str(document).encode()).derive(root)
    assert document_key(SubjectKey("north", uuid4(), root), str(document)) == expected


@given(sizes, some.lists(some.integers(1, 2 * CHUNK_PLAINTEXT_BYTES), max_size=5))
def test_a_streamed_body_is_the_same_body_however_it_was_cut(size: int, cuts: list[int]) -> None:
    body = body_of(size)
    sealer, chunks, start = BodySealer(KEY, BLOB), [], 0
    for cut in cuts:
        chunks += sealer.feed(body[start : start + cut])
        start += cut
    chunks += sealer.feed(body[start:])
    chunks += sealer.finish()
    assert open_body(KEY, chunks) == body
    assert sealer.reference() == body_reference(chunks, size)
    assert sealer.reference().size == size
    assert sealer.reference().ciphertext_sha256 == hashlib.sha256(b"".join(chunk.ciphertext for chunk in chunks)).digest()


@pytest.mark.parametrize("stored", [0, 1, 2, 3])
def test_an_interrupted_upload_goes_on_in_another_process(stored: int) -> None:
    body = body_of(2 * CHUNK_PLAINTEXT_BYTES + 10)
    before = BodySealer(KEY, BLOB)
    kept = [*before.feed(body), *before.finish()][:stored]
    after = BodySealer(KEY, BLOB)
    assert b"".join(after.replay(chunk) for chunk in kept) == body[: after.size]
    if stored < 3:
        kept += after.feed(body[after.size :])
    kept += after.finish()
    assert open_body(KEY, kept) == body
    assert after.reference() == body_reference(kept, len(body))


def test_a_streaming_sealer_holds_back_less_than_it_was_fed() -> None:
    sealer = BodySealer(KEY, BLOB)
    for _ in range(50):
        sealer.feed(bytes(CHUNK_PLAINTEXT_BYTES // 2 + 1))
        assert len(sealer._held) <= CHUNK_PLAINTEXT_BYTES


def test_a_sealer_is_used_in_one_direction_only() -> None:
    sealer = BodySealer(KEY, BLOB)
    sealer.feed(b"x")
    with pytest.raises(ValueError, match="replayed before"):
        sealer.replay(seal_body(KEY, BLOB, b"y")[0])
    with pytest.raises(ValueError, match="not finished"):
        sealer.reference()
    sealer.finish()
    with pytest.raises(ValueError, match="finished"):
        sealer.feed(b"z")


def test_blob_ids_are_ordered_by_time_and_valid_version_7() -> None:
    start = datetime(2026, 5, 4, 12, tzinfo=UTC)
    blobs = [new_blob(start + timedelta(milliseconds=number)) for number in range(100)]
    assert blobs == sorted(blobs)
    assert {blob.version for blob in blobs} == {7}
    assert len({new_blob(start) for _ in range(100)}) == 100


def test_nothing_that_seals_prints_its_key() -> None:
    key = os.urandom(32)
    subject = SubjectKey("north", uuid4(), key)
    for holder in (subject, BodySealer(key, BLOB), BodyOpener(key)):
        assert_absent(key, f"{holder!r} {holder} {[holder]}")
    with pytest.raises(SealBroken) as broken:
        open_bytes(key, bytes(40), b"")
    assert_absent(key, repr(broken.value))
