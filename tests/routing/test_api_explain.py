"""Attacks ExplainRoute through the real gate: made-up cases with anything unsaid, others' documents, reads that leave no fact."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relais.api.ingestion.v1 import submission_pb2
from relais.api.routing.v1 import routing_admin_pb2 as pb
from relais.contracts.access import DocumentRead
from tests.identity.edge import SECONDS, TENANT, refusal
from tests.routing.counter import DOCUMENT, Counter, open_counter
from tests.routing.given import EVERYTHING


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(tmp_path) as made:
        yield made


def dry_run(**fields: Any) -> pb.ExplainRouteRequest:
    flags = dict.fromkeys(submission_pb2.Flags.DESCRIPTOR.fields_by_name, submission_pb2.FLAG_NO)
    flags |= dict.fromkeys(("destdmp", "destmssanteps", "destmssantepat"), submission_pb2.FLAG_YES) | fields.pop("flags", {})
    given: dict[str, Any] = {
        "site": "site-a",
        "flags": submission_pb2.Flags(**flags),
        "type_code": "11502-2",
        "ins_status": submission_pb2.INS_STATUS_QUALIFIEE,
        "dmp_feeding_opposition": submission_pb2.OPPOSITION_NO,
        "recipients": [submission_pb2.RECIPIENT_KIND_PROFESSIONAL],
        "patient_age_years": 40,
    }
    return pb.ExplainRouteRequest(parent=TENANT, dry_run=pb.RouteCase(**{**given, **fields}))


async def test_a_made_up_case_is_decided_by_the_active_policy_and_stored_nowhere(counter: Counter) -> None:
    await counter.activate("tenant", EVERYTHING)
    head = await counter.log.head()
    answer = await (await counter.stub()).ExplainRoute(dry_run(), timeout=SECONDS)
    assert [(one.kind, one.planned, one.rule) for one in answer.destinations] == [
        (pb.DESTINATION_KIND_DMP, True, "dmp.feed"),
        (pb.DESTINATION_KIND_MSSANTE_PATIENT, True, "matrix.row_1"),
        (pb.DESTINATION_KIND_MSSANTE_PROFESSIONAL, True, "matrix.row_1"),
    ]
    assert answer.policy == f"{TENANT}/policies/tenant/versions/1"
    assert not answer.HasField("decide_time")
    assert await counter.log.head() == head


@pytest.mark.parametrize(("age", "held"), [(17, ["MINOR_OR_AGE_UNKNOWN"]), (18, []), (None, ["MINOR_OR_AGE_UNKNOWN"])])
async def test_a_made_up_age_counts_as_an_age(counter: Counter, age: int | None, held: list[str]) -> None:
    await counter.activate("tenant", EVERYTHING)
    row_3 = {"invisible_rep_legaux": submission_pb2.FLAG_YES} | dict.fromkeys(("destdmp", "destmssanteps"), submission_pb2.FLAG_NO)
    request = dry_run(flags=row_3, recipients=[], patient_age_years=age)
    answer = await (await counter.stub()).ExplainRoute(request, timeout=SECONDS)
    assert list(answer.hold_reasons) == held


async def test_a_made_up_case_with_anything_unsaid_names_every_field(counter: Counter) -> None:
    request = dry_run(
        flags={"masque_ps": submission_pb2.FLAG_UNSPECIFIED},
        type_code="",
        ins_status=submission_pb2.INS_STATUS_UNSPECIFIED,
        recipients=[submission_pb2.RECIPIENT_KIND_UNSPECIFIED],
        patient_age_years=-1,
    )
    reason, fields = await refusal((await counter.stub()).ExplainRoute(request, timeout=SECONDS))
    assert reason == "FIELD_INVALID"
    assert set(fields) == {
        "dry_run.flags.masque_ps", "dry_run.ins_status", "dry_run.recipients[0]", "dry_run.type_code", "dry_run.patient_age_years",
    }  # fmt: skip
    assert await refusal((await counter.stub()).ExplainRoute(pb.ExplainRouteRequest(parent=TENANT), timeout=SECONDS)) == (
        "FIELD_INVALID", ["subject"],
    )  # fmt: skip


async def test_the_recorded_decision_of_a_document_is_told_and_the_read_is_a_fact(counter: Counter) -> None:
    await counter.activate("tenant", EVERYTHING)
    await counter.commit(await counter.verified("r1", "d1"))
    answer = await (await counter.stub()).ExplainRoute(pb.ExplainRouteRequest(parent=TENANT, document=DOCUMENT), timeout=SECONDS)
    assert [(one.ordinal, one.planned, one.endpoint) for one in answer.destinations] == [
        (1, True, "sink-dmp"),
        (2, True, "sink-mssante_patient"),
        (3, True, "sink-mssante_professional"),
    ]
    assert answer.HasField("decide_time")
    (read,) = await counter.facts(DocumentRead)
    assert read.documents == ("d1",)


async def test_others_documents_and_sites_are_not_explained(counter: Counter) -> None:
    await counter.activate("tenant", EVERYTHING)
    await counter.commit(await counter.verified("r1", "d1"))
    ours = pb.ExplainRouteRequest(parent=TENANT, document=DOCUMENT)
    south, foreign = await counter.stub("south"), await counter.stub("foreign")
    assert (await refusal(south.ExplainRoute(ours, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    assert (await refusal(south.ExplainRoute(dry_run(), timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    assert (await refusal(foreign.ExplainRoute(ours, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    smuggled = pb.ExplainRouteRequest(parent="tenants/clinic", document=DOCUMENT)
    assert (await refusal(foreign.ExplainRoute(smuggled, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    unknown = pb.ExplainRouteRequest(parent=TENANT, document=f"{TENANT}/documents/none")
    assert (await refusal((await counter.stub()).ExplainRoute(unknown, timeout=SECONDS)))[0] == "RESOURCE_NOT_FOUND"
    assert await counter.facts(DocumentRead) == []
