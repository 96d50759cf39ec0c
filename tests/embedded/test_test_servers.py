"""Attacks the servers of the test kit: are they real, apart from one another, and gone when their starter dies?"""

import asyncpg
import nats
import pytest

from relais.testing.nats import TestNats
from relais.testing.postgres import TestPostgres, run_postgres


async def test_each_test_has_a_database_of_its_own(postgres: TestPostgres) -> None:
    async with postgres.database() as first, postgres.database() as second:
        connection = await asyncpg.connect(postgres.dsn(first, "relais_owner"))
        await connection.execute("CREATE TABLE only_here ()")
        await connection.close()
        other = await asyncpg.connect(postgres.dsn(second, "relais_owner"))
        assert await other.fetchval("SELECT to_regclass('only_here')") is None
        await other.close()


async def test_a_copy_of_a_template_has_what_was_prepared_once(postgres: TestPostgres) -> None:
    prepared: list[str] = []

    async def prepare(dsn: str) -> None:
        prepared.append(dsn)
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE prepared AS SELECT 7 AS answer")
        await connection.close()

    for _ in range(2):
        template = await postgres.template("test_a_copy", prepare)
        async with postgres.database(template) as name:
            connection = await asyncpg.connect(postgres.dsn(name, "relais_owner"))
            assert await connection.fetchval("SELECT answer FROM prepared") == 7
            await connection.close()
    assert len(prepared) == 1


async def test_what_was_committed_with_fsync_survives_a_crash() -> None:
    with run_postgres(fsync=True) as server:
        connection = await asyncpg.connect(server.dsn())
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        server.crash()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.fetchval("SELECT one FROM kept")
        again = await asyncpg.connect(server.dsn())
        assert await again.fetchval("SELECT one FROM kept") == 1
        assert await again.fetchval("SHOW fsync") == "on"
        await again.close()


async def test_a_stream_survives_a_killed_nats_server(nats_server: TestNats) -> None:
    client = await nats.connect(nats_server.url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept.>"])
    await stream.publish("kept.one", b"1")
    await client.close()
    nats_server.kill()
    nats_server.restart()
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    await client.close()
