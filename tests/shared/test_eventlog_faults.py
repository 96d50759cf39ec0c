"""The log is attacked where chance would rarely hit: writers stopped and killed in the middle of a batch, answers lost after COMMIT, a
server that goes away and comes back. After each, the history checker compares what was promised with what is there.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from relais.clock import SystemClock
from relais.eventlog.log import LogUnavailable, OutcomeUnknown
from relais.eventlog.postgres import PostgresEventLog, open_pool
from relais.eventlog.record import Outcome
from relais.eventlog.writer import BatchingWriter
from relais.testing.eventlog_place import append_of, chunk, event
from relais.testing.history import History, check, content_of
from relais.testing.postgres import TestPostgres, run_postgres
from relais.testing.proxy import Proxy, open_proxy
from relais.testing.recording import RecordingLog
from tests.conftest import PROJECT
from tests.shared.eventlog_postgres import LOG, ROLE, log_database

PORT = 5432


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[str]:
    async with log_database(postgres) as name:
        yield name


@asynccontextmanager
async def proxied(postgres: TestPostgres, database: str, folder: Path) -> AsyncIterator[tuple[Proxy, PostgresEventLog]]:
    """The log through a proxy, with a connection that has made its first append already: from then on an append is one round trip."""
    address = {key: values[0] for key, values in parse_qs(urlsplit(postgres.dsn(database, ROLE)).query).items()}
    socket = Path(address["host"]) / f".s.PGSQL.{address['port']}"
    async with open_proxy(socket, folder / f".s.PGSQL.{PORT}") as proxy:
        pool = await open_pool(f"postgresql://{ROLE}@/{database}?host={folder}&port={PORT}", connections_maximum=1, application="test")
        log = PostgresEventLog(pool, LOG)
        await log.append([append_of()])
        try:
            yield proxy, log
        finally:
            pool.terminate()


@asynccontextmanager
async def log_pool_of(postgres: TestPostgres, database: str) -> AsyncIterator[PostgresEventLog]:
    pool = await open_pool(postgres.dsn(database, ROLE), connections_maximum=4, application="test")
    try:
        yield PostgresEventLog(pool, LOG)
    finally:
        await pool.close()


@asynccontextmanager
async def writer_process(dsn: str, history: Path, seed: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shared.eventlog_writer_process", dsn, str(history), seed,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=PROJECT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def batches(process: asyncio.subprocess.Process, count: int) -> None:
    """Wait until so many more batches of this writer were answered."""
    assert process.stdout is not None
    for _ in range(count):
        assert await process.stdout.readline() == b"answered\n"


async def test_a_writer_that_is_stopped_and_then_killed_mid_batch_hurts_nobody(
    postgres: TestPostgres, database: str, tmp_path: Path
) -> None:
    dsn = postgres.dsn(database, ROLE)
    paths = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    async with writer_process(dsn, paths[0], "first") as first, writer_process(dsn, paths[1], "second") as second:
        await asyncio.gather(batches(first, 10), batches(second, 10))
        os.kill(first.pid, signal.SIGSTOP)
        await batches(second, 30)
        os.kill(first.pid, signal.SIGKILL)
        await batches(second, 10)
        assert second.stdin is not None
        second.stdin.close()
        await asyncio.gather(first.wait(), second.wait())
    async with log_pool_of(postgres, database) as log:
        check(History.load(*paths), [await content_of(log)]).require()


async def test_a_writer_that_stalls_while_it_sends_a_batch_holds_nobody_up(postgres: TestPostgres, database: str, tmp_path: Path) -> None:
    async with proxied(postgres, database, tmp_path) as (proxy, stalled), log_pool_of(postgres, database) as other:
        slow = append_of(event("slow", payload=b"x" * 60_000))
        proxy.hold_requests_after(20_000)
        sending = asyncio.create_task(stalled.append([slow]))
        await proxy.holding.wait()
        answers = [(await other.append([append_of()]))[0].position for _ in range(5)]
        assert answers == [2, 3, 4, 5, 6]
        proxy.release()
        assert (await sending)[0].position == 7


async def test_an_answer_lost_after_commit_is_unknown_and_is_found_by_event_id(
    postgres: TestPostgres, database: str, tmp_path: Path
) -> None:
    history = History()
    async with proxied(postgres, database, tmp_path) as (proxy, direct):
        log = RecordingLog(direct, history)
        lost = append_of(event("a", expected=0), event("a"))
        proxy.cut_at_next_reply()
        with pytest.raises(OutcomeUnknown):
            await log.append([lost])
        assert proxy.cut_replies == 1
        found = await log.find([given.event_id for given in lost.events])
        assert [stored.version for stored in found.values()] == [1, 2]
        (again,) = await log.append([lost])
        assert (again.outcome, again.position) == (Outcome.DUPLICATE, 3)
        content = await content_of(log)
        assert len(content.events) == 3
    check(history, [content]).require()


async def test_the_writer_reads_a_lost_answer_back_before_it_sends_anything_again(
    postgres: TestPostgres, database: str, tmp_path: Path
) -> None:
    async with proxied(postgres, database, tmp_path) as (proxy, log):
        bells: list[None] = []
        writer = BatchingWriter(log, SystemClock(), lambda: bells.append(None))
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.run())
            proxy.cut_at_next_reply()
            given = [append_of(event(f"stream-{number}", expected=0)) for number in range(5)]
            answers = await asyncio.gather(*(writer.append(append) for append in given))
            writer.close()
        assert proxy.cut_replies == 1
        assert sorted(answer.position for answer in answers) == [2, 3, 4, 5, 6]
        assert await log.head() == 6
        assert bells


async def test_a_request_cut_on_its_way_stored_nothing_and_can_be_sent_again(postgres: TestPostgres, database: str, tmp_path: Path) -> None:
    async with proxied(postgres, database, tmp_path) as (proxy, log):
        lost = append_of(event("a", payload=b"x" * 60_000))
        proxy.hold_requests_after(20_000)
        sending = asyncio.create_task(log.append([lost]))
        await proxy.holding.wait()
        proxy.cut()
        with pytest.raises(OutcomeUnknown):
            await sending
        proxy.release()
        assert await log.find([lost.events[0].event_id]) == {}
        assert (await log.append([lost]))[0].outcome is Outcome.STORED


async def test_a_server_that_is_away_is_unavailable_and_what_it_acknowledged_is_there_when_it_is_back(
    postgres: TestPostgres, database: str
) -> None:
    history = History()
    async with log_pool_of(postgres, database) as direct:
        log = RecordingLog(direct, history)
        for number in range(20):
            await log.append([append_of(event(f"stream-{number}"), chunks=(chunk(event().event_id),))])
        postgres.pause()
        try:
            with pytest.raises((LogUnavailable, OutcomeUnknown)):
                await log.append([append_of()])
            with pytest.raises(LogUnavailable):
                await log.append([append_of()])
            with pytest.raises(LogUnavailable):
                await log.read(0)
        finally:
            postgres.resume()
        await log.append([append_of()])
        check(history, [await content_of(log)]).require()


@pytest.fixture
async def durable() -> AsyncIterator[TestPostgres]:
    """A server of this test's own that waits for its disk, as production does; the session's server does not."""
    with run_postgres(fsync=True) as server:
        await server.create_roles()
        yield server


async def test_writers_under_a_postgres_crash_lose_nothing_that_was_acknowledged(durable: TestPostgres) -> None:
    history = History()
    async with log_database(durable) as name, log_pool_of(durable, name) as direct:
        writing, back = asyncio.Event(), asyncio.Event()

        async def write(writer: int) -> None:
            log = RecordingLog(direct, history, f"writer-{writer}")
            appended = 0
            while not back.is_set() or appended < 20:
                stream = f"stream-{writer}-{appended}"
                try:
                    await log.append([append_of(event(stream), event(stream))])
                except (LogUnavailable, OutcomeUnknown):
                    await back.wait()
                    continue
                appended += 1
                if appended == 10:
                    writing.set()

        async with asyncio.TaskGroup() as group:
            for writer in range(3):
                group.create_task(write(writer))
            await writing.wait()
            await asyncio.to_thread(durable.crash)
            back.set()
        check(history, [await content_of(direct)]).require()
