"""The event log in memory passes the suite of the event log, so that what is tested on it is tested."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import SealedChunk
from relais.testing.clock import ManualClock
from relais.testing.eventlog_machine import check_against_model
from relais.testing.eventlog_place import LogPlace, WorkRefused, append_of, chunk
from relais.testing.eventlog_suite import EventLogSuite


def apply_work(rows: Sequence[dict[str, object]]) -> None:
    if any(row.get("refuse") for row in rows):
        raise WorkRefused("refused by the service's function")


def memory_place() -> LogPlace:
    log = MemoryEventLog("ingestion", ManualClock(), apply_work=apply_work)

    async def stored_blobs() -> set[UUID]:
        return {stored.blob for stored in log.chunks}

    async def applied_work() -> list[dict[str, Any]]:
        return list(log.work)

    async def fence(consumer: str, of_log: str, partition: int, epoch: int) -> None:
        log.fence(consumer, of_log, partition, epoch)

    return LogPlace(log, stored_blobs, applied_work, fence)


class TestMemoryEventLog(EventLogSuite):
    @pytest.fixture
    def place(self) -> LogPlace:
        return memory_place()

    def test_it_behaves_like_the_model_whatever_is_done_to_it(self) -> None:
        @asynccontextmanager
        async def opened() -> AsyncIterator[LogPlace]:
            yield memory_place()

        check_against_model(opened)


async def test_bodies_are_handed_to_the_blob_store() -> None:
    received: list[SealedChunk] = []
    log = MemoryEventLog("ingestion", ManualClock(), insert_chunks=received.extend)
    given = append_of(chunks=(chunk(UUID(int=1), 0, last=False), chunk(UUID(int=1), 1)))
    await log.append([given])
    await log.append([given])
    assert received == list(given.chunks)
