"""The event log in Postgres, the only record. What an append does is in functions.sql; here is how it is called."""

# ruff: noqa: S608 -- all that is ever put into the text of a statement is the log's own name, checked in __init__.

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from relais.eventlog.call import APPEND_PARAMETERS, append_arguments
from relais.eventlog.failures import FAILURES, append_failure, read_failure
from relais.eventlog.limits import check_batch
from relais.eventlog.log import (
    READ_MAXIMUM,
    STREAM_EVENTS_MAXIMUM,
    STREAMS_MAXIMUM,
    LimitExceeded,
    LogUnavailable,
)
from relais.eventlog.record import ROWS_STORED, Append, Appended, Checkpoint, Outcome, StoredEvent

CONNECT_TIMEOUT_SECONDS: Final = 10.0
ACQUIRE_TIMEOUT_SECONDS: Final = 10.0
CALL_TIMEOUT_SECONDS: Final = 30.0

_COLUMNS = "position, tenant, tenant_sequence, stream, version, event_id, tag, partition, recorded_at, actor, traceparent, payload"
_OUTCOMES = (Outcome.STORED, Outcome.DUPLICATE, Outcome.CONFLICT)

# asyncpg's classes are generic in its type stubs only.
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


async def open_pool(dsn: str, *, connections_maximum: int, application: str) -> Pool:
    """A pool of connections as the log wants them; services may use it for their own tables too.

    The planner is told never to scan a whole table where an index serves (plans are kept, and the first is made while tables are
    empty), and releasing a connection costs no round trip, because nothing here leaves state behind in a session.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=connections_maximum,
        max_queries=0x7FFFFFFF,
        timeout=CONNECT_TIMEOUT_SECONDS,
        reset=_leave_as_it_is,
        server_settings={
            "application_name": application,
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "jit": "off",
            "timezone": "UTC",
        },
    )


async def _leave_as_it_is(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Stands for the reset query that asyncpg would send each time a connection is given back."""


class PostgresEventLog:
    """One log, schema `name` of the pool's database. Any number of these, in any number of processes, may append at once."""

    def __init__(self, pool: Pool, name: str) -> None:
        if not name.isidentifier() or not name.islower():
            raise ValueError("a log's name is a plain lower-case identifier")
        self._pool = pool
        self._name = name
        parameters = ", ".join(f"${number}::{kind}" for number, kind in enumerate(APPEND_PARAMETERS, start=1))
        self._append = f"SELECT * FROM {name}.append({parameters})"
        self._select = f"SELECT {_COLUMNS} FROM {name}.event"

    @property
    def name(self) -> str:
        return self._name

    async def append(
        self, appends: Sequence[Append], *, checkpoints: Sequence[Checkpoint] = (), all_or_nothing: bool = False
    ) -> list[Appended]:
        check_batch(appends, checkpoints)
        if not appends and not checkpoints:
            return []
        arguments = append_arguments(appends, checkpoints, all_or_nothing=all_or_nothing)
        async with self._connection() as connection:
            try:
                rows = await connection.fetch(self._append, *arguments, timeout=CALL_TIMEOUT_SECONDS)
            except FAILURES as error:
                raise (append_failure(error) or error) from error
        answers = [ROWS_STORED] * len(appends)
        for append, outcome, position, tenant_sequence, version, stored_at in rows:
            answers[append - 1] = Appended(_OUTCOMES[outcome], position, tenant_sequence, version, stored_at)
        return answers

    async def read(
        self, after: int, limit: int = READ_MAXIMUM, *, tags: Sequence[str] = (), tenant: str | None = None
    ) -> list[StoredEvent]:
        _refuse_more(limit, READ_MAXIMUM, "events")
        by_tag = " AND tag = ANY ($3)" if tags else ""
        arguments: list[Any] = [max(after, 0), limit, *([list(tags)] if tags else [])]
        if tenant is None:
            query = f"{self._select} WHERE position > $1{by_tag} ORDER BY position LIMIT $2"
        else:
            # A tenant's own order is the log's order, and its index leads straight to the first event wanted.
            arguments.append(tenant)
            of_tenant = f"${len(arguments)}"
            query = (
                f"{self._select} WHERE tenant = {of_tenant} AND tenant_sequence > {self._name}.tenant_sequence_at({of_tenant}, $1){by_tag}"
                " ORDER BY tenant_sequence LIMIT $2"
            )
        return [StoredEvent(*row) for row in await self._fetch(query, *arguments)]

    async def read_streams(self, tenant_streams: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[StoredEvent]]:
        _refuse_more(len(tenant_streams), STREAMS_MAXIMUM, "streams")
        found: dict[tuple[str, str], list[StoredEvent]] = {key: [] for key in tenant_streams}
        # The limit inside the lateral part bounds the answer, and keeps the planner from joining by any way but the index.
        rows = await self._fetch(
            f"SELECT e.* FROM unnest($1::text[], $2::text[]) AS k (tenant, stream) CROSS JOIN LATERAL ("
            f"{self._select} o WHERE o.tenant = k.tenant AND o.stream = k.stream ORDER BY version LIMIT $3) AS e",
            [tenant for tenant, _ in found], [stream for _, stream in found], STREAM_EVENTS_MAXIMUM + 1,
        )  # fmt: skip
        for row in rows:
            event = StoredEvent(*row)
            found[event.tenant, event.stream].append(event)
        for events in found.values():
            _refuse_more(len(events), STREAM_EVENTS_MAXIMUM, "events of one stream")
        return found

    async def find(self, event_ids: Sequence[UUID]) -> dict[UUID, StoredEvent]:
        rows = await self._fetch(f"{self._select} WHERE event_id = ANY ($1)", list(event_ids))
        events = (StoredEvent(*row) for row in rows)
        return {event.event_id: event for event in events}

    async def head(self) -> int:
        rows = await self._fetch(f"SELECT position FROM {self._name}.event ORDER BY position DESC LIMIT 1")
        return int(rows[0][0]) if rows else 0

    async def checkpoints(self, consumer: str) -> list[Checkpoint]:
        rows = await self._fetch(
            f"SELECT consumer, log, partition, position, event_id, epoch FROM {self._name}.checkpoint"
            " WHERE consumer = $1 ORDER BY log, partition",
            consumer,
        )
        return [Checkpoint(*row) for row in rows]

    async def claim(self, consumer: str, log: str, epochs: Mapping[int, int]) -> list[Checkpoint]:
        async with self._connection() as connection:
            try:
                rows = await connection.fetch(
                    f"SELECT * FROM {self._name}.claim_checkpoints($1, $2, $3::smallint[], $4::bigint[])",
                    consumer,
                    log,
                    list(epochs),
                    list(epochs.values()),
                    timeout=CALL_TIMEOUT_SECONDS,
                )
            except FAILURES as error:
                raise (append_failure(error) or error) from error
        return sorted((Checkpoint(consumer, log, *row) for row in rows), key=lambda mark: mark.partition)

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            try:
                return await connection.fetch(query, *arguments, timeout=CALL_TIMEOUT_SECONDS)
            except FAILURES as error:
                raise (read_failure(error) or error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        except FAILURES as error:
            raise LogUnavailable("no connection to the log") from error
        try:
            yield connection
        finally:
            try:
                await self._pool.release(connection)
            except FAILURES:
                # It broke after it had answered. The answer stands, and the pool has thrown the connection away.
                connection.terminate()


def _refuse_more(count: int, maximum: int, what: str) -> None:
    if count > maximum:
        raise LimitExceeded(f"more than {maximum} {what} in one call")
