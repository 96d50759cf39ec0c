"""Attacks the INS's form and key: Corsica, blanks, look-alike digits, severity per OID, and the public vectors."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.header import Identifier
from relais.identity.domain.ins import (
    INS_NIA,
    INS_NIR,
    INS_NIR_DEMO,
    INS_NIR_TEST,
    InsFault,
    InsRules,
    Severity,
    canonical_matricule,
    fault_of,
    ins_of,
    key_of,
)

BODIES = st.from_regex(r"\A[0-9]{5}(?:[0-9]{2}|2[AB])[0-9]{6}\Z")


@pytest.mark.corpus
def test_every_public_vector_has_the_key_that_its_source_calls_valid(corpus: Path) -> None:
    with (corpus / "expected" / "ins_test_vectors.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    for row in rows:
        body = row["nir13_or_15"][:13]
        assert key_of(body) == row["valid_key"]
        assert fault_of(body + row["given_key"]) is (None if row["valid_key"] == row["given_key"] else InsFault.KEY)


@pytest.mark.parametrize(("body", "key"), [("180032B020401", "23"), ("1090763220834", "89"), ("2790351215189", "89")])
def test_the_key_of_a_birth_in_corsica_and_elsewhere(body: str, key: str) -> None:
    assert key_of(body) == key


def test_corsica_counts_as_one_and_two_million_less() -> None:
    for letter, less in (("A", 1_000_000), ("B", 2_000_000)):
        digits = int("1800320020401") - less
        assert key_of(f"180032{letter}020401") == f"{97 - digits % 97:02d}"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "279035121518",
        "27903512151898",
        "2790351215189899",
        "180033A02040123",
        "18003A002040123",
        "18003200204O123",
        "٢٧٩٠٣٥١٢١٥١٨٩٨٩",
        "2790351215189" + "²³",
    ],
)
def test_what_is_not_fifteen_characters_of_an_ins_has_a_format_fault(written: str) -> None:
    assert fault_of(canonical_matricule(written)) is InsFault.FORMAT


def test_blanks_and_the_case_of_corsica_are_not_faults() -> None:
    assert canonical_matricule(" 1 80 03 2b 020 401 23 ") == "180032B02040123"
    assert fault_of("180032B02040123") is None


@given(BODIES)
def test_a_body_has_exactly_one_right_key(body: str) -> None:
    right = [key for key in range(100) if fault_of(f"{body}{key:02d}") is None]
    assert right == [int(key_of(body))]
    assert 1 <= right[0] <= 97


@given(BODIES, st.integers(0, 14), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(body: str, place: int, more: int) -> None:
    matricule = body + key_of(body)
    if not matricule[place].isdigit():
        return
    changed = matricule[:place] + str((int(matricule[place]) + more) % 10) + matricule[place + 1 :]
    assert fault_of(changed) is not None


def test_production_oids_are_errors_and_test_oids_warnings_unless_configured() -> None:
    rules = InsRules()
    assert [rules.severity(oid) for oid in (INS_NIR, INS_NIA)] == [Severity.ERROR] * 2
    assert [rules.severity(oid) for oid in (INS_NIR_TEST, INS_NIR_DEMO)] == [Severity.WARNING] * 2
    assert rules.severity("1.2.250.1.213.1.4.2") is Severity.ERROR
    assert InsRules({INS_NIR_TEST: Severity.ERROR}).severity(INS_NIR_TEST) is Severity.ERROR


def test_local_ids_and_the_former_ins_c_are_not_an_ins() -> None:
    found = ins_of(
        (
            Identifier(root="1.2.250.1.213.1.4.2", extension="0123456789012345678901"),
            Identifier(root="1.2.3.4", extension="279035121518989"),
            Identifier(root=INS_NIR, extension=" 2790351215189 89"),
        )
    )
    assert found == (Identifier(root=INS_NIR, extension="279035121518989"),)
