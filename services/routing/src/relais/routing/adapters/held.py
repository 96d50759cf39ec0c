"""What waits for a person, as the log's work rows keep it: in Postgres, and in memory for tests; one suite runs on both."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from relais.routing.ports import HeldRow

_PAGE = """
    SELECT *, (SELECT max(e.version)::text FROM routing.event AS e WHERE e.tenant = d.tenant AND e.stream = d.document) AS etag
    FROM (
        SELECT tenant, document, min(held_at) AS held_at, min(site) AS site, min(type_code) AS type_code,
               array_agg(DISTINCT reason) FILTER (WHERE reason IS NOT NULL) AS reasons,
               array_agg(DISTINCT rule) FILTER (WHERE rule IS NOT NULL) AS rules
        FROM routing.held LEFT JOIN LATERAL unnest(reasons) AS reason ON TRUE LEFT JOIN LATERAL unnest(rules) AS rule ON TRUE
        WHERE tenant = $1 AND (cardinality($2::text[]) = 0 OR site = ANY ($2))
        GROUP BY tenant, document
    ) AS d
    WHERE (cardinality($3::text[]) = 0 OR reasons && $3) AND ($4::timestamptz IS NULL OR (held_at, document) > ($4, $5))
    ORDER BY held_at, document
    LIMIT $6
"""


class PostgresHeld:
    """The table `routing.held`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def list(
        self, tenant: str, sites: Sequence[str], reasons: Sequence[str], limit: int, after: tuple[datetime, str] | None
    ) -> list[HeldRow]:
        at, document = after or (None, "")
        rows = await self._pool.fetch(_PAGE, tenant, list(sites), list(reasons), at, document, limit)
        return [
            HeldRow(
                tenant=row["tenant"],
                document=row["document"],
                site=row["site"],
                type_code=row["type_code"],
                reasons=tuple(row["reasons"] or ()),
                rules=tuple(row["rules"] or ()),
                held_at=row["held_at"],
                etag=row["etag"] or "",
            )
            for row in rows
        ]


class MemoryHeld:
    """The same list in memory: hand `apply` to the log in memory as its `apply_work`. It knows no version, so its etags are empty."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], HeldRow] = {}

    def apply(self, work: Iterable[dict[str, object]]) -> None:
        """Take in work rows, as the service's SQL function does."""
        for row in work:
            key = (str(row["tenant"]), str(row["document"]), str(row["request"]))
            if row["op"] == "closed":
                self._close(key, whole=row["request"] is None)
                continue
            self._rows[key] = HeldRow(
                tenant=key[0],
                document=key[1],
                site=str(row["site"]),
                type_code=str(row["type_code"]),
                reasons=_texts(row["reasons"]),
                rules=_texts(row["rules"]),
                held_at=datetime.fromisoformat(str(row["held_at"])),
                etag="",
            )

    def _close(self, key: tuple[str, str, str], *, whole: bool) -> None:
        gone = [one for one in self._rows if one == key or (whole and one[:2] == key[:2])]
        for one in gone:
            del self._rows[one]

    async def list(
        self, tenant: str, sites: Sequence[str], reasons: Sequence[str], limit: int, after: tuple[datetime, str] | None
    ) -> list[HeldRow]:
        documents: dict[str, list[HeldRow]] = {}
        for row in self._rows.values():
            if row.tenant == tenant and (not sites or row.site in sites):
                documents.setdefault(row.document, []).append(row)
        merged = [_merge(rows) for rows in documents.values()]
        found = [row for row in merged if not reasons or set(reasons) & set(row.reasons)]
        ordered = sorted(found, key=lambda row: (row.held_at, row.document))
        return [row for row in ordered if after is None or (row.held_at, row.document) > after][:limit]


def _merge(rows: Sequence[HeldRow]) -> HeldRow:
    first = rows[0]
    return HeldRow(
        tenant=first.tenant,
        document=first.document,
        site=min(row.site for row in rows),
        type_code=min(row.type_code for row in rows),
        reasons=tuple(sorted({reason for row in rows for reason in row.reasons})),
        rules=tuple(sorted({rule for row in rows for rule in row.rules})),
        held_at=min(row.held_at for row in rows),
        etag="",
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()
