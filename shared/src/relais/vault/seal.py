"""Sealing and opening: AES-256-GCM under a document's own key, for bodies in chunks and for the sealed part of a fact.

    ciphertext = nonce (12 bytes) || AES-256-GCM(document key, nonce, plaintext, AAD) || tag (16 bytes)

The nonce is random. A document's key seals a few hundred messages in its whole life (at most 401 chunks an upload, one
content a request), so two equal nonces are a matter of 2^-80, far below the 2^-32 of NIST SP 800-38D section 8.3. A counter would
be wrong here: an upload that starts again and a request that is repeated seal other bytes under the same key.

The AAD binds every ciphertext to its place: a chunk to its blob, its number and whether it is the last; a content to its purpose
and its document. A chunk that is changed, moved, repeated, cut off or another document's does not open: `SealBroken`.

A content is deflated (RFC 1950) before it is sealed, because every later fact of the road carries it on: a header extract shrinks to
less than a quarter. A reader tells by the first byte, 0x78 for zlib; a msgpack map never begins with it. A structured body shrinks to a
fifth or a tenth, and each byte of a body costs Postgres four (its log, its table, two caches); a Base64 PDF gains so little that it is
left alone. What this tells: the length of a ciphertext says how well a document deflates. Nothing an attacker chose is deflated with it.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from isal import isal_zlib

from relais.contracts.submission import BodyReference, SealedContent
from relais.eventlog.record import SealedChunk
from relais.vault.dictionary import CONTENT_DICTIONARY
from relais.vault.vault import CHUNK_BYTES_MAXIMUM, SealBroken, SubjectKey

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
CHUNK_PLAINTEXT_BYTES = CHUNK_BYTES_MAXIMUM - NONCE_BYTES - TAG_BYTES
CONTENT_PURPOSE = "relais.content.v1"
CONTENT_BYTES_MAXIMUM = 256 * 1024
"""What a sealed content may inflate to. A larger one is not deflated, and so meets the limit of whoever wants to carry it in a fact."""

_BODY_AAD = struct.Struct(">14s16sI?")
_BODY_PURPOSE = b"relais.body.v1"
_DOCUMENT_INFO = b"relais.document.v1"

_ZLIB_FIRST_BYTE = b"\x78"
# ISA-L writes what any zlib reads, at this level as small as zlib's first in a third of the time.
_DEFLATE_LEVEL = 1
_DEFLATE_GROWTH_BYTES_MAXIMUM = 1024

# The stub calls it an exception where it is a class of them.
_NotDeflated = cast(type[Exception], isal_zlib.IsalError)

_content_encoder = msgspec.msgpack.Encoder()
_content_decoder = msgspec.msgpack.Decoder(SealedContent)


def document_key(subject: SubjectKey, document: str) -> bytes:
    """The 32-byte key of one document of this subject; `document` is the id as facts write it.

    RFC 5869 HKDF-Expand with SHA-256, one block: T(1) = HMAC(subject key, info || 0x01), info = "relais.document.v1" || document id.
    Extract is left out as section 3.3 allows, because the subject key is already 32 uniformly random bytes.
    """
    return hmac.digest(subject.key, _DOCUMENT_INFO + document.encode() + b"\x01", "sha256")


def seal_bytes(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """One ciphertext with its nonce in front; `associated` is authenticated, not stored."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def open_bytes(key: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """What `seal_bytes` sealed. Raises `SealBroken` for another key, other associated data, or any changed bit."""
    return _open(AESGCM(key), ciphertext, associated)


def seal_content(key: bytes, document: str, content: SealedContent) -> bytes:
    """The sealed part of a submission, for `Submission.sealed`."""
    plaintext = _content_encoder.encode(content)
    if len(plaintext) <= CONTENT_BYTES_MAXIMUM:
        deflating = isal_zlib.compressobj(_DEFLATE_LEVEL, zdict=CONTENT_DICTIONARY)
        plaintext = deflating.compress(plaintext) + deflating.flush()
    return seal_bytes(key, plaintext, _content_aad(document))


def open_content(key: bytes, document: str, sealed: bytes) -> SealedContent:
    """The sealed part of a submission of this document. Raises `SealBroken`."""
    plaintext = open_bytes(key, sealed, _content_aad(document))
    try:
        is_deflated = plaintext[:1] == _ZLIB_FIRST_BYTE
        return _content_decoder.decode(_inflated(plaintext, CONTENT_BYTES_MAXIMUM) if is_deflated else plaintext)
    except msgspec.MsgspecError:
        # The decoder's message may quote a value, and every value in here is personal.
        raise SealBroken("the sealed content opens but is not a content") from None


def seal_body(key: bytes, blob: UUID, body: bytes, *, deflated: bool = False) -> list[SealedChunk]:
    """A whole body as its rows; an empty body is one empty chunk, so that an absent body can be told from it."""
    cipher = AESGCM(key)
    view = memoryview(body)
    # What does not deflate grows by a few bytes, and still has to fit its row.
    step = CHUNK_PLAINTEXT_BYTES - _DEFLATE_GROWTH_BYTES_MAXIMUM if deflated else CHUNK_PLAINTEXT_BYTES
    starts = range(0, max(1, len(body)), step)
    parts: Iterable[bytes | memoryview] = (view[start : start + step] for start in starts)
    if deflated:
        parts = (isal_zlib.compress(part, _DEFLATE_LEVEL) for part in parts)
    return [_seal_chunk(cipher, blob, number, last=number == len(starts) - 1, plaintext=part) for number, part in enumerate(parts)]


def open_body(key: bytes, chunks: Sequence[SealedChunk], *, deflated: bool = False) -> bytes:
    """The body these chunks are, all of one blob and in order. Raises `SealBroken` when one is missing, moved, changed or foreign."""
    opener = BodyOpener(key, deflated=deflated)
    parts = [opener.open(chunk) for chunk in chunks]
    opener.finish()
    return parts[0] if len(parts) == 1 else b"".join(parts)


def ciphertext_sha256(chunks: Iterable[SealedChunk]) -> bytes:
    """SHA-256 over the stored rows in order: the hash that facts carry and that outlives the key."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk.ciphertext)
    return digest.digest()


def body_reference(chunks: Sequence[SealedChunk], size: int, *, deflated: bool = False) -> BodyReference:
    """How a fact names this body of `size` bytes as sent. Raises ValueError for no chunks: even an empty body is one."""
    if not chunks:
        raise ValueError("a body is at least one chunk")
    return BodyReference(
        blob=str(chunks[0].blob), size=size, chunks=len(chunks), ciphertext_sha256=ciphertext_sha256(chunks), deflated=deflated
    )


def new_blob(now: datetime) -> UUID:
    """A fresh blob id (RFC 9562 UUIDv7): ordered by time, so that bodies that arrive together lie together in the store's index."""
    milliseconds = int(now.timestamp() * 1000)
    chance = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (2**48 - 1)) << 80 | (chance & (2**80 - 1))
    return UUID(int=value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)


class BodySealer:
    """Seals a body as it streams in, holding back less than one chunk and what was just fed.

    `feed` returns the chunks that are complete, each exactly CHUNK_PLAINTEXT_BYTES of plaintext; `finish` returns the last. The
    last chunk is sealed as such, so nothing can be taken for a whole body before `finish`. An upload that resumes gives the
    chunks that are stored to `replay` first, and goes on from there.
    """

    def __init__(self, key: bytes, blob: UUID) -> None:
        self._key = key
        self._cipher = AESGCM(key)
        self._blob = blob
        self._number = 0
        self._held = bytearray()
        self._sealed_bytes = 0
        self._digest = hashlib.sha256()
        self._finished = False

    @property
    def size(self) -> int:
        """Plaintext bytes taken in so far, held back ones included: where the sender goes on."""
        return self._sealed_bytes + len(self._held)

    def replay(self, chunk: SealedChunk) -> bytes:
        """Take in a chunk sealed earlier, the next by number, and return its plaintext for the caller's own hash."""
        if self._finished or self._held:
            raise ValueError("stored chunks are replayed before anything is fed")
        plaintext = _open_chunk(self._cipher, self._blob, self._number, chunk)
        self._count(chunk, len(plaintext))
        return plaintext

    def feed(self, part: bytes) -> list[SealedChunk]:
        """Take in the next bytes, of any length, and return the chunks that became complete."""
        if self._finished:
            raise ValueError("the body is finished")
        self._held += part
        chunks = []
        # One byte more than a chunk proves that this chunk is not the last.
        while len(self._held) > CHUNK_PLAINTEXT_BYTES:
            chunks.append(self._seal(bytes(self._held[:CHUNK_PLAINTEXT_BYTES]), last=False))
            del self._held[:CHUNK_PLAINTEXT_BYTES]
        return chunks

    def finish(self) -> list[SealedChunk]:
        """Seal what is left as the last chunk; nothing is left when the replayed chunks already ended with it."""
        if self._finished:
            return []
        return [self._seal(bytes(self._held), last=True)]

    def reference(self) -> BodyReference:
        """How a fact names the finished body."""
        if not self._finished:
            raise ValueError("the body is not finished")
        return BodyReference(blob=str(self._blob), size=self._sealed_bytes, chunks=self._number, ciphertext_sha256=self._digest.digest())

    def _seal(self, plaintext: bytes, *, last: bool) -> SealedChunk:
        chunk = _seal_chunk(self._cipher, self._blob, self._number, last=last, plaintext=plaintext)
        self._count(chunk, len(plaintext))
        if last:
            self._held.clear()
        return chunk

    def _count(self, chunk: SealedChunk, plaintext_bytes: int) -> None:
        self._number += 1
        self._sealed_bytes += plaintext_bytes
        self._digest.update(chunk.ciphertext)
        self._finished = chunk.last


class BodyOpener:
    """Opens a body chunk by chunk; what was opened counts as a body only after `finish`, which finds a cut-off end."""

    def __init__(self, key: bytes, *, deflated: bool = False) -> None:
        self._cipher = AESGCM(key)
        self._deflated = deflated
        self._blob: UUID | None = None
        self._number = 0
        self._ended = False

    def open(self, chunk: SealedChunk) -> bytes:
        """The plaintext of the next chunk by number. Raises `SealBroken`."""
        if self._ended:
            raise SealBroken("a chunk follows the last one")
        self._blob = self._blob or chunk.blob
        plaintext = _open_chunk(self._cipher, self._blob, self._number, chunk)
        self._number += 1
        self._ended = chunk.last
        return _inflated(plaintext, CHUNK_PLAINTEXT_BYTES) if self._deflated else plaintext

    def finish(self) -> None:
        """Raises `SealBroken` when the last chunk has not been opened."""
        if not self._ended:
            raise SealBroken("the body ends before its last chunk")


def _seal_chunk(cipher: AESGCM, blob: UUID, number: int, *, last: bool, plaintext: bytes | memoryview) -> SealedChunk:
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = nonce + cipher.encrypt(nonce, plaintext, _BODY_AAD.pack(_BODY_PURPOSE, blob.bytes, number, last))
    return SealedChunk(blob, number, last, ciphertext)


def _open_chunk(cipher: AESGCM, blob: UUID, number: int, chunk: SealedChunk) -> bytes:
    # The place is what the reader expects, not what the row says of itself; only `last` is taken from it, and authenticated.
    return _open(cipher, chunk.ciphertext, _BODY_AAD.pack(_BODY_PURPOSE, blob.bytes, number, chunk.last))


def _open(cipher: AESGCM, ciphertext: bytes, associated: bytes) -> bytes:
    if len(ciphertext) < NONCE_BYTES + TAG_BYTES:
        raise SealBroken("the ciphertext is shorter than its own frame")
    view = memoryview(ciphertext)
    try:
        return cipher.decrypt(view[:NONCE_BYTES], view[NONCE_BYTES:], associated)
    except InvalidTag:
        raise SealBroken("the ciphertext does not open here") from None


def _inflated(deflated: bytes, bytes_maximum: int) -> bytes:
    # Only what was deflated with the dictionary asks for it.
    inflating = isal_zlib.decompressobj(zdict=CONTENT_DICTIONARY)
    try:
        plaintext = inflating.decompress(deflated, bytes_maximum)
    except _NotDeflated:
        raise SealBroken("what opens is not deflated") from None
    # One more call lets the stream's end and its checksum be seen when the limit was met exactly.
    if inflating.decompress(inflating.unconsumed_tail, 1) or not inflating.eof:
        raise SealBroken("what was deflated is cut off, or larger than allowed")
    return plaintext


def _content_aad(document: str) -> bytes:
    return b"\x00".join((CONTENT_PURPOSE.encode(), document.encode()))
