"""Attacks the header reader with what nobody of this project wrote: every official document, against two other readings of it."""

import csv
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from relais.contracts.header import Code, HeaderExtract, Identifier, Person, ServiceEvent
from relais.ingestion.cda import CdaReader, is_known_type, parse_timestamp, read_header
from relais.ingestion.cda.at_once import read_at_once
from tests.ingestion.given_cda import answer
from tests.journey.corpus_reader import ReadDocument, ReadPerson, read_corpus

pytestmark = pytest.mark.corpus

_DOCUMENTS = 71


@pytest.fixture(scope="module")
def documents(corpus: Path) -> list[ReadDocument]:
    return read_corpus(corpus)


def test_all_documents_are_there_and_are_taken_in(documents: list[ReadDocument]) -> None:
    assert len([read_header(document.body) for document in documents]) == _DOCUMENTS


def test_both_ways_to_a_header_read_the_same(documents: list[ReadDocument]) -> None:
    said = [(read_at_once(document.body), answer(document.body)) for document in documents]
    assert all(at_once in (None, watched) for at_once, watched in said)
    # What is longer than a block, or inside a stylesheet, is for the watchful reader alone.
    assert len([at_once for at_once, _ in said if at_once is not None]) > _DOCUMENTS // 2


def test_the_product_and_the_test_reader_read_the_same_header(documents: list[ReadDocument]) -> None:
    for document in documents:
        assert _plain(read_header(document.body)) == _expected(document), document.file


def test_the_product_and_the_published_survey_agree(corpus: Path) -> None:
    with (corpus / "expected" / "cda_samples_survey.csv").open(encoding="utf-8", newline="") as survey:
        rows = [row for row in csv.DictReader(survey) if (corpus / row["file"]).is_file()]
    assert len([row for row in rows if row["file"].startswith("cda/")]) >= _DOCUMENTS - 1  # VSM_1.4 has no row.
    for row in rows:
        header = read_header((corpus / row["file"]).read_bytes())
        assert header.type.code == row["typeCode"], row["file"]
        assert header.id == Identifier(root=row["id_root"], extension=row["id_ext"]), row["file"]
        assert header.title.split() == row["title"].split(), row["file"]
        assert _joined(header.patient_ids, "#") == row["patientIds(root#ext)"], row["file"]
        assert _joined(header.template_ids, ":") == row["templateIds"], row["file"]
        assert header.confidentiality is not None
        assert header.confidentiality.code == row["confidentiality"]
        assert ("" if header.version_number is None else str(header.version_number)) == row["versionNumber"]
        assert len(header.authors) == int(row["authors"])
        assert header.custodian_id == Identifier(root=row["custodian_root"], extension=row["custodian_ext"])
        assert row["body"].startswith("N3:" if header.structured else f"N1:{header.body_media_type}")
        assert bool(header.replaces) == (row["relatedDocument"] == "RPLC"), row["file"]


def test_every_document_in_packets_reads_as_in_one_piece(documents: list[ReadDocument]) -> None:
    for document in documents:
        reader = CdaReader()
        for start in range(0, len(document.body), 4093):
            reader.feed(document.body[start : start + 4093])
        assert reader.close() == read_header(document.body), document.file


def test_every_type_of_the_documents_is_known(documents: list[ReadDocument]) -> None:
    assert [document.file for document in documents if not is_known_type(*document.type_code)] == []


def test_every_creation_time_names_an_instant(documents: list[ReadDocument]) -> None:
    years = {parse_timestamp(document.written_at, ZoneInfo("Europe/Paris")).year for document in documents}
    assert years <= set(range(2008, 2027))


def test_a_mother_named_as_guardian_is_never_the_patient(documents: list[ReadDocument]) -> None:
    newborns = [document for document in documents if document.file.startswith(("OBP-SNE", "OBP-SEM"))]
    assert len(newborns) == 2
    for document in newborns:
        assert b"<guardian" in document.body
        extensions = {identifier.extension for identifier in read_header(document.body).patient_ids}
        assert extensions == {extension for _, extension in document.patient_identifiers}
        assert "277076322082910" not in extensions


def _joined(identifiers: tuple[Identifier, ...], separator: str) -> str:
    return " ".join(f"{one.root}{separator}{one.extension}" if one.extension else one.root for one in identifiers)


def _plain(header: HeaderExtract) -> dict[str, object]:
    """The product's reading in the words of the other reader."""
    return {
        "identifier": _pair(header.id),
        "set_identifier": _pair(header.set_id or Identifier()),
        "version_number": "" if header.version_number is None else str(header.version_number),
        "type_code": (header.type.code, header.type.system),
        "title": header.title,
        "written_at": header.effective_time,
        "confidentiality": _code(header.confidentiality),
        "templates": tuple(map(_pair, header.template_ids)),
        "patient_identifiers": tuple(map(_pair, header.patient_ids)),
        "families": tuple((part.value, part.qualifier) for part in header.patient_families),
        "givens": tuple((part.value, part.qualifier) for part in header.patient_givens),
        "sex": header.patient_sex,
        "birth_date": header.patient_birth_time,
        "birth_place": header.patient_birth_place,
        "authors": tuple(map(_person, header.authors)),
        "author_identifiers": tuple(_pair(author.identifier) for author in header.authors),
        "custodian": _pair(header.custodian_id),
        "custodian_name": header.custodian_name,
        "legal_authenticator": _person(header.legal_authenticator) if header.legal_authenticator else None,
        "events": tuple((_code(event.code), event.low, event.high) for event in header.service_events),
        "practice": next(filter(None, (_code(_practice(event)) for event in header.service_events)), ""),
        "facility": _code(header.facility),
        "replaces": tuple(map(_pair, header.replaces)),
        "media_type": header.body_media_type,
        "structured": header.structured,
        "auto_presentable": header.auto_presentable,
    }


def _expected(document: ReadDocument) -> dict[str, object]:
    return {name: getattr(document, name) for name in _plain(read_header(document.body))}


def _practice(event: ServiceEvent) -> Code | None:
    return event.performer.organisation_industry if event.performer else None


def _pair(identifier: Identifier) -> tuple[str, str]:
    return identifier.root, identifier.extension


def _code(code: Code | None) -> str:
    return code.code if code else ""


def _person(person: Person) -> ReadPerson:
    return ReadPerson(
        identifier=person.identifier.extension,
        family_name=person.family,
        given_name=person.given,
        organisation=person.organisation_id.extension,
        industry=_code(person.organisation_industry),
    )
