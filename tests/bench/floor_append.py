"""The floor under the event log: what this machine's Postgres takes for the same rows without any of our promises, beside our append.

One document is a sealed body of 51 KB and six facts. *raw* inserts them with one statement of plain multi-row inserts into tables of the
same columns and indexes, positions made up by the caller; *append* is `EventLog.append`. Both go over one connection, one batch at a time.

    python -m tests.bench.floor_append [DOCUMENTS]
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import psutil

from relais.embedded.database import SETTINGS
from relais.eventlog.migrations import migrate_log
from relais.eventlog.postgres import Pool, PostgresEventLog, open_pool
from relais.eventlog.record import Append, NewEvent, SealedChunk
from relais.testing.postgres import run_postgres
from relais.vault.migrations import migrate_vault

BODY_BYTES = 51 * 1024
FACT_BYTES = 1200
FACTS_PER_DOCUMENT = 6
BATCHES = (1, 8, 64)
DOCUMENTS = 3000
LOG = "ingestion"
ROLE = "relais_ingestion"
DATABASE = "relais_floor"

_RAW = """
WITH body AS (
    INSERT INTO floor.chunk (blob, number, last, ciphertext) SELECT unnest($1::uuid[]), 0, true, unnest($2::bytea[])
)
INSERT INTO floor.event (
    position, tenant_sequence, version, recorded_at, event_id, partition, tenant, stream, tag, actor, traceparent, payload
)
SELECT unnest($3::bigint[]), unnest($3::bigint[]), 1, now(), unnest($4::uuid[]), 7, unnest($5::text[]), unnest($6::text[]),
    unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::bytea[])
"""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. CPU is in milliseconds per document: of all of Postgres's processes, and of this one."""

    kind: str
    batch_documents: int
    documents_per_s: float
    facts_per_s: float
    postgres_cpu_ms: float
    client_cpu_ms: float
    bytes_stored: int


# One document is the appends of its six facts.
Document = list[Append]


def document() -> Document:
    """A body and six facts, each of a stream of its own; the body goes with the first."""
    identity, payload = str(uuid4()), secrets.token_bytes(FACT_BYTES)
    events = [
        NewEvent(
            tenant="chu-nord",
            stream=f"{identity}/{number}",
            tag="ingestion.document_received.v1",
            payload=payload,
            event_id=uuid4(),
            partition=7,
            actor="x509:9f86d081884c7d65",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            expected_version=0,
        )
        for number in range(FACTS_PER_DOCUMENT)
    ]
    body = SealedChunk(uuid4(), 0, True, secrets.token_bytes(BODY_BYTES))
    return [Append((event,), (body,) if not number else ()) for number, event in enumerate(events)]


async def measure_floor(superuser_dsn: str, *, documents: int = DOCUMENTS, batches: Sequence[int] = BATCHES) -> list[Figure]:
    """Measure both, in a database of its own on this server, which must run on this machine and have the product's roles.

    `superuser_dsn` names any database of the server; the scratch database is dropped at the end.
    """
    administrator = await asyncpg.connect(superuser_dsn)
    dsn = _on_database(superuser_dsn, DATABASE)
    try:
        await administrator.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        await administrator.execute(f"CREATE DATABASE {DATABASE}")
        await migrate_vault(dsn)
        await migrate_log(dsn, LOG, ROLE)
        return await _measure_in(dsn, documents, batches)
    finally:
        await administrator.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        await administrator.close()


async def _measure_in(dsn: str, documents: int, batches: Sequence[int]) -> list[Figure]:
    pool = await open_pool(dsn, connections_maximum=1, application="floor")
    try:
        await pool.execute("CREATE SCHEMA floor")
        await pool.execute(f"CREATE TABLE floor.event (LIKE {LOG}.event INCLUDING ALL)")
        await pool.execute("CREATE TABLE floor.chunk (LIKE vault.chunk INCLUDING ALL)")
        log = PostgresEventLog(pool, LOG)
        raw = _Raw(pool)

        async def append(batch: Sequence[Document]) -> None:
            await log.append([append for document in batch for append in document])

        figures = []
        for size in batches:
            figures.append(await _measure(pool, "raw", raw.insert, size, documents))
            figures.append(await _measure(pool, "append", append, size, documents))
        return figures
    finally:
        await pool.close()


class _Raw:
    """The plain inserts; positions are counted here, so nothing has to be looked up."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._position = 0

    async def insert(self, batch: Sequence[Document]) -> None:
        appends = [append for document in batch for append in document]
        events = [append.events[0] for append in appends]
        chunks = [chunk for append in appends for chunk in append.chunks]
        first, self._position = self._position + 1, self._position + len(events)
        await self._pool.execute(
            _RAW,
            [chunk.blob for chunk in chunks],
            [chunk.ciphertext for chunk in chunks],
            list(range(first, self._position + 1)),
            [event.event_id for event in events],
            [event.tenant for event in events],
            [event.stream for event in events],
            [event.tag for event in events],
            [event.actor for event in events],
            [event.traceparent for event in events],
            [event.payload for event in events],
        )


async def _measure(
    pool: Pool, kind: str, store: Callable[[Sequence[Document]], Coroutine[Any, Any, None]], size: int, documents: int
) -> Figure:
    made = [document() for _ in range(max(size, documents // size * size))]
    await store([document() for _ in range(size)])
    server = await _postmaster(pool)
    stored, server_cpu, client_cpu, began = await _size(pool), _cpu_of(server), time.process_time(), time.perf_counter()
    for first in range(0, len(made), size):
        await store(made[first : first + size])
    seconds, client_cpu = time.perf_counter() - began, time.process_time() - client_cpu
    return Figure(
        kind=kind,
        batch_documents=size,
        documents_per_s=round(len(made) / seconds, 1),
        facts_per_s=round(len(made) * FACTS_PER_DOCUMENT / seconds, 1),
        postgres_cpu_ms=round((_cpu_of(server) - server_cpu) * 1000 / len(made), 3),
        client_cpu_ms=round(client_cpu * 1000 / len(made), 3),
        bytes_stored=round((await _size(pool) - stored) / len(made)),
    )


async def _size(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT pg_database_size(current_database())"))


async def _postmaster(pool: Pool) -> psutil.Process:
    process = psutil.Process(await pool.fetchval("SELECT pg_backend_pid()")).parent()
    assert process is not None
    return process


def _cpu_of(postmaster: psutil.Process) -> float:
    """Seconds of CPU of the server and all its processes, those included that ended."""
    own = postmaster.cpu_times()
    living = [process.cpu_times() for process in postmaster.children()]
    return own.children_user + own.children_system + sum(times.user + times.system for times in [own, *living])


def _on_database(dsn: str, database: str) -> str:
    address, _, options = dsn.partition("?")
    return f"{address.rsplit('/', 1)[0]}/{database}" + (f"?{options}" if options else "")


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of text."""
    head = f"{'kind':<8}{'batch':>6}{'documents/s':>13}{'facts/s':>10}{'Postgres ms':>13}{'client ms':>11}{'bytes':>9}"
    lines = [
        f"{figure.kind:<8}{figure.batch_documents:>6}{figure.documents_per_s:>13.0f}{figure.facts_per_s:>10.0f}{figure.postgres_cpu_ms:>13.3f}"
        f"{figure.client_cpu_ms:>11.3f}{figure.bytes_stored:>9}"
        for figure in figures
    ]
    return "\n".join([head, *lines])


async def _main(documents: int) -> None:
    with run_postgres(fsync=True, settings={**SETTINGS, "autovacuum_naptime": "60s"}) as server:
        await server.create_roles()
        print(table(await measure_floor(server.dsn(), documents=documents)))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS))
