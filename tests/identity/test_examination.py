"""Attacks SAFETY 2, 5, 8, 9 and 10 on one submission: each doubt must hold it, and nothing may raise a status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.header import Identifier, PersonName
from relais.contracts.reasons import HoldReason
from relais.contracts.submission import DeclaredIdentity, InsStatus, SealedContent
from relais.identity.domain.examination import InsiAnswer, InsiCode, Rules
from relais.identity.domain.ins import INS_NIR_DEMO, InsRules, Severity
from relais.identity.domain.links import Link
from relais.identity.domain.status import is_lowering
from tests.identity.given import (
    BODY,
    HEADER,
    IDENTITY,
    INS,
    INS_NIR,
    INS_NIR_TEST,
    OTHER_INS,
    PRODUCTION_RULES,
    TEST_RULES,
    content,
    examined,
    with_ins,
    without_ins,
)

WRONG_KEY = BODY + "88"
OWN = Identifier(root=INS_NIR, extension=INS)
ANOTHER = Identifier(root=INS_NIR, extension=OTHER_INS)


def test_a_qualified_identity_that_agrees_is_verified_as_qualified() -> None:
    found = examined(content())
    assert found.reasons == ()
    assert found.status is InsStatus.QUALIFIEE
    assert set(found.checked) >= {"ins_form", "ins_key", "matricule", "oid", "birth_family_name", "sex", "birth_date"}


# SAFETY 2: the patient is recordTarget/patientRole.


def test_the_mothers_ins_is_nowhere_the_newborns_and_holds_the_document_when_declared() -> None:
    """OBP-SNE carries the newborn in recordTarget and the mother in guardian: the extract knows the newborn only."""
    newborn = content({"ins": OTHER_INS}, {"patient_ids": (OWN,)})
    assert examined(newborn).reasons == (HoldReason.IDENTITY_DISAGREES,)
    assert examined(newborn).evidence == ("matricule",)


# SAFETY 4, 5: wrong key or form under a production OID, test identities in production.


@pytest.mark.parametrize(
    ("matricule", "reason"),
    [(WRONG_KEY, HoldReason.INS_KEY_WRONG), (BODY, HoldReason.INS_FORMAT_WRONG), ("X" * 15, HoldReason.INS_FORMAT_WRONG)],
)
def test_a_wrong_ins_under_a_production_oid_is_held(matricule: str, reason: HoldReason) -> None:
    assert examined(with_ins(matricule)).reasons == (reason,)


@pytest.mark.parametrize("oid", [INS_NIR_TEST, INS_NIR_DEMO])
def test_a_wrong_key_under_a_test_oid_is_a_warning_there_and_nothing_more(oid: str) -> None:
    found = examined(with_ins(WRONG_KEY, oid))
    assert found.reasons == ()
    assert found.warnings == ("ins_key.declared", "ins_key.document")


def test_severities_are_configuration() -> None:
    strict = Rules(TEST_RULES.deployment, InsRules({INS_NIR_TEST: Severity.ERROR}))
    assert examined(with_ins(WRONG_KEY, INS_NIR_TEST), rules=strict).reasons == (HoldReason.INS_KEY_WRONG,)


def test_an_ins_under_an_oid_that_is_none_is_held_and_not_qualified() -> None:
    found = examined(content({"ins_oid": "1.2.250.1.213.1.4.2"}))
    assert HoldReason.INS_FORMAT_WRONG in found.reasons
    assert found.status is InsStatus.VALIDEE


@pytest.mark.parametrize("oid", [INS_NIR_TEST, INS_NIR_DEMO])
def test_a_test_identity_is_held_in_production_and_passes_in_test(oid: str) -> None:
    assert examined(with_ins(INS, oid), rules=PRODUCTION_RULES).reasons == (HoldReason.TEST_IDENTITY_IN_PRODUCTION,)
    assert examined(with_ins(INS, oid), rules=TEST_RULES).reasons == ()


def test_a_test_identity_that_only_the_document_carries_is_found_too() -> None:
    hidden = content(None, {"patient_ids": (OWN, Identifier(root=INS_NIR_TEST, extension=INS))})
    assert HoldReason.TEST_IDENTITY_IN_PRODUCTION in examined(hidden, rules=PRODUCTION_RULES).reasons


# SAFETY 8: a status is confirmed or lowered.


@pytest.mark.parametrize("status", [InsStatus.DOUTEUSE, InsStatus.FICTIVE])
def test_a_doubtful_or_fictive_identity_is_held_even_without_an_ins(status: InsStatus) -> None:
    assert examined(without_ins(status)).reasons == (HoldReason.STATUS_DOUBTFUL,)


def test_qualified_without_an_ins_is_lowered() -> None:
    found = examined(without_ins(InsStatus.QUALIFIEE))
    assert found.reasons == ()
    assert found.status is InsStatus.VALIDEE


@pytest.mark.parametrize("code", [InsiCode.NONE_FOUND, InsiCode.SEVERAL_FOUND])
def test_an_ins_that_insi_does_not_find_or_finds_twice_is_never_guessed(code: InsiCode) -> None:
    found = examined(content(), insi=InsiAnswer(code))
    assert found.status is InsStatus.VALIDEE
    assert found.reasons == (HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT,)


def test_insi_confirms_what_was_declared_and_lowers_what_it_contradicts() -> None:
    assert examined(content(), insi=InsiAnswer(InsiCode.FOUND, active=OWN)).status is InsStatus.QUALIFIEE
    assert examined(content(), insi=InsiAnswer(InsiCode.FOUND, active=ANOTHER)).status is InsStatus.VALIDEE


def test_insi_never_raises_a_status_to_qualified() -> None:
    validated = content({"ins_status": InsStatus.VALIDEE})
    found = examined(validated, insi=InsiAnswer(InsiCode.FOUND, active=OWN))
    assert found.status is InsStatus.VALIDEE
    assert HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT in found.reasons


# SAFETY 9: the same local id with another INS, births after the document, historical INS.


def test_a_local_id_that_belongs_to_another_ins_is_held() -> None:
    assert examined(content(), link=Link(active=b"another"), mark=b"mine").reasons == (HoldReason.LOCAL_ID_WITH_ANOTHER_INS,)
    assert examined(content(), link=Link(active=b"mine"), mark=b"mine").reasons == ()
    assert examined(content(), link=Link(), mark=b"mine").reasons == ()


def test_a_local_id_that_belonged_to_this_ins_before_is_historical() -> None:
    moved = Link(active=b"new", former=frozenset({b"mine"}))
    assert examined(content(), link=moved, mark=b"mine").reasons == (HoldReason.HISTORICAL_INS,)


def test_a_document_under_a_former_ins_of_the_patient_is_recognised_and_held() -> None:
    former = content({"historical_ins": (ANOTHER,)}, {"patient_ids": (ANOTHER,)})
    assert examined(former).reasons == (HoldReason.HISTORICAL_INS,)
    assert examined(former).evidence == ()
    by_insi = InsiAnswer(InsiCode.FOUND, active=OWN, historical=(ANOTHER,))
    assert examined(content(None, {"patient_ids": (ANOTHER,)}), insi=by_insi).reasons == (HoldReason.HISTORICAL_INS,)


def test_a_declared_ins_that_is_itself_a_former_one_is_held() -> None:
    assert examined(content({"historical_ins": (OWN,)})).reasons == (HoldReason.HISTORICAL_INS,)


@pytest.mark.parametrize(
    ("birth", "document", "held"),
    [
        ("20240105", "20240104160527+0100", True),
        ("20240104", "20240104160527+0100", False),
        ("202401042359", "20240104160527+0100", False),
        ("2025", "20240104160527+0100", True),
        ("2024", "20240104160527+0100", False),
        ("202402", "202401", True),
        ("19790000", "20240104", False),
        ("20240105", "", False),
    ],
)
def test_nobody_is_born_after_the_document(birth: str, document: str, held: bool) -> None:
    found = examined(content({"birth_date": birth}, {"patient_birth_time": birth, "effective_time": document}))
    assert found.reasons == ((HoldReason.BORN_AFTER_DOCUMENT,) if held else ())
    assert found.evidence == (("birth_date.declared", "birth_date.document") if held else ())


# SAFETY 10: a document that contains an INS whose status is not qualified goes nowhere.


@pytest.mark.parametrize("status", [InsStatus.PROVISOIRE, InsStatus.RECUPEREE, InsStatus.VALIDEE])
def test_a_document_with_an_ins_that_is_not_qualified_is_held_for_professionals_too(status: InsStatus) -> None:
    assert examined(with_ins(INS, status=status)).reasons == (HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT,)


def test_an_ins_in_the_document_that_nobody_declared_is_held() -> None:
    undeclared = content({"ins": "", "ins_oid": "", "ins_status": InsStatus.QUALIFIEE})
    assert examined(undeclared).reasons == (HoldReason.INS_NOT_QUALIFIED_IN_DOCUMENT,)


@pytest.mark.parametrize("status", [InsStatus.PROVISOIRE, InsStatus.RECUPEREE, InsStatus.VALIDEE])
def test_without_an_ins_anywhere_a_lower_status_may_go_on(status: InsStatus) -> None:
    found = examined(without_ins(status))
    assert found.reasons == ()
    assert found.status is status


# Laws.

MATRICULES = st.sampled_from(["", INS, OTHER_INS, WRONG_KEY, "garbage"])
OIDS = st.sampled_from(["", INS_NIR, INS_NIR_TEST, "1.2.250.1.213.1.4.2", "9.9"])
NAMES = st.sampled_from(["", "PAT-TROIS", "pat trois", "DURAND", "-"])
DATES = st.sampled_from(["", "19790328", "1979", "20991231"])
STATUSES = st.sampled_from(list(InsStatus))
IDENTIFIERS = st.builds(Identifier, root=OIDS, extension=MATRICULES)
CONTENTS = st.builds(
    SealedContent,
    identity=st.builds(
        DeclaredIdentity,
        ins=MATRICULES,
        ins_oid=OIDS,
        ins_status=STATUSES,
        birth_family_name=NAMES,
        first_birth_given_name=NAMES,
        sex=st.sampled_from(["", "F", "M", "UN"]),
        birth_date=DATES,
        local_id=st.sampled_from(["", "1", "2"]),
        historical_ins=st.lists(IDENTIFIERS, max_size=2).map(tuple),
    ),
    header=st.builds(
        lambda ids, family, given_name, sex, birth: (
            content(
                None,
                {
                    "patient_ids": tuple(ids),
                    "patient_families": (PersonName(value=family, qualifier="BR"),) if family else (),
                    "patient_givens": (PersonName(value=given_name, qualifier="BR"),) if given_name else (),
                    "patient_sex": sex,
                    "patient_birth_time": birth,
                },
            ).header
        ),
        st.lists(IDENTIFIERS, max_size=3),
        NAMES,
        NAMES,
        st.sampled_from(["", "F", "M"]),
        DATES,
    ),
)
LINKS = st.builds(Link, active=st.sampled_from([b"", b"mine", b"another"]), former=st.frozensets(st.sampled_from([b"mine", b"old"])))
ANSWERS = st.builds(InsiAnswer, st.sampled_from(list(InsiCode)), IDENTIFIERS, st.lists(IDENTIFIERS, max_size=2).map(tuple))
RULES = st.sampled_from([TEST_RULES, PRODUCTION_RULES])


@given(CONTENTS, LINKS, st.sampled_from([b"", b"mine"]), ANSWERS, RULES)
def test_whatever_is_known_the_status_is_never_raised(
    sealed: SealedContent, link: Link, mark: bytes, insi: InsiAnswer, rules: Rules
) -> None:
    found = examined(sealed, link=link, mark=mark, insi=insi, rules=rules)
    assert is_lowering(sealed.identity.ins_status, found.status)


@given(CONTENTS, RULES)
def test_an_identity_without_reasons_has_nothing_that_disagrees(sealed: SealedContent, rules: Rules) -> None:
    found = examined(sealed, rules=rules)
    if found.reasons:
        return
    carried = {one.extension for one in sealed.header.patient_ids if one.root in {INS_NIR, INS_NIR_TEST}}
    assert carried <= {sealed.identity.ins}
    assert not carried or found.status is InsStatus.QUALIFIEE
    assert sealed.identity.birth_date == sealed.header.patient_birth_time
    assert not found.evidence


@given(st.sampled_from(["birth_family_name", "first_birth_given_name", "sex", "birth_date", "ins"]), st.text(max_size=20), RULES)
def test_a_disagreement_in_any_trait_never_ends_verified(field: str, written: str, rules: Rules) -> None:
    changed = content({field: written})
    agrees = examined(changed, rules=rules).reasons == ()
    if agrees:
        # The only texts that may pass are other ways of writing the same value.
        letters = "".join(sign for sign in written.upper() if sign.isalnum())
        original = "".join(sign for sign in getattr(IDENTITY, field) if sign.isalnum())
        assert letters == original or field == "birth_date"


@given(CONTENTS, CONTENTS)
def test_nothing_of_a_patient_is_in_what_is_said_of_them(sealed: SealedContent, other: SealedContent) -> None:
    for one in (sealed, other):
        found = examined(one, rules=PRODUCTION_RULES)
        said = " ".join((*found.evidence, *found.warnings, *found.checked))
        assert INS not in said
        assert OTHER_INS not in said
        assert "TROIS" not in said.upper()


def test_the_extract_holds_no_other_person_than_the_patient() -> None:
    assert {name for name in HEADER.__struct_fields__ if "guardian" in name or "informant" in name or "participant" in name} == set()
