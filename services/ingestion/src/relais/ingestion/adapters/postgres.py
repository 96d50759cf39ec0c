"""Journeys and uploads in ingestion's own schema."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from relais.ingestion.ports import DestinationView, Journey, JourneyFilter, StagedUpload, Step

_SELECT = """
    SELECT j.tenant, j.document, j.request, j.site, j.sender, j.type_code, j.size, j.received_at, j.updated_at, j.planned, j.suppressed,
    j.outcomes, j.steps, ingestion.journey_state(j.asked, j.identity, j.routing, j.hold, j.planned, j.outcomes) AS state,
    coalesce((SELECT e.tenant_sequence FROM ingestion.event AS e
              WHERE e.tenant = j.tenant AND e.stream = j.document AND e.version = 1), 0) AS tenant_sequence
    FROM ingestion.journey AS j
"""


class PostgresJourneys:
    """The read model as the API reads it."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def get(self, tenant: str, document: str) -> Journey | None:
        """One document's journey."""
        return (await self.get_many([(tenant, document)])).get((tenant, document))

    async def get_many(self, tenant_documents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Journey]:
        """Several journeys in one round trip."""
        rows = await self._pool.fetch(
            _SELECT + " JOIN unnest($1::text[], $2::text[]) AS w(tenant, document) USING (tenant, document)",
            [tenant for tenant, _ in tenant_documents],
            [document for _, document in tenant_documents],
        )
        return {(row["tenant"], row["document"]): _journey(row) for row in rows}

    async def list(self, tenant: str, narrowed: JourneyFilter, limit: int, before: tuple[datetime, str] | None) -> list[Journey]:
        """A page, newest first, after the keyset cursor."""
        clauses: list[str] = ["tenant = $1"]
        values: list[object] = [tenant]

        def narrow(clause: str, value: object) -> None:
            values.append(value)
            clauses.append(clause.format(f"${len(values)}"))

        if narrowed.sites:
            narrow("site = ANY ({}::text[])", list(narrowed.sites))
        if narrowed.states:
            narrow("state = ANY ({}::text[])", list(narrowed.states))
        if narrowed.type_codes:
            narrow("type_code = ANY ({}::text[])", list(narrowed.type_codes))
        if narrowed.received_after is not None:
            narrow("received_at >= {}", narrowed.received_after)
        if narrowed.received_before is not None:
            narrow("received_at < {}", narrowed.received_before)
        if before is not None:
            narrow("received_at <= {}", before[0])
            narrow(f"(received_at, document) < (${len(values)}, {{}})", before[1])
        narrow("TRUE ORDER BY received_at DESC, document DESC LIMIT {}", limit)
        # Only the fixed clauses above are joined; every value travels as a parameter.
        rows = await self._pool.fetch(f"SELECT * FROM ({_SELECT}) AS v WHERE " + " AND ".join(clauses), *values)  # noqa: S608
        return [_journey(row) for row in rows]


class PostgresUploads:
    """Uploads under way."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def find(self, tenant: str, request: str) -> StagedUpload | None:
        """The upload of this request, if one is under way."""
        row = await self._pool.fetchrow("SELECT * FROM ingestion.upload WHERE tenant = $1 AND request = $2", tenant, request)
        return _upload(row) if row is not None else None

    async def start(self, upload: StagedUpload) -> StagedUpload:
        """Remember an upload; the one already there wins."""
        await self._pool.execute(
            "INSERT INTO ingestion.upload (tenant, request, blob, document, subject, size, declared, started_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            upload.tenant,
            upload.request,
            upload.blob,
            upload.document,
            upload.subject,
            upload.size,
            upload.declared,
            upload.started_at,
        )
        return await self.find(upload.tenant, upload.request) or upload

    async def finish(self, tenant: str, request: str) -> None:
        """Forget an upload whose fact is recorded."""
        await self._pool.execute("DELETE FROM ingestion.upload WHERE tenant = $1 AND request = $2", tenant, request)


def _upload(row: asyncpg.Record) -> StagedUpload:
    return StagedUpload(
        tenant=row["tenant"],
        request=row["request"],
        blob=row["blob"],
        document=row["document"],
        subject=row["subject"],
        size=row["size"],
        declared=row["declared"],
        started_at=row["started_at"],
    )


def _journey(row: asyncpg.Record) -> Journey:
    planned: dict[str, Any] = json.loads(row["planned"])
    outcomes: dict[str, Any] = json.loads(row["outcomes"])
    destinations = [
        DestinationView(
            int(ordinal),
            planned.get(ordinal, {}).get("kind", ""),
            outcomes.get(ordinal, {}).get("outcome", "planned"),
            outcomes.get(ordinal, {}).get("code", ""),
            outcomes.get(ordinal, {}).get("due_at", ""),
        )
        for ordinal in sorted({*planned, *outcomes}, key=int)
    ]
    destinations += [DestinationView(None, one["kind"], "suppressed", one["reason"]) for one in json.loads(row["suppressed"])]
    steps = [
        Step(one["log"], one["position"], one["tag"], one["at"], tuple(one.get("codes", ())), one.get("ordinal"))
        for one in json.loads(row["steps"])
    ]
    return Journey(
        tenant=row["tenant"],
        document=row["document"],
        request=row["request"],
        site=row["site"],
        sender=row["sender"],
        type_code=row["type_code"],
        size=row["size"],
        tenant_sequence=row["tenant_sequence"],
        received_at=row["received_at"],
        updated_at=row["updated_at"],
        state=row["state"],
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        destinations=tuple(destinations),
    )
