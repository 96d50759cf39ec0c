"""Attacks SAFETY 9: what counts as the same person, under every way in which people and machines write names and dates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.header import Identifier, PersonName
from relais.contracts.submission import SealedContent
from relais.identity.domain.comparison import compare, normalise_date, normalise_name, normalise_sex
from tests.identity.given import INS, INS_NIR, INS_NIR_TEST, OTHER_INS, content, without_ins


def disagreeing(sealed: SealedContent) -> tuple[str, ...]:
    return compare(sealed.identity, sealed.header).disagreeing


def birth_names(*written: str) -> dict[str, tuple[PersonName, ...]]:
    return {"patient_families": tuple(PersonName(value=one, qualifier="BR") for one in written)}


def test_the_same_person_written_the_same_way_agrees_in_everything() -> None:
    comparison = compare(content().identity, content().header)
    assert comparison.disagreeing == ()
    assert comparison.compared == (
        "matricule",
        "oid",
        "local_id",
        "birth_family_name",
        "first_birth_given_name",
        "sex",
        "birth_date",
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("PAT-TROIS", "Pat Trois"),
        ("D'URBAN", "d’urban"),
        ("LE BERRE", "LE\u00a0BERRE"),
        ("Lefèvre", "LEFEVRE"),
        ("Lefe\u0300vre", "LEFÈVRE"),
        ("ŒUVRARD", "oeuvrard"),
        ("Weiß", "WEISS"),
        ("Çelik", "CELIK"),
        ("İnan", "INAN"),
        ("ØRSTED", "orsted"),
        ("ＤＵＰＯＮＴ", "DUPONT"),
        ("DU\u200bPONT", "DUPONT"),
        ("\u202eDUPONT\u202c", "DUPONT"),
        ("JEAN--LUC", "JEAN LUC"),
    ],
)
def test_one_name_written_two_ways_is_one_name(one: str, other: str) -> None:
    assert normalise_name(one) == normalise_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("DUPONT", "DUPOND"), ("DUPONT", "DUP0NT"), ("DUPONT", "DUРONT"), ("MARTIN", "MARTIN DUPONT"), ("LEROY", "LE ROY")],
)
def test_two_names_that_only_look_alike_stay_two_names(one: str, other: str) -> None:
    assert normalise_name(one) != normalise_name(other)


@given(st.text())
def test_normalising_twice_changes_nothing(written: str) -> None:
    once = normalise_name(written)
    assert normalise_name(once) == once
    assert normalise_sex(normalise_sex(written)) == normalise_sex(written)
    assert normalise_date(normalise_date(written)) == normalise_date(written)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x24F), min_size=1))
def test_case_of_latin_letters_never_matters(written: str) -> None:
    assert normalise_name(written.upper()) == normalise_name(written.upper().lower())


@pytest.mark.parametrize(
    ("identity", "field"),
    [
        ({"ins": OTHER_INS}, "matricule"),
        ({"ins_oid": INS_NIR_TEST}, "oid"),
        ({"birth_family_name": "PAT-QUATRE"}, "birth_family_name"),
        ({"birth_family_name": "DUPONT"}, "birth_family_name"),
        ({"first_birth_given_name": "MARIE-LOUISE"}, "first_birth_given_name"),
        ({"sex": "M"}, "sex"),
        ({"birth_date": "19790329"}, "birth_date"),
        ({"birth_date": "1979"}, "birth_date"),
        ({"local_id": "1"}, "local_id"),
    ],
)
def test_each_trait_that_differs_is_named(identity: dict[str, str], field: str) -> None:
    assert disagreeing(content(identity)) == (field,)


@pytest.mark.parametrize("field", ["birth_family_name", "first_birth_given_name", "sex", "birth_date"])
def test_a_trait_that_only_the_document_states_is_a_disagreement(field: str) -> None:
    assert disagreeing(content({field: ""})) == (field,)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ({"patient_families": ()}, "birth_family_name"),
        ({"patient_givens": ()}, "first_birth_given_name"),
        ({"patient_sex": ""}, "sex"),
        ({"patient_birth_time": ""}, "birth_date"),
    ],
)
def test_a_trait_that_only_the_message_states_is_a_disagreement(header: dict[str, object], field: str) -> None:
    assert disagreeing(content(None, header)) == (field,)


def test_a_declared_ins_that_the_document_does_not_carry_is_a_disagreement() -> None:
    assert disagreeing(content(None, {"patient_ids": ()})) == ("matricule",)


def test_a_second_ins_in_the_document_that_is_another_person_is_a_disagreement() -> None:
    ids = (Identifier(root=INS_NIR, extension=INS), Identifier(root=INS_NIR, extension=OTHER_INS))
    assert disagreeing(content(None, {"patient_ids": ids})) == ("matricule",)


def test_two_birth_names_in_the_document_must_both_be_the_patients() -> None:
    assert disagreeing(content(None, birth_names("PAT-TROIS", "pat trois"))) == ()
    assert disagreeing(content(None, birth_names("PAT-TROIS", "DURAND"))) == ("birth_family_name",)


def test_a_birth_name_of_signs_only_is_no_name() -> None:
    assert disagreeing(content({"birth_family_name": "---"}, birth_names("???"))) == ("birth_family_name",)


def test_a_patient_without_any_name_on_either_side_is_not_recognised() -> None:
    nameless = content({"birth_family_name": ""}, {"patient_families": ()})
    assert disagreeing(nameless) == ("birth_family_name",)


def test_a_document_that_does_not_mark_birth_names_is_compared_with_what_it_has() -> None:
    unmarked = {
        "patient_families": (PersonName(value="PAT-TROIS", qualifier="SP"),),
        "patient_givens": (PersonName(value="DOMINIQUE MARIE"),),
    }
    assert disagreeing(content(None, unmarked)) == ()
    assert disagreeing(content({"first_birth_given_name": "DOMINI"}, unmarked)) == ("first_birth_given_name",)
    assert disagreeing(content({"birth_family_name": "DURAND"}, unmarked)) == ("birth_family_name",)


def test_the_used_name_never_stands_in_for_a_marked_birth_name() -> None:
    assert disagreeing(content({"birth_family_name": "DUPONT"})) == ("birth_family_name",)


def test_the_time_of_a_birth_is_not_compared_and_undetermined_has_several_codes() -> None:
    assert disagreeing(content(None, {"patient_birth_time": "197903280415+0100"})) == ()
    assert disagreeing(content({"sex": "U"}, {"patient_sex": "UN"})) == ()


def test_without_an_ins_on_either_side_the_other_traits_still_count() -> None:
    sealed = without_ins()
    assert disagreeing(sealed) == ()
    assert "matricule" not in compare(sealed.identity, sealed.header).compared
    other = without_ins()
    assert compare(content({"ins": "", "birth_date": "19800101"}).identity, other.header).disagreeing == ("birth_date",)


def test_local_ids_of_different_authorities_are_not_compared() -> None:
    assert disagreeing(content({"local_id": "1", "local_id_authority": "9.9.9"})) == ()
