"""Attacks the decisions with the 71 real-world CDA: who is held, who is routed where, and why, against an expectation made by hand.

`corpus_expected.csv` was reasoned from facts about the corpus (types against J66, keys by arithmetic, births against dates), not
from the product. One row a document: `outcome` is what happens, `reason` and `rule` say why, in the order in which they are found.
For a held document the list goes on with what the law would then refuse to the DMP, were its identity verified.

Submissions are made from the headers by a reader of the tests' own, with the common full set of flags. No local id is declared:
the corpus gives one local id to several invented patients, which a rule of its own holds, tested at the end.
"""

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from relais.contracts.deployment import Deployment
from relais.contracts.header import HeaderExtract
from relais.contracts.identity import IdentityHeld, IdentityVerified, LocalIdLinked
from relais.contracts.reasons import HoldReason
from relais.contracts.routing import DestinationKind, EndpointChoice, Policy
from relais.contracts.submission import (
    BodyReference,
    DeclaredIdentity,
    Flags,
    InsStatus,
    Opposition,
    Recipient,
    RecipientKind,
    SealedContent,
    Submission,
)
from relais.identity.domain import document as identity
from relais.identity.domain.examination import NOT_ASKED, Rules, examine
from relais.identity.domain.links import FREE, Link, Standing, evolve, mark_of, stream_of
from relais.ingestion.cda import read_header
from relais.routing.domain.case import Case, Judgement, Law, Verdict
from relais.routing.domain.judgement import judge
from relais.routing.domain.policy import ScopeState, effective
from relais.routing.law.tables import read_tables
from tests.journey.corpus_reader import ReadDocument, read_corpus

EXPECTED = Path(__file__).parent / "corpus_expected.csv"
RECIPIENT = Recipient(kind=RecipientKind.PROFESSIONAL, address="destinataire@test-ci-sis.mssante.fr")
FLAGS = Flags(
    masque_ps=False,
    invisible_patient=False,
    invisible_rep_legaux=False,
    connexion_secrete=False,
    modif_conf_code=False,
    destdmp=True,
    destmssanteps=True,
    destmssantepat=True,
    ack_reception=True,
    ack_lecture_mss=True,
)
ENDPOINTS = tuple(EndpointChoice(kind=kind, connector="https", endpoint="sink") for kind in DestinationKind)
POLICY = effective([("tenant", ScopeState({1: Policy(endpoints=ENDPOINTS)}, 1, 1, 2))])
LAW = Law(read_tables(), Deployment.TEST)


@dataclass(frozen=True)
class Expected:
    """One row of the expectation."""

    outcome: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...]


@pytest.fixture(scope="module")
def expected() -> dict[str, Expected]:
    with EXPECTED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["file"]: Expected(row["outcome"], tuple(row["reason"].split()), tuple(row["rule"].split())) for row in rows}


@pytest.fixture(scope="module")
def documents(corpus: Path) -> list[ReadDocument]:
    return read_corpus(corpus)


def declared(document: ReadDocument, *, local_id: bool = False) -> DeclaredIdentity:
    """The identity as the sending system would declare it."""
    return DeclaredIdentity(
        ins=document.ins,
        ins_oid=document.ins_oid,
        ins_status=InsStatus.QUALIFIEE,
        birth_family_name=document.birth_family_name,
        first_birth_given_name=document.first_birth_given_name,
        given_names=document.given_names,
        sex=document.sex,
        birth_date=document.birth_date,
        birth_place=document.birth_place,
        local_id=document.local_id if local_id else "",
        local_id_authority=document.local_id_authority if local_id else "",
    )


def sealed(document: ReadDocument, *, local_id: bool = False) -> SealedContent:
    """The sealed content: the product's reading of the header, the tests' own reading as the declaration."""
    return SealedContent(header=read_header(document.body), identity=declared(document, local_id=local_id), recipients=(RECIPIENT,))


def submission(header: HeaderExtract) -> Submission:
    return Submission(
        document="d",
        request="r1",
        site="site-a",
        sender="his",
        subject="s",
        type_code=header.type.code,
        flags=FLAGS,
        opposition=Opposition.NO,
        recipients_count=1,
        received_at="2026-05-01T08:00:00+00:00",
        body=BodyReference(blob="b", size=1, chunks=1, ciphertext_sha256=b""),
        sealed=b"",
    )


def identified(content: SealedContent, link: Link = FREE, mark: bytes = b"") -> IdentityVerified | IdentityHeld:
    """What identity decides of one document."""
    examination = examine(content, link, mark, NOT_ASKED, Rules(Deployment.TEST))
    command = identity.Verify(submission(content.header), examination, NOT_ASKED)
    (fact,) = identity.DOCUMENT.decide(command, identity.DOCUMENT.initial)
    assert isinstance(fact, IdentityVerified | IdentityHeld)
    return fact


def judged(content: SealedContent) -> Judgement:
    """What the law says of the route, the identity as declared."""
    case = Case(
        flags=FLAGS,
        opposition=Opposition.NO,
        status=content.identity.ins_status,
        type_code=content.header.type.code,
        header=content.header,
        identity=content.identity,
        recipients=content.recipients,
        day=date(2026, 5, 1),
    )
    return judge(case, LAW, POLICY)


def decided(content: SealedContent) -> Expected:
    """Both decisions in the words of the expectation."""
    fact = identified(content)
    judgement = judged(content)
    refused = [wish for wish in judgement.wishes if wish.verdict is not Verdict.PLANNED]
    reasons = [str(wish.suppressed or wish.held) for wish in refused]
    rules = [wish.rule for wish in refused]
    if isinstance(fact, IdentityHeld):
        return Expected("held", (*(reason.value for reason in fact.reasons), *reasons), (*fact.rules, *rules))
    return Expected("held" if judgement.holds_everything() else "routed", tuple(reasons), tuple(rules))


@pytest.mark.corpus
def test_every_document_of_the_corpus_is_decided_as_reasoned_by_hand(documents: list[ReadDocument], expected: dict[str, Expected]) -> None:
    assert {document.file: decided(sealed(document)) for document in documents} == expected


def test_the_expectation_holds_the_counts_that_the_corpus_is_known_for(expected: dict[str, Expected]) -> None:
    counts = {
        reason: sum(reason in row.reasons for row in expected.values())
        for reason in ("INS_KEY_WRONG", "TYPE_NOT_FOR_DMP", "BORN_AFTER_DOCUMENT")
    }
    assert counts == {"INS_KEY_WRONG": 6, "TYPE_NOT_FOR_DMP": 5, "BORN_AFTER_DOCUMENT": 3}
    assert len(expected) == 71
    assert sum(row.outcome == "held" for row in expected.values()) == 7


@pytest.mark.corpus
def test_what_is_not_held_reaches_the_professional_and_the_patient(documents: list[ReadDocument], expected: dict[str, Expected]) -> None:
    for document in documents:
        if expected[document.file].outcome == "routed":
            planned = {wish.kind for wish in judged(sealed(document)).wishes if wish.verdict is Verdict.PLANNED}
            assert planned >= {DestinationKind.MSSANTE_PROFESSIONAL, DestinationKind.MSSANTE_PATIENT}


@pytest.mark.corpus
def test_a_wrong_key_under_a_test_oid_warns_and_holds_nothing(documents: list[ReadDocument]) -> None:
    warned = {
        document.file: fact.warnings
        for document in documents
        if isinstance(fact := identified(sealed(document)), IdentityVerified) and fact.warnings
    }
    assert warned == {"SDM-MR_2024.01_nouveau-ne.xml": ("ins_key.declared", "ins_key.document")}


@pytest.mark.corpus
def test_the_local_id_that_the_corpus_gives_to_two_patients_holds_the_second(documents: list[ReadDocument]) -> None:
    """Sent one after another by one sender that declares local ids, by file name: the first patient takes the local id."""
    links: dict[str, Link] = {}
    held = []
    for document in documents:
        content = sealed(document, local_id=True)
        stream = stream_of(b"k" * 32, "site-a", content.identity)
        mark = mark_of(b"k" * 32, content.identity) if stream else b""
        link = links.get(stream, FREE)
        fact = identified(content, link, mark)
        if isinstance(fact, IdentityHeld) and HoldReason.LOCAL_ID_WITH_ANOTHER_INS in fact.reasons:
            held.append(document.file)
        elif isinstance(fact, IdentityVerified) and mark and link.standing(mark) is Standing.FREE:
            links[stream] = evolve(link, LocalIdLinked(ins=mark, document="d"))
    assert held == ["OBP-SAP_2024.01.xml", "OBP-SCM_2024.01.xml", "SDM-MR_2024.01_patiente-post-grossesse.xml", "eDISP-MED_2024.01.xml"]
