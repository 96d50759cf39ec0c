"""Attacks tracing: one submission is one trace, from the receipt to the last partner, through every service."""

import json
import time
from typing import Any

import pytest

from relais.client.audit import Event
from relais.client.words import id_of
from relais.clock import SystemClock
from relais.embedded.stack import Stack
from relais.sandbox.cda import generate
from tests.journey.conftest import trace_file
from tests.journey.given import submission_of
from tests.journey.hospital import Hospital, outcome, sent

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

EXPORT_SECONDS = 20.0
POLL_SECONDS = 0.1
SERVICES = {"relais-ingestion", "relais-identity", "relais-routing", "relais-delivery"}


def spans_of(stack: Stack, trace: str) -> list[dict[str, Any]]:
    """The spans that belong to a trace, or are linked to it because their batch held facts of several."""
    lines = trace_file(stack).read_text().splitlines()
    spans = [json.loads(line) for line in lines if trace in line]
    return [span for span in spans if span["trace"] == trace or any(link.startswith(trace) for link in span["links"])]


def roots_of(spans: list[dict[str, Any]], trace: str) -> list[dict[str, Any]]:
    """Where a trace begins."""
    return [span for span in spans if span["trace"] == trace and not span["parent"]]


async def spans_by_every_service(stack: Stack, trace: str) -> list[dict[str, Any]]:
    """The spans of a trace once every service has told of it, its beginning included.

    They are handed over within a second or so, at no fixed moment and in no order.
    """
    clock, deadline = SystemClock(), time.monotonic() + EXPORT_SECONDS
    while True:
        found = spans_of(stack, trace)
        told = {span["service"] for span in found}
        if told >= SERVICES and roots_of(found, trace):
            return found
        assert time.monotonic() < deadline, f"only {sorted(told)} told of the submission"
        await clock.sleep(POLL_SECONDS)


async def facts_of(hospital: Hospital, document: str) -> list[Event]:
    """Every fact about a document, of every log."""
    async with hospital.as_operator() as operator:
        found = [event for log in ("ingestion", "identity", "routing") for event in await operator.audit(log).stream(document)]
        for ordinal in (1, 2, 3):
            found += await operator.audit("delivery").stream(f"{document}/{ordinal}")
    return found


async def test_one_submission_is_one_trace_through_every_service(hospital: Hospital) -> None:
    traces = []
    for seed in (3001, 3002):
        document = generate(seed)
        async with sent(hospital, document, submission_of(document)) as (sender, receipt):
            await outcome(sender, receipt.document, "DONE")
        facts = await facts_of(hospital, id_of(receipt.document))
        assert {event.log for event in facts} == {"ingestion", "identity", "routing", "delivery"}
        (trace,) = {event.traceparent.split("-")[1] for event in facts}
        traces.append(trace)
    assert len(set(traces)) == 2

    for trace in traces:
        spans = await spans_by_every_service(hospital.stack, trace)
        assert [span["service"] for span in roots_of(spans, trace)] == ["relais-ingestion"]
        assert all(span["end_ns"] >= span["begin_ns"] for span in spans)
