"""Migrations run once, in order, one at a time, and leave nothing behind when they fail; a numbered file that was edited is noticed."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from relais.eventlog.migrations import Migration, MigrationChanged, RoleMissing, log_migrations, migrate, migrate_log
from relais.eventlog.postgres import PostgresEventLog, open_pool
from relais.testing.eventlog_place import append_of
from relais.testing.postgres import OWNER_ROLE, TestPostgres

ONE = Migration("a/001.sql", "CREATE TABLE public.one (n integer)")
TWO = Migration("a/002.sql", "CREATE TABLE public.two (n integer)")
VIEW = Migration("a/view.sql", "CREATE OR REPLACE VIEW public.seen AS SELECT 1 AS n", repeatable=True)


@pytest.fixture
async def owner(postgres: TestPostgres) -> AsyncIterator[str]:
    """The owner's address of an empty database."""
    async with postgres.database() as name:
        yield postgres.dsn(name, OWNER_ROLE)


async def run(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def test_each_file_runs_once_and_new_ones_when_they_come(owner: str) -> None:
    assert await migrate(owner, [ONE]) == ["a/001.sql"]
    assert await migrate(owner, [ONE, TWO]) == ["a/002.sql"]
    assert await migrate(owner, [ONE, TWO]) == []


async def test_a_numbered_file_that_was_edited_is_refused_and_a_file_of_functions_is_run_again(owner: str) -> None:
    await migrate(owner, [ONE, VIEW])
    edited = Migration(VIEW.name, "CREATE OR REPLACE VIEW public.seen AS SELECT 2 AS n", repeatable=True)
    assert await migrate(owner, [ONE, edited]) == [VIEW.name]
    assert (await run(owner, "SELECT n FROM public.seen"))[0][0] == 2
    with pytest.raises(MigrationChanged, match="a/001"):
        await migrate(owner, [Migration(ONE.name, ONE.sql + " "), TWO])
    assert (await run(owner, "SELECT to_regclass('public.two') IS NULL"))[0][0]


async def test_a_file_that_fails_leaves_nothing_and_stops_what_follows(owner: str) -> None:
    broken = Migration("a/002.sql", "CREATE TABLE public.half (n integer); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(owner, [ONE, broken, Migration("a/003.sql", "CREATE TABLE public.three (n integer)")])
    assert (await run(owner, "SELECT to_regclass('public.half') IS NULL AND to_regclass('public.three') IS NULL"))[0][0]
    assert await migrate(owner, [ONE, TWO]) == ["a/002.sql"]


async def test_replicas_that_migrate_at_once_run_each_file_once(owner: str) -> None:
    counted = Migration("a/003.sql", "INSERT INTO public.one VALUES (1)")
    ran = await asyncio.gather(*(migrate(owner, [ONE, TWO, counted]) for _ in range(5)))
    assert sorted(len(names) for names in ran) == [0, 0, 0, 0, 3]
    assert (await run(owner, "SELECT count(*) FROM public.one"))[0][0] == 1


async def test_a_migration_waits_only_briefly_for_a_table_and_tries_again(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relais.eventlog.migrations.LOCK_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr("relais.eventlog.migrations.LOCK_PAUSE_SECONDS", 0.01)
    await migrate(owner, [ONE])
    alter = Migration("a/002.sql", "ALTER TABLE public.one ADD COLUMN added integer")
    reader = await asyncpg.connect(owner)
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT * FROM public.one")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await migrate(owner, [ONE, alter])
    await reading.rollback()
    await reader.close()
    assert await migrate(owner, [ONE, alter]) == ["a/002.sql"]


async def test_a_log_is_made_for_a_role_that_exists_and_is_ready_to_use(postgres: TestPostgres, owner: str) -> None:
    with pytest.raises(RoleMissing):
        await migrate_log(owner, "identity", "relais_nobody")
    await migrate_log(owner, "identity", "relais_identity")
    await migrate_log(owner, "registry", "relais_identity")
    assert await migrate_log(owner, "identity", "relais_identity") == []
    pool = await open_pool(owner.replace(OWNER_ROLE, "relais_identity"), connections_maximum=1, application="test")
    for name in ("identity", "registry"):
        answers = await PostgresEventLog(pool, name).append([append_of()])
        assert [answer.position for answer in answers] == [1]
    await pool.close()


@pytest.mark.parametrize("name", ["", "In", "a b", "x;drop", 'x"'])
def test_only_plain_names_become_schemas_and_roles(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        log_migrations(name, "relais_identity")
    with pytest.raises(ValueError, match="identifier"):
        log_migrations("identity", name)
