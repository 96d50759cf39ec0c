"""Leases in Postgres: the tables `lease`, `member` and `checkpoint` of the service's own log schema; the database's clock decides."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from relais.transport.leases import LeasesUnavailable, Tick, TickAnswer, partition_of_resource

STATEMENT_TIMEOUT_SECONDS: Final = 2.0

_NOTHING_READ: Final = UUID(int=0)

# Every statement of a WITH sees the same moment, so what `free` says does not know of `claimed`: the caller subtracts.
# A lease that ran out but that nobody took is renewed under its epoch: nothing has happened to it.
# A row in the asker's own name that it does not renew comes from an answer it never got: it may be claimed, under a new epoch. What is
# renewed is left out of the claims, because one statement may not change a row twice.
# Rows are inserted in order, so that two replicas that want the same ones wait for each other instead of locking up.
# A checkpoint takes its new holder's epoch in the same commit; an append of the last one either was before that, or is refused.
_TICK = """
WITH seen AS (
    INSERT INTO {schema}.member (consumer, holder, seen_at)
    SELECT g, $1, clock_timestamp() FROM unnest($2::text[]) AS g ORDER BY g
    ON CONFLICT (consumer, holder) DO UPDATE SET seen_at = excluded.seen_at
), renewed AS (
    UPDATE {schema}.lease AS l SET expires_at = clock_timestamp() + $7::interval
    FROM unnest($3::text[], $4::bigint[]) AS mine (resource, epoch)
    WHERE l.resource = mine.resource AND l.epoch = mine.epoch AND l.holder = $1
    RETURNING l.resource
), claimed AS (
    INSERT INTO {schema}.lease AS l (resource, holder, epoch, expires_at)
    SELECT r, $1, 1, clock_timestamp() + $7::interval FROM unnest($5::text[]) AS r
    WHERE NOT EXISTS (SELECT FROM renewed WHERE renewed.resource = r) ORDER BY r
    ON CONFLICT (resource) DO UPDATE SET holder = excluded.holder, epoch = l.epoch + 1, expires_at = excluded.expires_at
    WHERE l.expires_at < clock_timestamp() OR l.holder = excluded.holder
    RETURNING l.resource, l.epoch
), fenced AS (
    INSERT INTO {schema}.checkpoint AS c (consumer, log, partition, position, event_id, epoch)
    SELECT p.consumer, p.log, p.partition, 0, $11::uuid, claimed.epoch
    FROM claimed JOIN unnest($5::text[], $8::text[], $9::text[], $10::smallint[]) AS p (resource, consumer, log, partition)
        ON p.resource = claimed.resource AND p.consumer IS NOT NULL
    ORDER BY p.consumer, p.log, p.partition
    ON CONFLICT (consumer, log, partition) DO UPDATE SET epoch = excluded.epoch
)
SELECT 'renewed' AS kind, resource AS name, 0::bigint AS number FROM renewed
UNION ALL SELECT 'claimed', resource, epoch FROM claimed
UNION ALL SELECT 'alive', consumer, count(*) FROM {schema}.member
    WHERE consumer = ANY ($2::text[]) AND holder <> $1 AND seen_at > clock_timestamp() - $7::interval GROUP BY consumer
UNION ALL SELECT 'free', r, 0 FROM unnest($6::text[]) AS r
    WHERE NOT EXISTS (SELECT FROM {schema}.lease l WHERE l.resource = r AND l.expires_at >= clock_timestamp() AND l.holder <> $1)
    AND NOT EXISTS (SELECT FROM renewed WHERE renewed.resource = r)
"""

_GIVE_BACK = """
WITH left_groups AS (
    DELETE FROM {schema}.member WHERE holder = $1 AND consumer = ANY ($4::text[])
)
UPDATE {schema}.lease AS l SET holder = '', expires_at = '-infinity'
FROM unnest($2::text[], $3::bigint[]) AS mine (resource, epoch)
WHERE l.resource = mine.resource AND l.epoch = mine.epoch AND l.holder = $1
"""

# What may pass by itself: the connection, a server that stops or is full, a deadlock. Anything else is our own mistake.
# asyncpg says InternalClientError when a connection was ended by the server just before it is used.
PASSING_ERRORS: Final = (
    OSError,  # TimeoutError is one.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)


class PostgresLeaseStore:
    """See `relais.transport.leases.LeaseStore`. `schema` is the service's log; the pool's role needs what `eventlog/schema.sql` grants."""

    def __init__(self, pool: asyncpg.Pool, schema: str) -> None:
        if not schema.isidentifier():
            raise ValueError(f"not a schema: {schema!r}")
        self._pool = pool
        self._tick = _TICK.format(schema=schema)
        self._give_back = _GIVE_BACK.format(schema=schema)

    async def tick(self, tick: Tick) -> TickAnswer:
        places = [partition_of_resource(resource) or (None, None, None) for resource in tick.claims]
        try:
            # The limit covers the wait for a connection too: a busy pool must not make a lease run out unnoticed.
            async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                rows = await self._pool.fetch(
                    self._tick,
                    tick.holder,
                    tick.groups,
                    [resource for resource, _ in tick.renewals],
                    [epoch for _, epoch in tick.renewals],
                    tick.claims,
                    tick.watched,
                    timedelta(seconds=tick.duration_seconds),
                    [consumer for consumer, _, _ in places],
                    [log for _, log, _ in places],
                    [partition for _, _, partition in places],
                    _NOTHING_READ,
                )
        except PASSING_ERRORS as error:
            raise LeasesUnavailable(type(error).__name__) from error
        found: dict[str, dict[str, int]] = {"renewed": {}, "claimed": {}, "alive": {}, "free": {}}
        for kind, name, number in rows:
            found[kind][name] = number
        return TickAnswer(
            renewed=frozenset(found["renewed"]),
            claimed=found["claimed"],
            alive={group: found["alive"].get(group, 0) + 1 for group in tick.groups},
            free=frozenset(found["free"].keys() - found["claimed"].keys()),
        )

    async def give_back(self, holder: str, leases: Sequence[tuple[str, int]], leave: Sequence[str]) -> None:
        resources = [resource for resource, _ in leases]
        epochs = [epoch for _, epoch in leases]
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                await self._pool.execute(self._give_back, holder, resources, epochs, leave)
        except PASSING_ERRORS as error:
            raise LeasesUnavailable(type(error).__name__) from error
