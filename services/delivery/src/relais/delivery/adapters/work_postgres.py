"""The queue in Postgres, as `migrations/001_work.sql` makes it."""

from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import asyncpg

from relais.delivery.domain.endpoint import EndpointMode
from relais.delivery.ports import Backlog, DeliveryId, Due, OpenDelivery, QueueFilter, WorkUnavailable

CALL_TIMEOUT_SECONDS = 10.0

_AWAY = (
    OSError,  # TimeoutError is one.
    asyncpg.InterfaceError,
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
SELECT tenant, document::text, ordinal, endpoint, connector, kind, state, attempts, code, reason, scheduled_at, due_at, updated_at
FROM delivery.work
WHERE tenant = $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR endpoint = $3) AND ($4 = '' OR kind = $4)
    AND ($5::timestamptz IS NULL OR (scheduled_at, document, ordinal) < ($5, $6::uuid, $7))
ORDER BY scheduled_at DESC, document DESC, ordinal DESC LIMIT $8
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

    async def page(self, wanted: QueueFilter, after: OpenDelivery | None, limit: int) -> Sequence[OpenDelivery]:
        place = (after.scheduled_at, after.id.document, after.id.ordinal) if after is not None else (None, None, None)
        rows = await self._fetch(_PAGE, wanted.tenant, wanted.state, wanted.endpoint, wanted.kind, *place, limit)
        return [OpenDelivery(DeliveryId(*row[:3]), *row[3:]) for row in rows]

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
