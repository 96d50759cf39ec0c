"""Attacks the desk of held documents through the real gate: evidence without a reason, statuses raised, stale etags, others' sites."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from relais.api.identity.v1 import identity_admin_pb2 as pb
from relais.api.identity.v1 import identity_admin_pb2_grpc
from relais.api.ingestion.v1.submission_pb2 import INS_STATUS_QUALIFIEE, INS_STATUS_UNSPECIFIED, INS_STATUS_VALIDEE
from relais.contracts import Fact, decode
from relais.contracts.access import DocumentRead
from relais.contracts.identity import IdentityRejected, IdentityReleased, LocalIdLinked
from relais.contracts.submission import InsStatus
from relais.eventlog.acts import Act
from relais.eventlog.memory import MemoryEventLog
from relais.eventlog.record import Append, Appended
from relais.identity.adapters.held import MemoryHeld
from relais.identity.adapters.insi import InsiNotConnected
from relais.identity.api.held import IdentityAdminService
from relais.identity.api.refusals import translate
from relais.identity.domain.errors import NotHeld
from relais.identity.held_desk import HeldDesk
from relais.testing.clock import ManualClock
from tests.identity.edge import SECONDS, TENANT, Edge, refusal, running
from tests.identity.given import INS, TEST_RULES, content, with_ins
from tests.identity.test_handlers import CountingLog, World

DISAGREES = content({"birth_family_name": "DURAND"})
WRONG_KEY = with_ins("279035121518988")
DOCUMENT = f"{TENANT}/documents/d1"


class Counter(World):
    """The world of the handler, whose log keeps the list of what waits, and a server with the desk on top."""

    def __init__(self) -> None:
        self.held = MemoryHeld()
        super().__init__(CountingLog("identity", ManualClock(), apply_work=self.held.apply))
        self.rung = 0
        self.edge: Edge | None = None

    def ring(self) -> None:
        self.rung += 1

    async def stub(self, caller: str = "admin") -> Any:
        assert self.edge is not None
        return identity_admin_pb2_grpc.IdentityAdminServiceStub(await self.edge.channel(caller))

    async def facts(self, kind: type[Fact]) -> list[Any]:
        return [fact for event in await self.log.read(0) if isinstance(fact := decode(event.tag, event.payload), kind)]


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    made = Counter()
    desk = HeldDesk(made.log, made.keys, InsiNotConnected(), TEST_RULES, made.ring)
    build = lambda ground: [IdentityAdminService(desk, made.held, ground.recorder, ground.pages).offer()]  # noqa: E731
    async with running(tmp_path, made.log, translate, build) as edge:
        made.edge = edge
        yield made


async def test_what_is_held_is_listed_with_codes_only(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"), await counter.received(content(), "d2", "r2"))
    answer = await (await counter.stub()).ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT), timeout=SECONDS)
    (held,) = answer.held_documents
    assert (held.name, held.site, list(held.reasons), list(held.fields)) == (
        DOCUMENT, "site-a", ["IDENTITY_DISAGREES"], ["birth_family_name"],
    )  # fmt: skip
    assert "DURAND" not in str(answer)


async def test_pages_and_filters_show_each_document_once(counter: Counter) -> None:
    await counter.commit(*[await counter.received(DISAGREES, f"d{number}", f"r{number}") for number in range(5)])
    await counter.commit(await counter.received(WRONG_KEY, "d9", "r9"))
    stub, token, seen = await counter.stub(), "", []
    while True:
        page = await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT, page_size=2, page_token=token), timeout=SECONDS)
        seen += [held.name.rpartition("/")[2] for held in page.held_documents]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["d0", "d1", "d2", "d3", "d4", "d9"]
    narrowed = await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT, filter="reason = INS_KEY_WRONG"), timeout=SECONDS)
    assert [held.name for held in narrowed.held_documents] == [f"{TENANT}/documents/d9"]
    for filter_ in ("reason = NOBODY", "reason = INS_KEY_WRONG AND reason = INS_KEY_WRONG", "birth = 1"):
        request = pb.ListHeldDocumentsRequest(parent=TENANT, filter=filter_)
        assert (await refusal(stub.ListHeldDocuments(request, timeout=SECONDS)))[0] == "FILTER_INVALID"


async def test_a_caller_of_another_site_sees_and_touches_nothing(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    stub = await counter.stub("south")
    answer = await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT), timeout=SECONDS)
    assert list(answer.held_documents) == []
    for call in (
        stub.GetEvidence(pb.GetEvidenceRequest(name=DOCUMENT, reason="look"), timeout=SECONDS),
        stub.ReleaseDocument(pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=INS_STATUS_VALIDEE, reason="x"), timeout=SECONDS),
        stub.RejectDocument(pb.RejectDocumentRequest(name=f"{TENANT}/documents/none", reason="x"), timeout=SECONDS),
    ):
        assert (await refusal(call))[0] == "RESOURCE_FOREIGN"
    foreign = await counter.stub("foreign")
    request = pb.RejectDocumentRequest(name=DOCUMENT, reason="x")
    assert (await refusal(foreign.RejectDocument(request, timeout=SECONDS)))[0] == "RESOURCE_FOREIGN"
    assert await counter.facts(IdentityReleased) == []


async def test_evidence_needs_a_reason_and_is_a_fact_before_it_is_answered(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    stub = await counter.stub()
    assert (await refusal(stub.GetEvidence(pb.GetEvidenceRequest(name=DOCUMENT), timeout=SECONDS)))[0] == "REASON_MISSING"
    assert await counter.facts(DocumentRead) == []
    evidence = await stub.GetEvidence(pb.GetEvidenceRequest(name=DOCUMENT, reason="identitovigilance"), timeout=SECONDS)
    said = {one.field: (one.declared, one.documented, one.agrees) for one in evidence.comparisons}
    assert said["birth_family_name"] == ("DURAND", "PAT-TROIS (BR) | DUPONT (CL)", False)
    assert said["matricule"] == (INS, INS, True)
    (read,) = await counter.facts(DocumentRead)
    assert (read.documents, read.revealed, read.reason) == (("d1",), True, "identitovigilance")


async def test_a_release_is_a_fact_with_its_actor_and_takes_the_document_off_the_list(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    stub = await counter.stub()
    request = pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=INS_STATUS_QUALIFIEE, reason="typing error")
    answer = await stub.ReleaseDocument(request, timeout=SECONDS)
    assert answer.state == pb.HeldDocument.STATE_RELEASED
    (released,) = await counter.facts(IdentityReleased)
    assert (released.ins_status, released.reason) == (InsStatus.QUALIFIEE, "typing error")
    events = await counter.log.read(0)
    assert counter.edge is not None
    assert events[-1].actor == counter.edge.callers["admin"].credential
    assert counter.rung == 1
    listed = await stub.ListHeldDocuments(pb.ListHeldDocumentsRequest(parent=TENANT), timeout=SECONDS)
    assert list(listed.held_documents) == []
    assert (await refusal(stub.ReleaseDocument(request, timeout=SECONDS)))[0] == "STATE_CONFLICT"


async def test_a_release_as_qualified_takes_the_local_id_and_the_next_document_agrees(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    request = pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=INS_STATUS_QUALIFIEE, reason="typing error")
    await (await counter.stub()).ReleaseDocument(request, timeout=SECONDS)
    assert len(await counter.facts(LocalIdLinked)) == 1
    other = msgspec.structs.replace(with_ins("277076322082910"), identity=msgspec.structs.replace(
        with_ins("277076322082910").identity, local_id="1234567890121", local_id_authority="1.2.3.4.567.8.9.10",
    ))  # fmt: skip
    (held,) = await counter.commit(await counter.received(other, "d2", "r2"))
    assert "LOCAL_ID_WITH_ANOTHER_INS" in str(held)


async def test_no_release_raises_a_status_or_leaves_it_unsaid(counter: Counter) -> None:
    await counter.commit(await counter.received(WRONG_KEY, "d1", "r1"))
    stub = await counter.stub()
    for status, reason in ((INS_STATUS_QUALIFIEE, "sure"), (INS_STATUS_UNSPECIFIED, "sure")):
        request = pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=status, reason=reason)
        assert await refusal(stub.ReleaseDocument(request, timeout=SECONDS)) == ("FIELD_INVALID", ["ins_status"])
    request = pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=INS_STATUS_VALIDEE, reason=" ")
    assert (await refusal(stub.ReleaseDocument(request, timeout=SECONDS)))[0] == "REASON_MISSING"
    assert await counter.facts(IdentityReleased) == []


async def test_a_stale_etag_decides_nothing(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    stub = await counter.stub()
    stale = pb.RejectDocumentRequest(name=DOCUMENT, reason="x", etag="17")
    assert (await refusal(stub.RejectDocument(stale, timeout=SECONDS)))[0] == "ETAG_MISMATCH"
    fresh = await stub.RejectDocument(pb.RejectDocumentRequest(name=DOCUMENT, reason="another patient", etag="1"), timeout=SECONDS)
    assert fresh.state == pb.HeldDocument.STATE_REJECTED
    assert [fact.reason for fact in await counter.facts(IdentityRejected)] == ["another patient"]


async def test_an_erased_subject_can_be_neither_seen_nor_released_but_rejected(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    subject = (await counter.subject()).subject
    assert isinstance(subject, UUID)
    await counter.keys.erase("chu", subject)
    stub = await counter.stub()
    evidence = pb.GetEvidenceRequest(name=DOCUMENT, reason="look")
    assert (await refusal(stub.GetEvidence(evidence, timeout=SECONDS)))[0] == "SUBJECT_ERASED"
    release = pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=INS_STATUS_VALIDEE, reason="x")
    assert (await refusal(stub.ReleaseDocument(release, timeout=SECONDS)))[0] == "STATE_CONFLICT"
    answer = await stub.RejectDocument(pb.RejectDocumentRequest(name=DOCUMENT, reason="erased"), timeout=SECONDS)
    assert answer.state == pb.HeldDocument.STATE_REJECTED


async def test_a_document_that_was_never_held_is_not_found(counter: Counter) -> None:
    await counter.commit(await counter.received(content(), "d1", "r1"))
    request = pb.RejectDocumentRequest(name=DOCUMENT, reason="x")
    assert (await refusal((await counter.stub()).RejectDocument(request, timeout=SECONDS)))[0] == "RESOURCE_NOT_FOUND"


async def test_a_second_hold_on_one_document_is_released_with_the_first(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"), await counter.received(DISAGREES, "d1", "r2", later=True))
    request = pb.ReleaseDocumentRequest(name=DOCUMENT, ins_status=INS_STATUS_VALIDEE, reason="seen")
    await (await counter.stub()).ReleaseDocument(request, timeout=SECONDS)
    assert [fact.submission.request for fact in await counter.facts(IdentityReleased)] == ["r1", "r2"]


class RivalLog(MemoryEventLog):
    """A log where somebody else rejects the document just before the first append of a desk."""

    def __init__(self, counter: Counter) -> None:
        super().__init__("identity", ManualClock())
        self._streams = counter.log._streams
        self._rival = HeldDesk(counter.log, counter.keys, InsiNotConnected(), TEST_RULES, counter.ring)
        self._counter = counter
        self.calls = 0

    async def append(self, appends: Sequence[Append], **options: Any) -> list[Appended]:
        self.calls += 1
        if self.calls == 1:
            await self._rival.reject(Act("chu", "x509:rival"), "d1", "another patient", "")
        return await self._counter.log.append(appends, **options)


async def test_somebody_who_decided_just_before_is_seen_on_the_second_try(counter: Counter) -> None:
    await counter.commit(await counter.received(DISAGREES, "d1", "r1"))
    rivals = RivalLog(counter)
    desk = HeldDesk(rivals, counter.keys, InsiNotConnected(), TEST_RULES, counter.ring)
    with pytest.raises(NotHeld):
        await desk.release(Act("chu", "x509:admin"), "d1", None, "typing error", "")
    assert rivals.calls == 1
    assert await counter.facts(IdentityReleased) == []
    assert len(await counter.facts(IdentityRejected)) == 1
