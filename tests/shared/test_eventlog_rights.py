"""Append-only by grant and by trigger: the service's role, the owner and a session that plays a replica all try to change the record.

Also here: that a canary in the arguments of appends, good and bad, never appears in Postgres's own log, and that no read or append scans
the whole log.
"""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from relais.eventlog.postgres import PostgresEventLog, open_pool
from relais.eventlog.record import Outcome
from relais.testing.eventlog_place import append_of, chunk, event
from relais.testing.postgres import OWNER_ROLE, TestPostgres
from tests.shared.eventlog_postgres import LOG, ROLE, log_database

CHANGES = [
    "UPDATE ingestion.event SET payload = ''",
    "UPDATE ingestion.event SET actor = '' WHERE false",
    "DELETE FROM ingestion.event",
    "TRUNCATE ingestion.event",
    "INSERT INTO ingestion.event SELECT * FROM ingestion.event ON CONFLICT (position) DO UPDATE SET payload = ''",
]


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[str]:
    """A database with one event in the log and one body in the vault."""
    async with log_database(postgres) as name:
        pool = await open_pool(postgres.dsn(name, ROLE), connections_maximum=1, application="test")
        await PostgresEventLog(pool, LOG).append([append_of(chunks=(chunk(uuid4()),))])
        await pool.close()
        yield name


@pytest.mark.parametrize("change", CHANGES)
async def test_the_service_may_not_change_the_record(postgres: TestPostgres, database: str, change: str) -> None:
    connection = await asyncpg.connect(postgres.dsn(database, ROLE))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(change)
    await connection.close()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", [OWNER_ROLE, "postgres"])
async def test_not_even_the_owner_or_a_superuser_changes_the_record_by_accident(
    postgres: TestPostgres, database: str, role: str, change: str
) -> None:
    connection = await asyncpg.connect(postgres.dsn(database, role))
    if role == "postgres":
        await connection.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.PostgresError) as raised:
        await connection.execute(change)
    assert raised.value.sqlstate == "RL004"
    await connection.close()


@pytest.mark.parametrize("statement", ["DELETE FROM vault.chunk", "UPDATE vault.chunk SET last = false", "TRUNCATE ingestion.checkpoint"])
async def test_the_service_may_not_delete_bodies_or_checkpoints(postgres: TestPostgres, database: str, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn(database, ROLE))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_the_way_to_withdraw_refused_bodies_cannot_delete_a_stored_one(postgres: TestPostgres, database: str) -> None:
    connection = await asyncpg.connect(postgres.dsn(database, ROLE))
    blobs = [row[0] for row in await connection.fetch("SELECT blob FROM vault.chunk")]
    async with connection.transaction():
        await connection.execute("SELECT ingestion.withdraw_bodies($1)", blobs)
    assert [row[0] for row in await connection.fetch("SELECT blob FROM vault.chunk")] == blobs
    await connection.close()


async def test_another_services_role_may_not_even_look(postgres: TestPostgres, database: str) -> None:
    connection = await asyncpg.connect(postgres.dsn(database, "relais_routing"))
    for statement in ["SELECT FROM ingestion.event", "SELECT ingestion.tenant_sequence_at('t', 1)", "SELECT FROM ingestion.lease"]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_an_isolation_level_under_which_the_head_would_be_stale_is_refused(postgres: TestPostgres, database: str, level: str) -> None:
    pool = await asyncpg.create_pool(
        postgres.dsn(database, ROLE), min_size=1, max_size=1, server_settings={"default_transaction_isolation": level}
    )
    with pytest.raises(asyncpg.PostgresError, match="read committed"):
        await PostgresEventLog(pool, LOG).append([append_of()])
    await pool.close()


async def test_any_pool_will_do_even_one_that_resets_its_sessions(postgres: TestPostgres, database: str) -> None:
    pool = await asyncpg.create_pool(postgres.dsn(database, ROLE), min_size=1, max_size=2)
    log = PostgresEventLog(pool, LOG)
    answers = await asyncio.gather(*(log.append([append_of()]) for _ in range(10)))
    assert sorted(answer.position for (answer,) in answers) == list(range(2, 12))
    await pool.close()


async def test_nothing_of_an_appends_arguments_reaches_postgres_own_log(postgres: TestPostgres, database: str) -> None:
    canary = f"canary-{uuid4().hex}"
    before = postgres.log_file.read_text(errors="replace")
    pool = await open_pool(postgres.dsn(database, ROLE), connections_maximum=1, application="test")
    log = PostgresEventLog(pool, LOG)
    payload = f'{{"name":"{canary}"}}'.encode()
    known = append_of(event(f"stream-{canary}", tenant=canary, payload=payload))
    assert (await log.append([known]))[0].outcome is Outcome.STORED
    assert (await log.append([known]))[0].outcome is Outcome.DUPLICATE
    with pytest.raises(asyncpg.RaiseError):
        await log.append([append_of(event(payload=payload), work=({"refuse": canary},))])
    # Each of these fails on a constraint, whose message would quote the row.
    columns = "position, tenant_sequence, version, recorded_at, event_id, partition, tenant, stream, tag, actor, traceparent, payload"
    for place, tenant in [(2, "t"), (3, ""), (3, None)]:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await pool.execute(
                f"INSERT INTO ingestion.event ({columns}) VALUES ($1, 1, 1, now(), $2, 1, $3, $4, $4, $4, '', $5)",
                place, uuid4(), tenant, canary, payload,
            )  # fmt: skip
    with pytest.raises(asyncpg.DataError):
        await pool.execute("SELECT $1::text::jsonb", "{" + canary)
    await pool.close()
    written = postgres.log_file.read_text(errors="replace")[len(before) :]
    assert "violates" in written
    assert canary not in written
    assert canary.encode().hex() not in written


async def test_neither_appends_nor_reads_scan_the_whole_log(postgres: TestPostgres, database: str) -> None:
    pool = await open_pool(postgres.dsn(database, ROLE), connections_maximum=1, application="test")
    log = PostgresEventLog(pool, LOG)
    for turn in range(12):
        batch = [append_of(event(f"stream-{turn % 5}", expected=None if number else turn // 5)) for number in range(30)]
        await log.append(batch)
        await log.append(batch[:1])
        await log.read(turn)
        await log.read(turn, tenant="chu-nord")
        await log.read_streams([("chu-nord", "stream-1"), ("chu-nord", "stream-2")])
        await log.find([batch[0].events[0].event_id])
        await log.head()
    await pool.execute("SELECT pg_stat_force_next_flush()")
    await pool.execute("SELECT pg_stat_clear_snapshot()")
    scans = await pool.fetchval("SELECT seq_scan FROM pg_stat_user_tables WHERE schemaname = 'ingestion' AND relname = 'event'")
    await pool.close()
    assert scans == 0
