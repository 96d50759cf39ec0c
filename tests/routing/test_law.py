"""Attacks the tables, the addresses and the ages: a missing code, a disguised patient address, a birthday at midnight."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.routing.law import rules
from relais.routing.law.addresses import PATIENT_DOMAIN, canonical_address, in_patient_domain, is_own_address, is_plain, own_address
from relais.routing.law.age import day_of_sending, is_of_age
from relais.routing.law.tables import read_tables
from tests.routing.given import INS, OTHER_INS

DOMAINS = frozenset({PATIENT_DOMAIN})


# Tables.


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.mark.corpus
def test_our_tables_hold_every_published_code_and_no_other(corpus: Path) -> None:
    folder, tables = corpus / "valuesets" / "csv", read_tables()
    types = column(folder / "ASS_X04_typeCode_to_classCode_20240223.csv", "typeCode")
    classes = column(folder / "ASS_X04_typeCode_to_classCode_20240223.csv", "classCode")
    assert dict(tables.class_of_type) == dict(zip(types, classes, strict=True))
    assert tables.dmp_types == set(column(folder / "JDV_J66_TypeCode_DMP_transcribed.csv", "code"))
    assert tables.dmp_classes == set(column(folder / "JDV_J57_ClassCode_DMP_transcribed.csv", "code"))


@pytest.mark.corpus
def test_the_types_that_the_dmp_cannot_take_are_the_known_ones(corpus: Path) -> None:
    tables = read_tables()
    known = column(corpus / "valuesets" / "csv" / "JDV_J07_XdsTypeCode_CISIS.csv", "code")
    without_row = {code for code in known if code not in tables.class_of_type}
    assert without_row == {"28617-9", "34120-6", "60280-5", "78341-5", "89233-1", "101881-1"}
    assert {code for code in tables.dmp_types if tables.class_of(code) is None} == {"DOCPAT09", "E1762"}


def test_a_class_is_never_guessed() -> None:
    tables = read_tables()
    assert tables.class_of("11502-2") == "10"
    assert tables.class_of("34105-7") is None
    assert tables.class_of("") is None
    assert "ass_x04_2024-02-23" in tables.version


def test_every_rule_speaks_french_and_english_and_names_its_source() -> None:
    assert len(rules.RULES) >= 25
    for name, rule in rules.RULES.items():
        assert rule.id == name
        assert rule.french.endswith(".")
        assert rule.english.endswith(".")
        assert rule.source


# Addresses (SAFETY 11).


@pytest.mark.parametrize(
    "written",
    [
        f"{INS}@patient.mssante.fr",
        f"{INS}@PATIENT.MSSANTE.FR",
        f" mailto:{INS}@patient.mssante.fr. ",
        f"{INS}@patient。mssante．fr",
        f"{INS}@ｐatient.mssante.fr",
        f"{INS}@pat\u00adient.mssante.fr",
        f"{INS}@patient.\u200bmssante.fr",
        f"{INS}@pati\u034fent.mssante.fr",
        f"Mme Trois <{INS}@patient.mssante.fr>",
        f'"dr.martin@medecin.mssante.fr" <{INS}@patient.mssante.fr>',
        f"dr.martin@medecin.mssante.fr, {INS}@patient.mssante.fr",
        f"dr.martin@medecin.mssante.fr;{INS}@patient.mssante.fr",
        f"{INS}@ patient .mssante.fr",
        f"{INS}(dr.martin)@patient.mssante.fr",
        f"{INS}%patient.mssante.fr@medecin.mssante.fr",
        f"@patient.mssante.fr:{INS}@medecin.mssante.fr",
        f"{INS}@relais.patient.mssante.fr",
        f"{INS}@[patient.mssante.fr]",
    ],
)
def test_a_patient_address_is_one_however_it_is_disguised(written: str) -> None:
    assert in_patient_domain(canonical_address(written), DOMAINS)


@pytest.mark.parametrize(
    "written",
    [
        "dr.martin@medecin.mssante.fr",
        f"{INS}@notpatient.mssante.fr",
        "patient@mssante.fr",
        "patient.mssante@medecin.mssante.fr",
        "",
        "ris-b",
    ],
)
def test_another_domain_is_not_the_patients(written: str) -> None:
    assert not in_patient_domain(canonical_address(written), DOMAINS)


@pytest.mark.parametrize(
    "written",
    [
        f"{OTHER_INS}@patient.mssante.fr",
        f"{INS}+copie@patient.mssante.fr",
        f"{INS[:-1]}@patient.mssante.fr",
        f"0{INS}@patient.mssante.fr",
        f"Mme Trois <{INS}@patient.mssante.fr>",
        f"{INS}@relais.patient.mssante.fr",
        f"{INS}@medecin.mssante.fr",
        f"{INS}@patient.mssante.fr, {OTHER_INS}@patient.mssante.fr",
        f"{OTHER_INS}%patient.mssante.fr@patient.mssante.fr",
    ],
)
def test_only_the_plain_address_of_the_ins_is_the_patients_own(written: str) -> None:
    assert not is_own_address(canonical_address(written), INS, DOMAINS)


def test_the_own_address_is_accepted_in_every_configured_domain_and_for_corsica() -> None:
    assert is_own_address(canonical_address(f"{INS}@Patient.MSSante.fr"), INS, DOMAINS)
    assert is_own_address(canonical_address("180032B02040123@patient.mssante.fr"), "180032B02040123", DOMAINS)
    operator = DOMAINS | {"patients.operateur.mssante.fr"}
    assert is_own_address(f"{INS}@patients.operateur.mssante.fr", INS, operator)
    assert not is_own_address("@patient.mssante.fr", "", DOMAINS)
    assert own_address("180032B02040123") == "180032b02040123@patient.mssante.fr"


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("dr.martin@medecin.mssante.fr", True),
        ("o'neil+x@hopital-a.mssante.fr", True),
        ("dr martin@medecin.mssante.fr", False),
        ("a@b@medecin.mssante.fr", False),
        ("dr.martin@localhost", False),
        ("dr.martin", False),
        ("x" * 65 + "@medecin.mssante.fr", False),
        ("dr.martin@medecin.mssante.fr\r\nbcc: x@y.fr", False),
        ("dr.martín@medecin.mssante.fr", False),
    ],
)
def test_a_mail_goes_to_one_ordinary_address(written: str, plain: bool) -> None:
    assert is_plain(canonical_address(written)) is plain


@given(st.text(max_size=40))
def test_canonical_twice_is_canonical_once_for_what_a_mail_can_go_to(written: str) -> None:
    once = canonical_address(written)
    if is_plain(once):
        assert canonical_address(once) == once


@given(st.text(max_size=20))
def test_no_text_after_it_hides_a_patient_address_or_makes_it_anothers(after: str) -> None:
    canonical = canonical_address(f"{INS}@patient.mssante.fr,{after}")
    assert in_patient_domain(canonical, DOMAINS)
    assert not is_own_address(canonical, OTHER_INS, DOMAINS)


# Ages (SAFETY 12).


@pytest.mark.parametrize(
    ("births", "of_age"),
    [
        (("20080501",), True),
        (("20080502",), False),
        (("20080501", "20080502"), False),
        (("200804",), True),
        (("200805",), False),
        (("2007",), True),
        (("2008",), False),
        (("20070000",), True),
        (("20083300",), False),
        (("19793300",), True),
        (("200805010930+0100",), True),
        (("",), False),
        ((), False),
        (("inconnu",), False),
        (("19790328", "garbage"), False),
        (("19790328", ""), True),
        (("99990101",), False),
        (("0000",), False),
    ],
)
def test_of_age_is_only_who_certainly_is(births: tuple[str, ...], of_age: bool) -> None:
    assert is_of_age(births, date(2026, 5, 1)) is of_age


def test_who_is_born_on_a_leap_day_comes_of_age_on_the_first_of_march() -> None:
    assert not is_of_age(["20080229"], date(2026, 2, 28))
    assert is_of_age(["20080229"], date(2026, 3, 1))


def test_the_day_of_sending_has_come_everywhere_in_france() -> None:
    midnight_in_paris = datetime(2026, 4, 30, 22, 30, tzinfo=UTC)
    assert day_of_sending(midnight_in_paris) == date(2026, 4, 30)
    assert day_of_sending(datetime(2026, 5, 1, 9, 59, tzinfo=UTC)) == date(2026, 4, 30)
    assert day_of_sending(datetime(2026, 5, 1, 10, 0, tzinfo=UTC)) == date(2026, 5, 1)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 40_000))
def test_once_of_age_for_ever_of_age_and_never_before_eighteen_years(birth: date, days: int) -> None:
    day = birth + timedelta(days=days)
    written = birth.strftime("%Y%m%d")
    if is_of_age([written], day):
        assert is_of_age([written], day + timedelta(days=1))
        assert (day - birth).days >= 18 * 365
    else:
        assert (day - birth).days <= 18 * 366
