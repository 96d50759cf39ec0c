"""Attacks the read model where it is kept: on real Postgres no request may hide behind another, in whatever order the logs speak."""

import json
from collections.abc import AsyncIterator
from importlib import resources
from itertools import permutations

import asyncpg
import pytest

from relais.contracts import Fact
from relais.contracts.delivery import DeliveryAbandoned, DeliveryDeferred, DeliveryReinstated, DeliverySucceeded
from relais.contracts.identity import IdentityHeld, IdentityRejected, IdentityReleased, IdentityVerified
from relais.contracts.reasons import AbandonReason, HoldReason
from relais.contracts.routing import DestinationKind, DocumentHeld, DocumentReleased, PlannedDestination, RoutePlanned
from relais.contracts.submission import InsStatus
from relais.eventlog.migrations import migrate_log, service_migrations
from relais.ingestion.adapters.postgres import PostgresJourneys
from relais.ingestion.journeys import Row, delta_of, received_row
from relais.testing.postgres import TestPostgres
from relais.vault.migrations import migrate_vault
from tests.ingestion.test_domain import submission

TENANT = "chu"
AT = "2026-01-01T00:00:00+00:00"
QUALIFIED = InsStatus.QUALIFIEE
DISAGREES = (HoldReason.IDENTITY_DISAGREES,)


def verified(request: str) -> Fact:
    return IdentityVerified(submission=submission(request), ins_status=QUALIFIED)


def planned(request: str, *ordinals: int) -> Fact:
    destinations = tuple(
        PlannedDestination(ordinal=n, kind=DestinationKind.DMP, connector="https", endpoint="e", key=b"", rule="R") for n in ordinals
    )
    return RoutePlanned(
        submission=submission(request), ins_status=QUALIFIED, destinations=destinations, policy="p", policy_version=1, matrix="m"
    )


def delivered(ordinal: int) -> Fact:
    return DeliverySucceeded(document="d", ordinal=ordinal, attempt=1, endpoint="e", status="200")


def deferred(ordinal: int) -> Fact:
    return DeliveryDeferred(document="d", ordinal=ordinal, attempt=1, endpoint="e", code="503", due_at=AT)


async def _migrated(dsn: str) -> None:
    await migrate_vault(dsn)
    folder = resources.files("relais.ingestion").joinpath("migrations")
    await migrate_log(dsn, "ingestion", "relais_ingestion", service_migrations("ingestion", folder))


@pytest.fixture
async def pool(postgres: TestPostgres) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    template = await postgres.template("ingestion_journeys", _migrated)
    async with postgres.database(template) as name, asyncpg.create_pool(postgres.dsn(name), min_size=1, max_size=2) as pool:
        yield pool


async def state_after(pool: "asyncpg.Pool[asyncpg.Record]", *said: str | Fact) -> str:
    """The document's state once intake took these requests in (strings) and the logs said these facts, in this order."""
    await pool.execute("DELETE FROM ingestion.journey")
    for position, one in enumerate(said, start=1):
        row: Row | None
        if isinstance(one, str):
            row = received_row(TENANT, submission(one), "ingestion.document_received.v1")
        else:
            row = delta_of(one, one.TAG.partition(".")[0], position, AT)
        assert row is not None
        await pool.execute("SELECT ingestion.apply_work($1::jsonb)", json.dumps([{**row, "tenant": TENANT}]))
    journey = await PostgresJourneys(pool).get(TENANT, "d")
    assert journey is not None
    assert journey.request == said[0]
    return journey.state


async def test_a_document_says_how_far_it_is(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    assert await state_after(pool, "r1") == "RECEIVED"
    assert await state_after(pool, "r1", verified("r1")) == "VERIFIED"
    assert await state_after(pool, "r1", verified("r1"), planned("r1", 1)) == "DELIVERING"
    assert await state_after(pool, "r1", verified("r1"), planned("r1", 1, 2), delivered(1), deferred(2)) == "WAITING"
    assert await state_after(pool, "r1", verified("r1"), planned("r1", 1), deferred(1), delivered(1)) == "DONE"
    assert await state_after(pool, "r1", verified("r1"), planned("r1")) == "DONE"


async def test_a_document_that_was_done_is_under_way_again_once_it_is_asked_for_again(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    done = ("r1", verified("r1"), planned("r1", 1), delivered(1))
    assert await state_after(pool, *done) == "DONE"
    assert await state_after(pool, *done, "r2") == "RECEIVED"
    assert await state_after(pool, *done, "r2", verified("r2")) == "VERIFIED"
    assert await state_after(pool, *done, "r2", verified("r2"), planned("r2", 2)) == "DELIVERING"
    assert await state_after(pool, *done, "r2", verified("r2"), planned("r2", 2), delivered(2)) == "DONE"


async def test_a_request_that_is_held_is_not_hidden_by_a_later_one_that_was_carried(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    held = IdentityHeld(submission=submission("r1"), reasons=DISAGREES)
    carried = ("r2", verified("r2"), planned("r2", 1), delivered(1))
    assert await state_after(pool, "r1", held, *carried) == "HELD"
    released = IdentityReleased(submission=submission("r1"), ins_status=QUALIFIED, reason="checked")
    assert await state_after(pool, "r1", held, *carried, released) == "VERIFIED"
    assert await state_after(pool, "r1", held, *carried, released, planned("r1")) == "DONE"
    assert await state_after(pool, "r1", held, IdentityRejected(document="d", request="r1", reason="another's")) == "REJECTED"


async def test_a_hold_of_routing_stands_until_it_is_released(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    held = DocumentHeld(
        submission=submission("r1"), ins_status=QUALIFIED, reasons=(HoldReason.MINOR_OR_AGE_UNKNOWN,), rules=("patient.representatives",)
    )
    partly = ("r1", verified("r1"), held, planned("r1", 1), delivered(1))
    assert await state_after(pool, *partly) == "HELD"
    assert await state_after(pool, *partly, DocumentReleased(document="d", request="r1", reason="asked")) == "DONE"


async def test_a_destination_that_a_doubt_stopped_is_awaited_again_when_it_is_lifted(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    stopped = DeliveryAbandoned(document="d", ordinal=1, attempt=1, endpoint="e", reason=AbandonReason.IDENTITY_NO_LONGER_RELEASED)
    said = ("r1", verified("r1"), planned("r1", 1), deferred(1), stopped)
    assert await state_after(pool, *said) == "DONE"
    goes_on = DeliveryReinstated(document="d", ordinal=1, attempt=1, due_at=AT)
    assert await state_after(pool, *said, goes_on) == "WAITING"
    assert await state_after(pool, *said, goes_on, delivered(1)) == "DONE"


async def test_the_state_does_not_depend_on_which_log_speaks_first(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    later = (verified("r1"), planned("r1", 1), delivered(1))
    assert {await state_after(pool, "r1", *order) for order in permutations(later)} == {"DONE"}
