"""One suite for the list of what waits, in memory and in Postgres behind the real log: order, pages, filters, closing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from uuid import uuid4

import pytest

from relais.eventlog.log import EventLog
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.migrations import migrate_log, service_migrations
from relais.eventlog.postgres import PostgresEventLog, open_pool
from relais.eventlog.record import Append, NewEvent
from relais.routing.adapters.held import MemoryHeld, PostgresHeld
from relais.routing.ports import Held
from relais.testing.clock import ManualClock
from relais.testing.postgres import TestPostgres

Place = tuple[EventLog, Held]


@pytest.fixture(params=["memory", "postgres"])
async def place(request: pytest.FixtureRequest, postgres: TestPostgres) -> AsyncIterator[Place]:
    if request.param == "memory":
        held = MemoryHeld()
        yield MemoryEventLog("routing", ManualClock(), apply_work=held.apply), held
        return
    async with postgres.database() as name:
        folder = resources.files("relais.routing").joinpath("migrations")
        await migrate_log(postgres.dsn(name, "relais_owner"), "routing", "relais_routing", service_migrations("routing", folder))
        async with await open_pool(postgres.dsn(name, "relais_routing"), connections_maximum=2, application="test") as pool:
            yield PostgresEventLog(pool, "routing"), PostgresHeld(pool)


def row(document: str, request: str = "r1", **changes: Any) -> dict[str, object]:
    given: dict[str, object] = {
        "op": "held",
        "tenant": "chu",
        "document": document,
        "request": request,
        "site": "site-a",
        "type_code": "11502-2",
        "reasons": ["MATRIX_COMBINATION_UNKNOWN"],
        "rules": ["matrix.exhaustive"],
        "held_at": "2026-05-01T08:00:00+00:00",
    }
    return {**given, **changes}


async def store(log: EventLog, *rows: dict[str, object]) -> None:
    event = NewEvent("chu", str(rows[0]["document"]), "routing.rejection_noted.v1", b"{}", uuid4(), 0, "test")
    await log.append([Append((event,), work=rows)])


async def listed(
    held: Held, *, sites: tuple[str, ...] = (), reasons: tuple[str, ...] = (), limit: int = 50, after: Any = None
) -> list[str]:
    return [one.document for one in await held.list("chu", sites, reasons, limit, after)]


async def test_the_oldest_comes_first_and_pages_go_on_after_the_last(place: Place) -> None:
    log, held = place
    await store(log, row("d2", held_at="2026-05-02T08:00:00+00:00"))
    await store(log, row("d3"), row("d1"))
    assert await listed(held) == ["d1", "d3", "d2"]
    assert await listed(held, limit=2) == ["d1", "d3"]
    assert await listed(held, after=(datetime(2026, 5, 1, 8, tzinfo=UTC), "d3")) == ["d2"]


async def test_two_requests_of_one_document_are_one_entry_with_all_reasons(place: Place) -> None:
    log, held = place
    await store(log, row("d1"), row("d1", "r2", reasons=["POLICY_MISSING"], rules=["policy.required"], held_at="2026-05-03T08:00:00+00:00"))
    (one,) = await held.list("chu", (), (), 50, None)
    assert (one.reasons, one.rules, one.held_at) == (
        ("MATRIX_COMBINATION_UNKNOWN", "POLICY_MISSING"), ("matrix.exhaustive", "policy.required"), datetime(2026, 5, 1, 8, tzinfo=UTC),
    )  # fmt: skip


async def test_what_is_decided_leaves_the_list_and_nothing_else_does(place: Place) -> None:
    log, held = place
    await store(log, row("d1"), row("d1", "r2"), row("d2"))
    await store(log, {"op": "closed", "tenant": "chu", "document": "d1", "request": "r1"})
    assert await listed(held) == ["d1", "d2"]
    await store(log, {"op": "closed", "tenant": "chu", "document": "d1", "request": "r2"})
    assert await listed(held) == ["d2"]


async def test_a_batch_may_hold_and_decide_and_a_repeat_overwrites(place: Place) -> None:
    log, held = place
    await store(log, row("d1"), {"op": "closed", "tenant": "chu", "document": "d1", "request": "r1"}, row("d2"), row("d2"))
    assert await listed(held) == ["d2"]


async def test_sites_reasons_and_tenants_narrow(place: Place) -> None:
    log, held = place
    await store(log, row("d1"), row("d2", site="site-b", reasons=["POLICY_MISSING"]), row("d3", tenant="clinic"))
    assert await listed(held, sites=("site-b",)) == ["d2"]
    assert await listed(held, sites=("-",)) == []
    assert await listed(held, reasons=("MATRIX_COMBINATION_UNKNOWN",)) == ["d1"]
    assert [one.document for one in await held.list("clinic", (), (), 50, None)] == ["d3"]


async def test_a_rejected_document_leaves_the_list_with_all_its_requests(place: Place) -> None:
    log, held = place
    await store(log, row("d1"), row("d1", "r2"), row("d2"))
    await store(log, {"op": "closed", "tenant": "chu", "document": "d1", "request": None})
    assert await listed(held) == ["d2"]
