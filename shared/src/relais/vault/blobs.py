"""The two blob stores: schema `vault` of database `relais` for the product, memory for tests. One suite runs on both."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from relais.clock import Clock
from relais.eventlog.record import SealedChunk
from relais.vault.database import translated
from relais.vault.vault import BodyMissing, ChunkConflict

PUT_BYTES_MAXIMUM = 8 * 1024 * 1024
SWEEP_BODIES_MAXIMUM = 100


class PostgresBlobStore:
    """Chunks as rows (`schema.sql`). What a method may do depends on the role of its pool: ingestion stages and names, delivery reads,
    privacy removes; anything else fails with Postgres's own permission error, because it is our mistake.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def put(self, chunks: Sequence[SealedChunk]) -> None:
        if sum(len(chunk.ciphertext) for chunk in chunks) > PUT_BYTES_MAXIMUM:
            raise ValueError(f"at most {PUT_BYTES_MAXIMUM} bytes are put at once")
        with translated():
            await self._pool.execute(
                "SELECT vault.stage_chunks($1, $2, $3, $4)",
                [chunk.blob for chunk in chunks],
                [chunk.number for chunk in chunks],
                [chunk.last for chunk in chunks],
                [chunk.ciphertext for chunk in chunks],
            )

    async def get_many(self, blobs: Sequence[UUID]) -> dict[UUID, list[SealedChunk]]:
        with translated():
            rows = await self._pool.fetch(
                "SELECT blob, number, last, ciphertext FROM vault.chunk WHERE blob = ANY ($1) ORDER BY blob, number", blobs
            )
        found: dict[UUID, list[SealedChunk]] = {}
        for row in rows:
            found.setdefault(row["blob"], []).append(_chunk(row))
        return found

    async def part(self, blob: UUID, first: int, count: int) -> list[SealedChunk]:
        with translated():
            rows = await self._pool.fetch(
                "SELECT blob, number, last, ciphertext FROM vault.chunk"
                " WHERE blob = $1 AND number >= $2 AND number < $2 + $3 ORDER BY number",
                blob,
                first,
                count,
            )
        return [_chunk(row) for row in rows]

    async def staged(self, blob: UUID) -> int:
        with translated():
            count: int = await self._pool.fetchval("SELECT vault.staged_count($1)", blob)
        return count

    async def staged_part(self, blob: UUID, first: int, count: int) -> list[SealedChunk]:
        with translated():
            rows = await self._pool.fetch("SELECT blob, number, last, ciphertext FROM vault.staged_part($1, $2, $3)", blob, first, count)
        return [_chunk(row) for row in rows]

    async def name(self, blobs: Sequence[UUID]) -> None:
        with translated():
            await self._pool.execute("SELECT vault.name_bodies($1)", blobs)

    async def sweep(self, older_than_seconds: float) -> int:
        swept = 0
        while True:
            with translated():
                batch: int = await self._pool.fetchval("SELECT vault.sweep($1, $2)", older_than_seconds, SWEEP_BODIES_MAXIMUM)
            swept += batch
            if batch < SWEEP_BODIES_MAXIMUM:
                return swept

    async def remove(self, blobs: Sequence[UUID]) -> int:
        with translated():
            removed: int = await self._pool.fetchval(
                "WITH gone AS (DELETE FROM vault.chunk WHERE blob = ANY ($1) RETURNING blob),"
                " unstaged AS (DELETE FROM vault.staging WHERE blob = ANY ($1)) SELECT count(DISTINCT blob) FROM gone",
                blobs,
            )
        return removed


class MemoryBlobStore:
    """The same promises without a database. `insert` is what an append does with the small body it carries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._chunks: dict[UUID, dict[int, SealedChunk]] = {}
        self._touched: dict[UUID, float] = {}

    def insert(self, chunks: Sequence[SealedChunk]) -> None:
        """Store the chunks of a body that a fact names from its first moment: it is never staged."""
        for chunk in chunks:
            self._chunks.setdefault(chunk.blob, {}).setdefault(chunk.number, chunk)

    async def put(self, chunks: Sequence[SealedChunk]) -> None:
        if sum(len(chunk.ciphertext) for chunk in chunks) > PUT_BYTES_MAXIMUM:
            raise ValueError(f"at most {PUT_BYTES_MAXIMUM} bytes are put at once")
        new: dict[tuple[UUID, int], SealedChunk] = {}
        for chunk in chunks:
            stored = self._chunks.get(chunk.blob, {}).get(chunk.number) or new.get((chunk.blob, chunk.number))
            if stored is not None and stored != chunk:
                raise ChunkConflict("other bytes are stored under the same number")
            if stored is None:
                new[chunk.blob, chunk.number] = chunk
        started = {blob for blob, number in new if number == 0}
        if any(blob not in started and blob not in self._touched for blob, _ in new):
            raise BodyMissing("the body is not staged")
        self.insert(list(new.values()))
        for blob in {chunk.blob for chunk in chunks} & (started | self._touched.keys()):
            self._touched[blob] = self._clock.monotonic()

    async def get_many(self, blobs: Sequence[UUID]) -> dict[UUID, list[SealedChunk]]:
        return {blob: self._body(blob) for blob in blobs if blob in self._chunks}

    async def part(self, blob: UUID, first: int, count: int) -> list[SealedChunk]:
        return [chunk for chunk in self._body(blob) if first <= chunk.number < first + count]

    async def staged(self, blob: UUID) -> int:
        if blob not in self._touched:
            return 0
        self._touched[blob] = self._clock.monotonic()
        return sum(place == chunk.number for place, chunk in enumerate(self._body(blob)))

    async def staged_part(self, blob: UUID, first: int, count: int) -> list[SealedChunk]:
        return await self.part(blob, first, count) if blob in self._touched else []

    async def name(self, blobs: Sequence[UUID]) -> None:
        if any(blob not in self._touched for blob in blobs):
            raise BodyMissing("a body is not staged")
        for blob in set(blobs):
            del self._touched[blob]

    async def sweep(self, older_than_seconds: float) -> int:
        oldest = self._clock.monotonic() - older_than_seconds
        abandoned = [blob for blob, touched in self._touched.items() if touched <= oldest]
        return await self.remove(abandoned)

    async def remove(self, blobs: Sequence[UUID]) -> int:
        removed = 0
        for blob in blobs:
            self._touched.pop(blob, None)
            removed += self._chunks.pop(blob, None) is not None
        return removed

    def _body(self, blob: UUID) -> list[SealedChunk]:
        return [chunk for _, chunk in sorted(self._chunks.get(blob, {}).items())]


def _chunk(row: asyncpg.Record) -> SealedChunk:
    return SealedChunk(row["blob"], row["number"], row["last"], row["ciphertext"])
