"""Attacks the blob stores with their suite, and the database's grants: who may read a body, who may stage one, who may delete one."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from relais.clock import SystemClock
from relais.testing.postgres import OWNER_ROLE, TestPostgres
from relais.testing.vault_suite import BlobStoreSuite, Stores, assert_absent, sealed
from relais.vault.blobs import PUT_BYTES_MAXIMUM, MemoryBlobStore, PostgresBlobStore
from relais.vault.migrations import migrate_vault
from relais.vault.seal import seal_body
from relais.vault.vault import ChunkConflict, VaultUnavailable
from tests.shared.vault_grants import PRIVACY_ROLE, assert_refused, create_privacy_role

INSERT = "INSERT INTO vault.chunk (blob, number, last, ciphertext) VALUES ($1, $2, $3, $4)"


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[str]:
    await create_privacy_role(postgres)
    async with postgres.database(await postgres.template("vault", migrate_vault)) as name:
        yield name


@pytest.fixture
async def stores(postgres: TestPostgres, database: str) -> AsyncIterator[Stores]:
    pools = [
        await asyncpg.create_pool(postgres.dsn(database, role), min_size=1, max_size=2)
        for role in ("relais_ingestion", "relais_delivery", PRIVACY_ROLE)
    ]
    yield Stores(*(PostgresBlobStore(pool) for pool in pools))
    for pool in pools:
        await pool.close()


class TestPostgresBlobStore(BlobStoreSuite):
    """The suite as it stands, each role with its own grants."""


class TestMemoryBlobStore(BlobStoreSuite):
    """The suite as it stands, without a database."""

    @pytest.fixture
    def stores(self) -> Stores:
        store = MemoryBlobStore(SystemClock())
        return Stores(store, store, store)


async def test_a_small_body_inserted_by_an_append_is_never_staged_and_never_swept(
    postgres: TestPostgres, database: str, stores: Stores
) -> None:
    blob, chunks = sealed(1)
    connection = await asyncpg.connect(postgres.dsn(database, "relais_ingestion"))
    await connection.execute(INSERT, blob, 0, True, chunks[0].ciphertext)
    await connection.close()
    assert await stores.ingestion.sweep(0) == 0
    assert await stores.delivery.get_many([blob]) == {blob: chunks}


async def test_a_body_named_in_a_transaction_that_fails_is_still_staged(postgres: TestPostgres, database: str, stores: Stores) -> None:
    blob, chunks = sealed()
    await stores.ingestion.put(chunks)
    connection = await asyncpg.connect(postgres.dsn(database, "relais_ingestion"))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT vault.name_bodies($1)", [blob])
    # The sweep passes over a body that is being named, instead of waiting for it.
    assert await stores.ingestion.sweep(0) == 0
    await transaction.rollback()
    await connection.close()
    assert await stores.ingestion.staged(blob) == 3


async def test_a_put_too_large_is_refused_before_the_database_is_asked(stores: Stores) -> None:
    _, chunks = sealed(2)
    with pytest.raises(ValueError, match=str(PUT_BYTES_MAXIMUM)):
        await stores.ingestion.put(chunks * 40)


@pytest.mark.parametrize("role", ["relais_identity", "relais_routing", "relais_ingestion", PRIVACY_ROLE])
async def test_only_delivery_reads_a_body(postgres: TestPostgres, database: str, stores: Stores, role: str) -> None:
    blob, chunks = sealed()
    await stores.ingestion.put(chunks)
    await stores.ingestion.name([blob])
    connection = await asyncpg.connect(postgres.dsn(database, role))
    try:
        for statement in ("SELECT ciphertext FROM vault.chunk", "SELECT * FROM vault.chunk", "COPY vault.chunk TO STDOUT"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ["relais_identity", "relais_routing", "relais_delivery"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO vault.chunk (blob, number, last, ciphertext) VALUES (gen_random_uuid(), 0, true, decode(repeat('00', 28), 'hex'))",
        "SELECT vault.sweep(0, 1)",
        "SELECT vault.name_bodies('{}')",
        "SELECT vault.stage_chunks('{}', '{}', '{}', '{}')",
        "SELECT * FROM vault.staged_part(gen_random_uuid(), 0, 1)",
    ],
)
async def test_only_ingestion_brings_bodies_in(postgres: TestPostgres, database: str, role: str, statement: str) -> None:
    await assert_refused(postgres.dsn(database, role), statement)


@pytest.mark.parametrize("role", ["relais_identity", "relais_routing", "relais_delivery", "relais_ingestion"])
@pytest.mark.parametrize("statement", ["DELETE FROM vault.chunk", "TRUNCATE vault.chunk", "UPDATE vault.chunk SET number = 1"])
async def test_no_service_changes_or_deletes_a_body(postgres: TestPostgres, database: str, role: str, statement: str) -> None:
    await assert_refused(postgres.dsn(database, role), statement)


async def test_the_privacy_role_cannot_change_a_body(postgres: TestPostgres, database: str) -> None:
    await assert_refused(postgres.dsn(database, PRIVACY_ROLE), "UPDATE vault.chunk SET number = 1")


async def test_the_migration_runs_twice_and_keeps_what_is_there(postgres: TestPostgres, database: str, stores: Stores) -> None:
    blob, chunks = sealed()
    await stores.ingestion.put(chunks)
    await migrate_vault(postgres.dsn(database, OWNER_ROLE))
    assert await stores.delivery.get_many([blob]) == {blob: chunks}


async def test_a_database_that_is_away_is_told_apart_from_a_body_that_is_missing(postgres: TestPostgres, stores: Stores) -> None:
    blob, chunks = sealed(1)
    await stores.ingestion.put(chunks)
    postgres.pause()
    try:
        with pytest.raises(VaultUnavailable):
            await stores.delivery.get_many([blob])
    finally:
        postgres.resume()
    assert await stores.delivery.get_many([blob]) == {blob: chunks}


async def test_an_error_of_the_store_quotes_nothing_that_was_stored(stores: Stores) -> None:
    blob, chunks = sealed(1)
    await stores.ingestion.put(chunks)
    with pytest.raises(ChunkConflict) as conflict:
        await stores.ingestion.put(seal_body(bytes(32), blob, b"other"))
    assert_absent(chunks[0].ciphertext[:64], str(conflict.value))
    assert conflict.value.__cause__ is None
