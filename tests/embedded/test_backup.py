"""Attacks backup and restore: a copy that is damaged, mixed up or put over living data; and the way back, to the byte."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from relais.embedded.backup import BackupRefused, back_up, restore
from relais.embedded.database import with_login
from relais.embedded.keys import Keys
from relais.embedded.stack import Stack
from relais.embedded.state import AlreadyRunning, StateFolder

pytestmark = pytest.mark.stack

BODY = secrets.token_bytes(60_000)
WRAPPED_KEY = secrets.token_bytes(40)


def silent(message: str) -> None:
    """Nobody listens."""


async def connect(stack: Stack, role: str, database: str) -> "asyncpg.Connection[asyncpg.Record]":
    socket = stack.report().part("postgres").addresses["socket"]
    return await asyncpg.connect(
        with_login(f"postgresql://x@/x?host={socket}&port=5432", role, Keys(stack.state.keys).database_password(role), database)
    )


@pytest.fixture
def another(home: Path) -> Iterator[Stack]:
    """A second machine, as far as files go."""
    stack = Stack(StateFolder(home / "another"))
    yield stack
    stack.down()


async def test_record_and_keys_go_apart_and_come_back_together(stack: Stack, another: Stack, home: Path) -> None:
    stack.up()
    connection = await connect(stack, "relais_owner", "relais")
    await connection.execute("CREATE SCHEMA vault; CREATE TABLE vault.body (id int PRIMARY KEY, sealed bytea NOT NULL)")
    await connection.execute("GRANT USAGE ON SCHEMA vault TO relais_delivery; GRANT SELECT ON vault.body TO relais_delivery")
    await connection.execute("INSERT INTO vault.body VALUES (1, $1)", BODY)
    await connection.close()
    connection = await connect(stack, "relais_owner", "relais_keys")
    await connection.execute("CREATE TABLE subject (wrapped bytea)")
    await connection.execute("INSERT INTO subject VALUES ($1)", WRAPPED_KEY)
    await connection.close()
    master = Keys(stack.state.keys).vault_master.read_bytes()
    record, keys = home / "record", home / "keys"

    back_up(stack, record, keys, silent)

    stored = b"".join(file.read_bytes() for file in record.rglob("*") if file.is_file())
    for secret in (WRAPPED_KEY, WRAPPED_KEY.hex().encode(), master, master.hex().encode()):
        assert secret not in stored, "no key lies beside the record"
    with pytest.raises(AlreadyRunning):
        restore(stack, record, keys, silent)
    stack.down()
    with pytest.raises(BackupRefused, match="holds a database already"):
        restore(stack, record, keys, silent)

    await asyncio.to_thread(restore, another, record, keys, silent)
    another.up()

    assert Keys(another.state.keys).vault_master.read_bytes() == master
    connection = await connect(another, "relais_delivery", "relais")
    assert await connection.fetchval("SELECT sealed FROM vault.body") == BODY
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM vault.body")
    await connection.close()
    connection = await connect(another, "relais_owner", "relais_keys")
    assert await connection.fetchval("SELECT wrapped FROM subject") == WRAPPED_KEY
    await connection.close()
    # The transport was not copied: it starts empty, and the relays fill it from the record.
    assert not list((another.state.nats / "jetstream").rglob("*.blk"))


def test_a_backup_that_is_not_whole_is_refused_and_changes_nothing(stack: Stack, another: Stack, home: Path) -> None:
    with pytest.raises(BackupRefused, match="does not run"):
        back_up(stack, home / "record", home / "keys", silent)
    stack.up()
    for number in ("1", "2"):
        back_up(stack, home / f"record{number}", home / f"keys{number}", silent)
    with pytest.raises(BackupRefused, match="is not empty"):
        back_up(stack, home / "record1", home / "keys3", silent)
    stack.down()
    with pytest.raises(BackupRefused, match="different backups"):
        restore(another, home / "record1", home / "keys2", silent)
    with pytest.raises(BackupRefused, match="holds the keys, not the record"):
        restore(another, home / "keys1", home / "record1", silent)
    dump = home / "record2" / "record.dump"
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    with pytest.raises(BackupRefused, match=r"damaged: record\.dump"):
        restore(another, home / "record2", home / "keys2", silent)
    (home / "keys1" / "keys" / "vault.master").unlink()
    with pytest.raises(BackupRefused, match="not a whole backup"):
        restore(another, home / "record1", home / "keys1", silent)
    assert not another.state.postgres_data.exists()
    assert not another.state.keys.exists()
