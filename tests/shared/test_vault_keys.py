"""Attacks the key rings with their suite, the grants on keys, the master key file, and the cache that stands before the database."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from relais.testing.clock import ManualClock
from relais.testing.postgres import OWNER_ROLE, TestPostgres
from relais.testing.vault_suite import KeyRingSuite, Rings, assert_absent
from relais.vault.keys import KEPT_SECONDS, SUBJECT_LIFETIME_SECONDS, MemoryKeyRing, PostgresKeyRing
from relais.vault.migrations import migrate_keys
from relais.vault.provider import MasterKeyFile
from relais.vault.tenant import TenantKey
from relais.vault.vault import MasterKeyUnusable, SealBroken, TenantKeyMissing, VaultUnavailable
from tests.shared.vault_grants import PRIVACY_ROLE, assert_refused, create_privacy_role

READERS = ("relais_identity", "relais_routing", "relais_delivery")
MASTER = os.urandom(32)


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[str]:
    await create_privacy_role(postgres)
    # Not from a template: grants on a database itself are not copied with it.
    async with postgres.database() as name:
        await migrate_keys(postgres.dsn(name, OWNER_ROLE))
        yield name


@pytest.fixture
async def pools(postgres: TestPostgres, database: str) -> AsyncIterator[dict[str, "asyncpg.Pool[asyncpg.Record]"]]:
    roles = ("relais_ingestion", *READERS, PRIVACY_ROLE)
    opened = {role: await asyncpg.create_pool(postgres.dsn(database, role), min_size=0, max_size=2) for role in roles}
    yield opened
    for pool in opened.values():
        await pool.close()


@pytest.fixture
def rings(pools: dict[str, "asyncpg.Pool[asyncpg.Record]"]) -> Rings:
    clock = ManualClock()
    ingestion, ingestion_too, delivery, privacy = (
        PostgresKeyRing(pools[role], MasterKeyFile([MASTER]), clock)
        for role in ("relais_ingestion", "relais_ingestion", "relais_delivery", PRIVACY_ROLE)
    )
    return Rings(ingestion, ingestion_too, delivery, privacy, clock.advance)


class TestPostgresKeyRing(KeyRingSuite):
    """The suite as it stands, each role with its own grants."""


class TestMemoryKeyRing(KeyRingSuite):
    """The suite as it stands, without a database."""

    @pytest.fixture
    def rings(self) -> Rings:
        ring = MemoryKeyRing()
        return Rings(ring, ring, ring, ring, ManualClock().advance)


async def test_a_key_in_memory_lives_no_longer_than_its_lifetime_and_is_not_asked_for_before(
    pools: dict[str, "asyncpg.Pool[asyncpg.Record]"], rings: Rings
) -> None:
    [subject] = await rings.ingestion.subjects_for([("north", b"a")])
    name = ("north", subject.subject)
    assert await rings.delivery.subjects([name]) == [subject]
    await rings.privacy.erase(*name)
    await rings.advance(4.9)
    assert await rings.delivery.subjects([name]) == [subject], "a replica may use a key for its lifetime, or every document costs a call"
    await rings.advance(0.1)
    assert await rings.delivery.subjects([name]) == [None]


async def test_known_keys_are_not_asked_for_again_as_long_as_none_was_taken_away(
    postgres: TestPostgres, database: str, rings: Rings
) -> None:
    subjects = await rings.ingestion.subjects_for([("north", b"a"), ("north", b"b")])
    names = [("north", subject.subject) for subject in subjects]
    assert await rings.delivery.subjects(names) == subjects
    connection = await asyncpg.connect(postgres.dsn(database))
    try:
        await connection.execute("REVOKE SELECT ON keys.subject_key FROM relais_delivery")
        for _ in range(20):
            await rings.advance(SUBJECT_LIFETIME_SECONDS)
            assert await rings.delivery.subjects(names) == subjects
        await rings.privacy.erase(*names[0])
        await rings.advance(SUBJECT_LIFETIME_SECONDS)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await rings.delivery.subjects(names[1:])
        await connection.execute("GRANT SELECT ON keys.subject_key TO relais_delivery")
        assert await rings.delivery.subjects(names) == [None, subjects[1]]
        await rings.advance(KEPT_SECONDS)
        await connection.execute("REVOKE SELECT ON keys.subject_key FROM relais_delivery")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await rings.delivery.subjects(names[1:])
    finally:
        await connection.close()


async def test_a_removal_that_nobody_made_through_us_counts_too(postgres: TestPostgres, database: str, rings: Rings) -> None:
    [subject] = await rings.ingestion.subjects_for([("north", b"a")])
    assert await rings.delivery.subjects([("north", subject.subject)]) == [subject]
    connection = await asyncpg.connect(postgres.dsn(database))
    await connection.execute("SET session_replication_role = replica; DELETE FROM keys.subject_key")
    await connection.close()
    await rings.advance(SUBJECT_LIFETIME_SECONDS)
    assert await rings.delivery.subjects([("north", subject.subject)]) == [None]


async def test_nothing_in_the_database_is_a_key_or_an_identity(postgres: TestPostgres, database: str, rings: Rings) -> None:
    identity = b"ins:275127400123456"
    [subject] = await rings.ingestion.subjects_for([("north", identity)])
    connection = await asyncpg.connect(postgres.dsn(database))
    try:
        rows = [*await connection.fetch("SELECT * FROM keys.subject_key"), *await connection.fetch("SELECT * FROM keys.tenant_key")]
    finally:
        await connection.close()
    stored = b"".join(value for row in rows for value in row.values() if isinstance(value, bytes))
    assert len(rows) == 2
    assert subject.key not in stored
    assert identity not in stored


async def test_a_reader_makes_no_tenant_key(pools: dict[str, "asyncpg.Pool[asyncpg.Record]"]) -> None:
    ring = PostgresKeyRing(pools["relais_delivery"], MasterKeyFile([MASTER]), ManualClock())
    with pytest.raises(TenantKeyMissing):
        await ring.tenant_hmac("nobody", "document-id")
    assert await ring.subjects([("nobody", uuid4())]) == [None]


@pytest.mark.parametrize("role", READERS)
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO keys.tenant_key (tenant, wrapped) VALUES ('t', 'x')",
        "INSERT INTO keys.subject_key (tenant, subject, identity_index, wrapped) VALUES ('t', gen_random_uuid(), 'x', 'x')",
        "SELECT keys.tenant_key_for('t', 'x')",
    ],
)
async def test_readers_make_no_keys(postgres: TestPostgres, database: str, role: str, statement: str) -> None:
    await assert_refused(postgres.dsn(database, role), statement)


@pytest.mark.parametrize("role", [*READERS, "relais_ingestion"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM keys.subject_key",
        "DELETE FROM keys.tenant_key",
        "TRUNCATE keys.subject_key",
        "UPDATE keys.subject_key SET wrapped = 'x'",
        "UPDATE keys.subject_key SET identity_index = NULL, retired_at = now()",
        "UPDATE keys.removal SET number = 0",
        "DELETE FROM keys.removal",
    ],
)
async def test_no_service_changes_or_destroys_a_key(postgres: TestPostgres, database: str, role: str, statement: str) -> None:
    await assert_refused(postgres.dsn(database, role), statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keys.subject_key SET wrapped = 'x'",
        "SELECT * FROM keys.tenant_key",
        "DELETE FROM keys.tenant_key",
        "UPDATE keys.removal SET number = 0",
    ],
)
async def test_the_privacy_role_destroys_subject_keys_and_opens_none(postgres: TestPostgres, database: str, statement: str) -> None:
    await assert_refused(postgres.dsn(database, PRIVACY_ROLE), statement)


async def test_a_role_without_a_part_in_it_cannot_even_connect(postgres: TestPostgres, database: str) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute("DROP ROLE IF EXISTS relais_stranger; CREATE ROLE relais_stranger LOGIN")
    await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(postgres.dsn(database, "relais_stranger"))


async def test_a_wrapped_key_moved_to_another_row_does_not_open(
    postgres: TestPostgres, database: str, rings: Rings, pools: dict[str, "asyncpg.Pool[asyncpg.Record]"]
) -> None:
    [one, other] = await rings.ingestion.subjects_for([("north", b"a"), ("north", b"b")])
    connection = await asyncpg.connect(postgres.dsn(database))
    await connection.execute(
        "UPDATE keys.subject_key SET wrapped = (SELECT wrapped FROM keys.subject_key WHERE subject = $1) WHERE subject = $2",
        other.subject,
        one.subject,
    )
    await connection.close()
    with pytest.raises(SealBroken):
        await rings.delivery.subjects([("north", one.subject)])


async def test_a_database_that_is_away_is_no_erased_subject(postgres: TestPostgres, rings: Rings) -> None:
    [subject] = await rings.ingestion.subjects_for([("north", b"a")])
    postgres.pause()
    try:
        with pytest.raises(VaultUnavailable):
            await rings.delivery.subjects([("north", subject.subject)])
    finally:
        postgres.resume()
    assert await rings.delivery.subjects([("north", subject.subject)]) == [subject]


async def test_a_new_master_key_wraps_and_the_old_one_still_opens() -> None:
    old, new = os.urandom(32), os.urandom(32)
    wrapped = await MasterKeyFile([old]).wrap("north", b"k" * 32)
    both = MasterKeyFile([new, old])
    assert await both.unwrap("north", wrapped) == b"k" * 32
    assert await MasterKeyFile([new]).unwrap("north", await both.wrap("north", b"k" * 32)) == b"k" * 32
    with pytest.raises(MasterKeyUnusable):
        await MasterKeyFile([new]).unwrap("north", wrapped)
    with pytest.raises(MasterKeyUnusable):
        await both.unwrap("south", wrapped)


async def test_a_file_of_32_bytes_is_one_raw_master_key(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.touch(0o600)
    file.write_bytes(MASTER)
    assert await MasterKeyFile([MASTER]).unwrap("north", await MasterKeyFile.load(file).wrap("north", b"k" * 32)) == b"k" * 32


async def test_a_master_key_file_is_made_once_and_read_only_by_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    made = MasterKeyFile.create(file)
    assert file.stat().st_mode & 0o777 == 0o600
    wrapped = await made.wrap("north", b"k" * 32)
    assert await MasterKeyFile.load(file).unwrap("north", wrapped) == b"k" * 32
    with pytest.raises(FileExistsError):
        MasterKeyFile.create(file)
    file.chmod(0o640)
    with pytest.raises(MasterKeyUnusable, match="chmod 600"):
        MasterKeyFile.load(file)


@pytest.mark.parametrize("content", ["", "not base64!", "c2hvcnQ=", "é"])
def test_a_master_key_file_that_holds_no_key_is_refused_without_being_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "master.key"
    file.touch(0o600)
    file.write_text(content, "utf-8")
    with pytest.raises(MasterKeyUnusable) as refusal:
        MasterKeyFile.load(file)
    assert not content or content not in str(refusal.value)


def test_a_missing_master_key_file_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyUnusable, match="cannot be read"):
        MasterKeyFile.load(tmp_path / "absent")


def test_no_holder_of_keys_prints_them() -> None:
    root = os.urandom(32)
    for holder in (TenantKey("north", root), MasterKeyFile([root])):
        assert_absent(root, f"{holder!r} {holder}")


async def test_a_stored_subject_id_is_the_uuid_that_facts_write(rings: Rings) -> None:
    [made] = await rings.ingestion.subjects_for([("north", b"a")])
    [read] = await rings.delivery.subjects([("north", UUID(str(made.subject)))])
    assert read == made
