"""Attacks the release of what the law holds, through the real gate: without a reason, with a stale etag, from another site."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relais.api.routing.v1 import routing_admin_pb2 as pb
from relais.contracts.routing import DocumentReleased
from tests.identity.edge import SECONDS, TENANT, refusal
from tests.routing.counter import DOCUMENT, Counter, open_counter
from tests.routing.given import EVERYTHING, OUTSIDE


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(tmp_path) as made:
        yield made


async def test_what_waits_is_listed_released_with_a_reason_and_gone(counter: Counter) -> None:
    await counter.activate("tenant", EVERYTHING)
    await counter.commit(await counter.verified("r1", "d1", flags=OUTSIDE))
    stub = await counter.stub()
    (held,) = (await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT), timeout=SECONDS)).held_documents
    assert (held.name, list(held.reasons), list(held.rules)) == (DOCUMENT, ["MATRIX_COMBINATION_UNKNOWN"], ["matrix.exhaustive"])
    unexplained = pb.ReleaseDocumentRequest(name=DOCUMENT)
    assert (await refusal(stub.ReleaseDocument(unexplained, timeout=SECONDS)))[0] == "REASON_MISSING"
    stale = pb.ReleaseDocumentRequest(name=DOCUMENT, reason="seen", etag="9")
    assert (await refusal(stub.ReleaseDocument(stale, timeout=SECONDS)))[0] == "ETAG_MISMATCH"
    answer = await stub.ReleaseDocument(pb.ReleaseDocumentRequest(name=DOCUMENT, reason="seen"), timeout=SECONDS)
    assert not answer.held
    (released,) = await counter.facts(DocumentReleased)
    assert released.reason == "seen"
    listed = await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT), timeout=SECONDS)
    assert list(listed.held_documents) == []
    again = pb.ReleaseDocumentRequest(name=DOCUMENT, reason="seen")
    assert (await refusal(stub.ReleaseDocument(again, timeout=SECONDS)))[0] == "STATE_CONFLICT"


async def test_a_release_without_a_policy_or_of_an_erased_subject_waits_on(counter: Counter) -> None:
    await counter.commit(await counter.verified("r1", "d1"))
    stub, request = await counter.stub(), pb.ReleaseDocumentRequest(name=DOCUMENT, reason="seen")
    assert (await refusal(stub.ReleaseDocument(request, timeout=SECONDS)))[0] == "STATE_CONFLICT"
    await counter.activate("tenant", EVERYTHING)
    await counter.keys.erase("chu", (await counter.subject()).subject)
    assert (await refusal(stub.ReleaseDocument(request, timeout=SECONDS)))[0] == "STATE_CONFLICT"
    assert await counter.facts(DocumentReleased) == []


async def test_a_caller_of_another_site_neither_sees_nor_releases_what_waits(counter: Counter) -> None:
    await counter.commit(await counter.verified("r1", "d1"))
    stub = await counter.stub("south")
    assert list((await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT), timeout=SECONDS)).held_documents) == []
    request = pb.ReleaseDocumentRequest(name=DOCUMENT, reason="x")
    assert (await refusal(stub.ReleaseDocument(request, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
