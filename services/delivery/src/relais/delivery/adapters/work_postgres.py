"""The queue in Postgres, as `migrations/001_work.sql` makes it."""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import asyncpg

from relais.contracts.delivery import DeliveryScheduled
from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.ports import Backlog, DeliveryId, Due, OpenDelivery, QueueFilter, WorkUnavailable

CALL_TIMEOUT_SECONDS = 10.0

_AWAY = (
    OSError,  # TimeoutError is one.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

_DUE = """
SELECT coalesce(e.mode, 'open'), w.tenant, w.document::text, w.ordinal
FROM (SELECT (SELECT mode FROM delivery.endpoint WHERE endpoint = $1) AS mode) AS e
LEFT JOIN LATERAL (
    SELECT * FROM delivery.work w
    WHERE w.endpoint = $1 AND w.state = 'waiting' AND w.due_at <= $2 AND w.document <> ALL ($4::uuid[])
        AND NOT EXISTS (SELECT FROM delivery.parked p WHERE p.tenant = w.tenant AND p.document = w.document::text)
        AND (e.mode IS NULL OR e.mode = 'open' OR (e.mode = 'draining' AND w.attempts > 0))
    ORDER BY w.due_at LIMIT $3
) AS w ON true
"""

_CLOSED = """
SELECT k.tenant, k.document::text, k.ordinal
FROM unnest($1::text[], $2::uuid[], $3::integer[]) AS k (tenant, document, ordinal)
LEFT JOIN delivery.work w ON w.tenant = k.tenant AND w.document = k.document AND w.ordinal = k.ordinal AND w.state = 'waiting'
WHERE w.tenant IS NULL OR EXISTS (SELECT FROM delivery.parked p WHERE p.tenant = k.tenant AND p.document = k.document::text)
"""

_OF_DOCUMENTS = """
SELECT w.tenant, w.document::text, w.ordinal
FROM unnest($1::text[], $2::uuid[]) AS k (tenant, document)
JOIN delivery.work w ON w.tenant = k.tenant AND w.document = k.document
ORDER BY 1, 2, 3
"""

_PAGE = """
SELECT tenant, document::text, ordinal, endpoint, connector, kind, site, state, attempts, code, reason, scheduled_at, due_at, updated_at
FROM delivery.work
WHERE tenant = $1 AND ($2 = '' OR state = $2) AND ($3::boolean IS NULL OR $3 = (attempts > 0)) AND ($4 = '' OR endpoint = $4)
    AND ($5 = '' OR kind = $5) AND ($6::text[] IS NULL OR site = ANY ($6))
    AND ($7::timestamptz IS NULL OR (scheduled_at, document, ordinal) < ($7, $8::uuid, $9))
ORDER BY scheduled_at DESC, document DESC, ordinal DESC LIMIT $10
"""

_SCHEDULED = """
SELECT tenant_sequence, tenant, stream FROM delivery.event
WHERE tenant = $1 AND tag = $2 AND tenant_sequence < coalesce($3, 9223372036854775807)
ORDER BY tenant_sequence DESC LIMIT $4
"""

_BACKLOGS = """
SELECT k.endpoint, coalesce(e.mode, 'open'), w.waiting, w.oldest
FROM unnest($1::text[]) WITH ORDINALITY AS k (endpoint, n)
LEFT JOIN delivery.endpoint e ON e.endpoint = k.endpoint
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, min(w.scheduled_at) AS oldest FROM delivery.work w WHERE w.endpoint = k.endpoint AND w.state = 'waiting'
) AS w
ORDER BY k.n
"""


class PostgresWorkQueue:
    """See `relais.delivery.ports.WorkQueue`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def due(self, endpoint: str, now: datetime, limit: int, skip: Collection[DeliveryId]) -> Due:
        rows = await self._fetch(_DUE, endpoint, now, limit, [delivery.document for delivery in skip])
        found = [DeliveryId(tenant, document, ordinal) for _, tenant, document, ordinal in rows if document is not None]
        return Due(EndpointMode(rows[0][0]), found)

    async def closed_among(self, deliveries: Sequence[DeliveryId]) -> AbstractSet[DeliveryId]:
        tenants, documents, ordinals = zip(*deliveries, strict=True) if deliveries else ((), (), ())
        return {DeliveryId(*row) for row in await self._fetch(_CLOSED, tenants, documents, ordinals)}

    async def of_documents(self, documents: Sequence[tuple[str, str]]) -> Sequence[DeliveryId]:
        tenants, names = zip(*documents, strict=True) if documents else ((), ())
        return [DeliveryId(*row) for row in await self._fetch(_OF_DOCUMENTS, tenants, names)]

    async def parked(self, partitions: Collection[int]) -> Collection[tuple[str, str]]:
        rows = await self._fetch("SELECT tenant, document FROM delivery.parked WHERE partition = ANY ($1::smallint[])", list(partitions))
        return [(tenant, document) for tenant, document in rows]

    async def page(self, wanted: QueueFilter, after: tuple[datetime, str, int] | None, limit: int) -> Sequence[OpenDelivery]:
        sites = None if wanted.sites is None else sorted(wanted.sites)
        words = (wanted.tenant, wanted.state, wanted.attempted, wanted.endpoint, wanted.kind, sites)
        rows = await self._fetch(_PAGE, *words, *(after or (None, None, None)), limit)
        return [OpenDelivery(DeliveryId(*row[:3]), *row[3:]) for row in rows]

    async def scheduled(self, tenant: str, before: int | None, limit: int) -> Sequence[tuple[int, DeliveryId]]:
        rows = await self._fetch(_SCHEDULED, tenant, DeliveryScheduled.TAG, before, limit)
        return [(sequence, DeliveryId.of_stream(owner, stream)) for sequence, owner, stream in rows]

    async def backlogs(self, endpoints: Sequence[str]) -> Sequence[Backlog]:
        rows = await self._fetch(_BACKLOGS, list(endpoints))
        return [Backlog(endpoint, EndpointMode(mode), waiting, oldest) for endpoint, mode, waiting, oldest in rows]

    async def _fetch(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with _translated():
            return [tuple(row) for row in await self._pool.fetch(query, *arguments, timeout=CALL_TIMEOUT_SECONDS)]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        raise WorkUnavailable(type(error).__name__) from error
