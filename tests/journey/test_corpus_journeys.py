"""Attacks the whole stack with the 71 real-world CDA: each must end as `corpus_expected.csv` says, which was reasoned by hand.

The submissions are made from the headers by a reader that shares no code with the product, with the common full set of flags, and
they travel through the public API. What happened is read back from the logs, as an auditor would. For a held document the
expectation goes on with what the law would refuse to the DMP, were its identity verified.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
import pytest

from relais.client.audit import CaughtUp, Event, Question
from relais.client.client import RelaisClient
from relais.client.document_records import Document, Receipt, Submission
from relais.client.errors import Invalid
from relais.client.routing import RouteCase
from relais.client.words import id_of
from relais.contracts.submission import DeclaredIdentity, InsStatus, Opposition, Professional
from relais.demo.cast import EVERYWHERE
from relais.embedded.stack import Stack
from tests.journey.corpus_reader import ReadDocument, read_corpus
from tests.journey.given import DOCTOR
from tests.journey.hospital import found, outcome
from tests.journey.partners import Partners

pytestmark = [pytest.mark.stack, pytest.mark.corpus, pytest.mark.timeout(300)]

EXPECTED = Path(__file__).parent / "corpus_expected.csv"
ADULT_YEARS = 40


@dataclass
class Said:
    """What the logs say of one document: the services' own reasons and rules, in the order in which they found them."""

    held_reasons: list[str] = field(default_factory=list)
    held_rules: list[str] = field(default_factory=list)
    suppressed: list[tuple[str, str]] = field(default_factory=list)


def submission_from(document: ReadDocument, site: str) -> Submission:
    """What the sending system would declare; no local id, for the corpus gives one to several invented patients."""
    return Submission(
        request_id=str(uuid5(NAMESPACE_URL, document.file)),
        site=site,
        patient=DeclaredIdentity(
            ins=document.ins,
            ins_oid=document.ins_oid,
            ins_status=InsStatus.QUALIFIEE,
            birth_family_name=document.birth_family_name,
            first_birth_given_name=document.first_birth_given_name,
            given_names=document.given_names,
            sex=document.sex,
            birth_date=document.birth_date,
            birth_place=document.birth_place,
        ),
        flags=EVERYWHERE,
        opposition=Opposition.NO,
        professional=Professional(identifier=document.professional.identifier or "inconnu"),
        recipients=(DOCTOR,),
    )


async def sent_all(client: RelaisClient, documents: list[ReadDocument]) -> dict[str, Receipt]:
    """All of them over one bulk stream; receipts by file."""
    async with client.documents.bulk() as bulk:
        answers = {each.file: await bulk.send(submission_from(each, "site-a"), each.body) for each in documents}
        return {file: await answer for file, answer in answers.items()}


async def said_by_the_logs(operator: RelaisClient) -> dict[str, Said]:
    """What identity and routing recorded, by document id."""
    found: dict[str, Said] = defaultdict(Said)
    for log, tags in (("identity", ("identity.held.v1",)), ("routing", ("routing.document_held.v1", "routing.suppressed.v1"))):
        async for frame in operator.audit(log).read(Question(tags=tags)):
            if isinstance(frame, CaughtUp):
                break
            if isinstance(frame, Event):
                _read(found[frame.stream], msgspec.json.decode(frame.payload))
    return found


def _read(said: Said, fact: dict[str, Any]) -> None:
    said.held_reasons += fact.get("reasons", ())
    said.held_rules += fact.get("rules", ())
    said.suppressed += [(one["reason"], one["rule"]) for one in fact.get("suppressed", ())]


@pytest.fixture
def expected() -> dict[str, tuple[str, list[str], list[str]]]:
    with EXPECTED.open(encoding="utf-8") as file:
        return {row["file"]: (row["outcome"], row["reason"].split(), row["rule"].split()) for row in csv.DictReader(file)}


async def test_every_document_of_the_corpus_ends_as_expected_and_arrives_as_sent(
    journey_stack: Stack, corpus: Path, expected: dict[str, tuple[str, list[str], list[str]]]
) -> None:
    hospital = await found(journey_stack, "corpus")
    documents = read_corpus(corpus)
    async with hospital.as_sender() as sender, hospital.as_operator() as operator:
        receipts = await sent_all(sender, documents)
        ended = {file: await outcome(sender, receipt.document) for file, receipt in receipts.items()}
        said = await said_by_the_logs(operator)
        decided = {}
        for file, document in ended.items():
            what = said[id_of(document.name)]
            refused = what.suppressed if document.state == "DONE" else await _would_be_refused(operator, document)
            outcome_word = "held" if document.state == "HELD" else "routed"
            reasons, rules = [reason for reason, _ in refused], [rule for _, rule in refused]
            decided[file] = (outcome_word, [*what.held_reasons, *reasons], [*what.held_rules, *rules])
    assert decided == expected

    partners = Partners(journey_stack)
    for one in documents:
        arrived = partners.have(id_of(receipts[one.file].document))
        delivered = [each.kind for each in ended[one.file].destinations if each.outcome == "SUCCEEDED"]
        assert len(arrived) == len(delivered), one.file
        assert len(arrived) >= 2 or ended[one.file].state == "HELD", one.file
        assert all(each.body == one.body and each.times == 1 for each in arrived), one.file
    assert partners.disbelieved() == []


async def test_a_person_who_releases_a_wrong_key_cannot_make_it_a_qualified_one(journey_stack: Stack, corpus: Path) -> None:
    hospital = await found(journey_stack, "corpus-released")
    documents = read_corpus(corpus)
    async with hospital.as_sender() as sender, hospital.as_operator() as operator:
        receipts = await sent_all(sender, documents)
        for receipt in receipts.values():
            await outcome(sender, receipt.document)
        held = [each.name async for each in operator.held_by_identity.list() if "INS_KEY_WRONG" in each.reasons]
        assert len(held) == 6
        for name in held:
            with pytest.raises(Invalid) as refused:
                await operator.held_by_identity.release(name, InsStatus.QUALIFIEE, "the key does not matter to us")
            assert [each.field for each in refused.value.violations] == ["ins_status"]
            assert not Partners(journey_stack).have(id_of(name))
            await operator.held_by_identity.release(name, InsStatus.VALIDEE, "an invented patient, looked at")
            done = await outcome(sender, name, "DONE")
            # Neither the DMP nor the patient: only the professional who was named.
            assert [one.endpoint for one in Partners(journey_stack).have(id_of(name))] == ["sandbox-two"]
            refusals = {each.kind: each.code for each in done.destinations if each.outcome == "SUPPRESSED"}
            assert refusals == {"dmp": "IDENTITY_NOT_QUALIFIED", "mssante_patient": "IDENTITY_NOT_QUALIFIED"}


async def _would_be_refused(operator: RelaisClient, document: Document) -> list[tuple[str, str]]:
    """What the law would refuse to this held document, were its identity verified: asked of `ExplainRoute` as a made-up case."""
    case = RouteCase(
        site=document.site,
        flags=EVERYWHERE,
        type_code=document.type_code,
        ins_status=InsStatus.QUALIFIEE,
        opposition=Opposition.NO,
        recipients=(DOCTOR.kind,),
        patient_age_years=ADULT_YEARS,
    )
    explained = await operator.routing.explain_case(case)
    return [(each.suppress_reason, each.rule) for each in explained.destinations if not each.planned]
