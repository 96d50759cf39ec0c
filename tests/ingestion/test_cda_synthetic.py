"""Attacks the generator of synthetic documents: valid, of the size asked for, the same for the same seed, and nobody's."""

import base64
import re
import zlib
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from relais.sandbox.cda import BENCH_BYTES, DOCUMENT_TYPES, INS_NIR, INS_NIR_TEST, Kind, generate
from relais.sandbox.cda.people import ins_with_key


@pytest.fixture(scope="module")
def schema(corpus: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(corpus / "schema" / "cda" / "CDA_extended.xsd"))


@pytest.mark.corpus
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("type_code", list(DOCUMENT_TYPES))
def test_every_kind_and_type_is_valid_against_the_schema(schema: etree.XMLSchema, kind: Kind, type_code: str) -> None:
    for seed in range(4):
        document = generate(seed, kind=kind, type_code=type_code, version_number=1 + seed % 2, size_bytes=None if seed else 1)
        assert schema.validate(etree.fromstring(document.body)), schema.error_log


@given(st.integers(), st.sampled_from(list(Kind)), st.integers(10_000, 150_000))
def test_a_document_has_the_size_asked_for(seed: int, kind: Kind, size_bytes: int) -> None:
    assert size_bytes - 8 <= len(generate(seed, kind=kind, size_bytes=size_bytes).body) <= size_bytes
    assert abs(len(generate(seed, kind=kind).body) - BENCH_BYTES) < BENCH_BYTES * 0.02


def test_a_seed_gives_the_same_bytes_on_every_machine() -> None:
    # Benches of two versions of the product compare only if they send the same documents: change these numbers knowingly.
    assert [zlib.crc32(generate(1, kind=kind, version_number=2).body) for kind in Kind] == [2961712434, 3588739161]


def test_seeds_give_other_patients_and_other_documents() -> None:
    documents = [generate(seed, size_bytes=7000) for seed in range(500)]
    assert len({document.identifier for document in documents}) == len(documents)
    assert len({document.identity.ins for document in documents}) == len(documents)
    assert len({document.set_id for document in documents}) == len(documents)


def test_versions_keep_patient_and_set_and_follow_each_other() -> None:
    versions = [generate(9, version_number=number) for number in (1, 2, 3)]
    for older, newer in pairwise(versions):
        assert (newer.identity, newer.set_id) == (older.identity, older.set_id)
        assert newer.identifier != older.identifier
        assert newer.written_at > older.written_at
        assert f'typeCode="RPLC">\n<parentDocument>\n<id root="{older.identifier.root}"/>'.encode() in newer.body


@given(st.integers(), st.sampled_from([INS_NIR, INS_NIR_TEST]))
def test_an_ins_agrees_with_its_traits_and_has_the_right_key(seed: int, ins_oid: str) -> None:
    identity = generate(seed, ins_oid=ins_oid, size_bytes=1).identity
    assert identity.ins_oid == ins_oid
    assert re.fullmatch(r"\d{6}[0-9A-Z]\d{8}", identity.ins)
    assert identity.ins[0] == {"M": "1", "F": "2"}[identity.sex]
    assert identity.ins[1:5] == identity.birth_date[2:6]
    assert identity.ins[5:10] == identity.birth_place
    number = int(identity.ins[:13].replace("2A", "19").replace("2B", "18"))
    assert (number + int(identity.ins[13:])) % 97 == 0


@pytest.mark.parametrize(
    ("nir", "key"), [("180032B020401", "23"), ("2790351215189", "89"), ("2770763220829", "10"), ("2480392630010", "64")]
)
def test_published_keys_come_out(nir: str, key: str) -> None:
    assert ins_with_key(nir) == nir + key


def test_a_patient_is_an_adult_unless_born_when_asked() -> None:
    assert all("1931" <= generate(seed, size_bytes=1).identity.birth_date[:4] <= "2005" for seed in range(50))
    assert generate(1, born=date(2019, 2, 3), size_bytes=1).identity.birth_date == "20190203"


def test_an_unknown_type_is_the_caller_s_mistake() -> None:
    with pytest.raises(KeyError):
        generate(1, type_code="34105-7")


@given(st.integers(0, 50), st.integers(7000, 60_000))
def test_the_pdf_inside_is_one(seed: int, size_bytes: int) -> None:
    body = generate(seed, kind=Kind.N1, size_bytes=size_bytes).body
    payload = re.search(rb'B64">([^<]*)<', body)
    assert payload is not None
    pdf = base64.b64decode(payload[1], validate=True)
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    assert pdf.index(b"%%EOF") > len(pdf) - 1024
    cross_reference = re.search(rb"startxref\n(\d+)\n", pdf[-1024:])
    assert cross_reference is not None
    table = pdf[int(cross_reference[1]) :]
    assert table.startswith(b"xref\n0 7\n")
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", table), start=1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj\n" % number)
    for length, start in ((int(match[1]), match.end()) for match in re.finditer(rb"/Length (\d+) >>\nstream\n", pdf)):
        assert pdf[start + length :].startswith(b"\nendstream")
