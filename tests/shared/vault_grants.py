"""What the vault's tests need to attack its grants."""

import asyncpg
import pytest

from relais.testing.postgres import TestPostgres

PRIVACY_ROLE = "relais_privacy"


async def create_privacy_role(postgres: TestPostgres) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", PRIVACY_ROLE):
            await connection.execute(f"CREATE ROLE {PRIVACY_ROLE} LOGIN")
    finally:
        await connection.close()


async def assert_refused(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
