"""The event log in Postgres passes the suite of the event log, and keeps its promises against the service's own role and the owner."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relais.testing.eventlog_machine import check_against_model
from relais.testing.eventlog_place import LogPlace
from relais.testing.eventlog_suite import EventLogSuite
from relais.testing.postgres import TestPostgres
from tests.shared.eventlog_postgres import log_pool, place_on


class TestPostgresEventLog(EventLogSuite):
    @pytest.fixture
    async def place(self, postgres: TestPostgres) -> AsyncIterator[LogPlace]:
        async with log_pool(postgres) as pool:
            yield place_on(pool)

    def test_it_behaves_like_the_model_whatever_is_done_to_it(self, postgres: TestPostgres) -> None:
        @asynccontextmanager
        async def opened() -> AsyncIterator[LogPlace]:
            async with log_pool(postgres) as pool:
                yield place_on(pool)

        check_against_model(opened, examples_maximum=20)
