"""How many bytes a run leaves behind: in Postgres, in its write-ahead log, in JetStream."""

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from relais.embedded.topology import KEYS_DATABASE
from tests.bench.figures import Storage
from tests.bench.stage import Stage

TABLES_SHOWN_BYTES_MINIMUM = 50

_TABLES = """
SELECT n.nspname || '.' || c.relname, pg_total_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored at one moment, in bytes."""

    tables: dict[str, int]
    database: int
    keys: int
    wal: int
    nats: int


async def held(stage: Stage) -> Held:
    """Look now."""
    connection = await asyncpg.connect(stage.dsn())
    try:
        rows = await connection.fetch(_TABLES)
        database = await connection.fetchval("SELECT pg_database_size(current_database())")
        keys = await connection.fetchval("SELECT pg_database_size($1)", KEYS_DATABASE)
        wal = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    finally:
        await connection.close()
    return Held({str(name): int(size) for name, size in rows}, int(database), int(keys), int(wal), _folder_bytes(stage.state.nats))


def stored(before: Held, after: Held, documents: int) -> Storage:
    """What each document added."""
    tables = {name: round((size - before.tables.get(name, 0)) / documents) for name, size in after.tables.items()}
    shown = {name: size for name, size in sorted(tables.items(), key=lambda pair: -pair[1]) if size >= TABLES_SHOWN_BYTES_MINIMUM}
    return Storage(
        postgres=round((after.database - before.database) / documents),
        postgres_tables=shown,
        keys=round((after.keys - before.keys) / documents),
        wal=round((after.wal - before.wal) / documents),
        nats=round((after.nats - before.nats) / documents),
    )


def _folder_bytes(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except FileNotFoundError:
            # JetStream drops a block while we look.
            continue
    return total
