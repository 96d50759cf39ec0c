"""From a recorded attempt to something to send: the last look (SAFETY 17), keys and bodies, each in one round trip for a batch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from uuid import UUID

from relais.clock import Clock
from relais.contracts.reasons import AbandonReason
from relais.contracts.submission import BodyReference
from relais.delivery.dispatcher.parcel import Parcel
from relais.delivery.dispatcher.settings import WINDOW_BYTES_MAXIMUM
from relais.delivery.domain.delivery import idempotency_key
from relais.delivery.ports import BodyUnavailable, BodyUnreadable, Call, DeliveryId, LargeBody, WorkQueue
from relais.eventlog.record import SealedChunk
from relais.vault.seal import BodyOpener, document_key, open_body, open_content
from relais.vault.vault import BlobStore, KeyRing, SealBroken, SubjectKey, VaultUnavailable

# Chunks of a large body in memory at once: 2 MiB of the 256 KiB rows.
PART_CHUNKS_MAXIMUM = 8
# How old the look just before sending may be when the call begins.
LOOK_SECONDS_MAXIMUM = 0.5


@dataclass(frozen=True, slots=True)
class Loaded:
    """A parcel with what it takes to open it. Without a key the subject was erased; `closed` says that it must not go (any more)."""

    parcel: Parcel
    key: SubjectKey | None
    chunks: Sequence[SealedChunk]
    closed: bool


class CannotOpen(Exception):
    """What was loaded cannot be sent; `reason` says why."""

    def __init__(self, reason: AbandonReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Loader:
    """Looks again and fetches, for any endpoint."""

    def __init__(self, queue: WorkQueue, keys: KeyRing, blobs: BlobStore, clock: Clock) -> None:
        self._queue = queue
        self._keys = keys
        self._blobs = blobs
        self._clock = clock

    async def load(self, parcels: Sequence[Parcel]) -> list[Loaded]:
        """The look-ups for a whole batch, all at once. Raises `VaultUnavailable` or `LogUnavailable`."""
        blobs = [UUID(parcel.scheduled.submission.body.blob) for parcel in parcels if parcel.size <= WINDOW_BYTES_MAXIMUM]
        closed, keys, bodies = await asyncio.gather(self._closed(parcels), self._subjects(parcels), self._blobs.get_many(blobs))
        return [
            Loaded(parcel, key, bodies.get(UUID(parcel.scheduled.submission.body.blob), ()), parcel.id in closed)
            for parcel, key in zip(parcels, keys, strict=True)
        ]

    async def look_again(self, loaded: Loaded) -> Loaded:
        """The same after a fresh look, when the last one is too old: a partner is slow, or calls are few per second."""
        parcel = loaded.parcel
        if self._clock.monotonic() - parcel.looked_at <= LOOK_SECONDS_MAXIMUM:
            return loaded
        closed, (key,) = await asyncio.gather(self._closed([parcel]), self._subjects([parcel]))
        return replace(loaded, key=key, closed=loaded.closed or parcel.id in closed)

    async def _closed(self, parcels: Sequence[Parcel]) -> AbstractSet[DeliveryId]:
        """Which of those that were looked at too long ago must not go."""
        now = self._clock.monotonic()
        stale = [parcel for parcel in parcels if now - parcel.looked_at > LOOK_SECONDS_MAXIMUM]
        if not stale:
            return frozenset()
        closed = await self._queue.closed_among([parcel.id for parcel in stale])
        for parcel in stale:
            parcel.looked_at = now
        return closed

    async def _subjects(self, parcels: Sequence[Parcel]) -> list[SubjectKey | None]:
        return await self._keys.subjects([(parcel.id.tenant, UUID(parcel.scheduled.submission.subject)) for parcel in parcels])

    def open(self, loaded: Loaded, timeout_seconds: float) -> Call:
        """The call, with the body opened or, for one larger than the window, ready to be opened as it goes. Raises `CannotOpen`."""
        parcel = loaded.parcel
        submission = parcel.scheduled.submission
        if loaded.key is None:
            raise CannotOpen(AbandonReason.SUBJECT_ERASED)
        key = document_key(loaded.key, submission.document)
        try:
            content = open_content(key, submission.document, submission.sealed)
            body = self._body(key, loaded, submission.body)
        except SealBroken:
            raise CannotOpen(AbandonReason.BODY_UNREADABLE) from None
        return Call(
            delivery=parcel.id,
            attempt=parcel.state.attempts,
            idempotency_key=idempotency_key(parcel.id.document, parcel.id.ordinal),
            possible_repeat=parcel.state.possible_repeat,
            destination=parcel.scheduled.destination,
            received_at=submission.received_at,
            timeout_seconds=timeout_seconds,
            content=content,
            body=body,
        )

    def _body(self, key: bytes, loaded: Loaded, reference: BodyReference) -> bytes | LargeBody:
        if loaded.parcel.size > WINDOW_BYTES_MAXIMUM:
            return StoredBody(self._blobs, key, reference)
        body = open_body(key, loaded.chunks, deflated=reference.deflated)
        if len(body) != reference.size:
            raise SealBroken("the body is not as long as it was taken in")
        return body


class StoredBody:
    """A large body read from the vault as it is sent. See `relais.delivery.ports.LargeBody`."""

    def __init__(self, blobs: BlobStore, key: bytes, reference: BodyReference) -> None:
        self._blobs = blobs
        self._key = key
        self._reference = reference

    @property
    def size(self) -> int:
        return self._reference.size

    async def parts(self) -> AsyncIterator[bytes]:
        opener = BodyOpener(self._key, deflated=self._reference.deflated)
        blob = UUID(self._reference.blob)
        for first in range(0, self._reference.chunks, PART_CHUNKS_MAXIMUM):
            try:
                for chunk in await self._blobs.part(blob, first, PART_CHUNKS_MAXIMUM):
                    yield opener.open(chunk)
            except SealBroken:
                raise BodyUnreadable from None
            except VaultUnavailable:
                raise BodyUnavailable from None
        try:
            opener.finish()
        except SealBroken:
            raise BodyUnreadable from None
