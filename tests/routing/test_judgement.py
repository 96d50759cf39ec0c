"""Attacks SAFETY 5 and 10 to 16 on one request: every rule alone, then laws over any flags, recipients, status and type."""

from datetime import date
from typing import Any

import pytest

from relais.contracts.header import Code, Identifier
from relais.contracts.reasons import HoldReason, SuppressReason
from relais.contracts.routing import DestinationKind
from relais.contracts.submission import Flags, InsStatus, Opposition, Recipient, RecipientKind
from relais.routing.domain.case import Law, Verdict
from relais.routing.domain.policy import EffectivePolicy
from relais.routing.law import rules
from tests.routing.given import (
    CLINIC,
    DMP_ONLY,
    DOCTOR,
    FLAGS,
    IMPOSTOR,
    INS,
    LAW,
    LENIENT,
    OTHER_INS,
    PATIENT,
    POLICY,
    PRODUCTION,
    ROW_2,
    ROW_3,
    SOFTWARE,
    TEST_OID,
    flags,
    judged,
    verdicts,
)

TEST_PATIENT: dict[str, Any] = {
    "header": {"patient_ids": (Identifier(root=TEST_OID, extension=INS),)},
    "identity": {"ins_oid": TEST_OID},
}
WITHOUT_INS: dict[str, Any] = {
    "header": {"patient_ids": ()},
    "identity": {"ins": "", "ins_oid": ""},
    "status": InsStatus.VALIDEE,
}


def test_the_common_case_goes_to_the_dmp_the_patient_and_the_doctor() -> None:
    judgement = judged()
    assert verdicts(judgement) == {("dmp", None): "planned", ("mssante_patient", None): "planned", ("mssante_professional", 0): "planned"}
    assert [wish.rule for wish in judgement.wishes] == [rules.DMP_FEED, "matrix.row_1", "matrix.row_1"]
    assert judgement.reasons() == ()


# DMP: SAFETY 4, 5, 10, 13, 14, 15.


@pytest.mark.parametrize(
    ("changes", "reason", "rule"),
    [
        ({"opposition": Opposition.YES}, SuppressReason.OPPOSITION, rules.DMP_OPPOSITION),
        ({"status": InsStatus.VALIDEE}, SuppressReason.IDENTITY_NOT_QUALIFIED, rules.DMP_QUALIFIED),
        (WITHOUT_INS, SuppressReason.IDENTITY_NOT_QUALIFIED, rules.DMP_QUALIFIED),
        ({"identity": {"ins": OTHER_INS}}, SuppressReason.IDENTITY_NOT_QUALIFIED, rules.DMP_QUALIFIED),
        ({"identity": {"ins_oid": TEST_OID}}, SuppressReason.IDENTITY_NOT_QUALIFIED, rules.DMP_QUALIFIED),
        ({"type_code": "57055-6"}, SuppressReason.TYPE_NOT_FOR_DMP, rules.DMP_TYPE),
        ({"type_code": "34105-7"}, SuppressReason.TYPE_NOT_FOR_DMP, rules.DMP_TYPE),
        ({"type_code": "DOCPAT09"}, SuppressReason.TYPE_WITHOUT_CLASS, rules.DMP_CLASS),
        ({"header": {"confidentiality": Code(code="R")}}, SuppressReason.CONFIDENTIALITY, rules.DMP_CONFIDENTIALITY),
        ({"header": {"confidentiality": Code(code="V")}}, SuppressReason.CONFIDENTIALITY, rules.DMP_CONFIDENTIALITY),
        ({"header": {"confidentiality": None}}, SuppressReason.CONFIDENTIALITY, rules.DMP_CONFIDENTIALITY),
        ({"header": {"id": Identifier(root="1.2.3", extension="4")}}, SuppressReason.DOCUMENT_ID_HAS_EXTENSION, rules.DMP_ID),
    ],
)
def test_what_the_law_refuses_to_the_dmp_is_refused_there_and_only_there(
    changes: dict[str, Any], reason: SuppressReason, rule: str
) -> None:
    judgement = judged(**{"flags": DMP_ONLY, "recipients": (SOFTWARE,), **changes})
    dmp, software = judgement.wishes
    assert (dmp.suppressed, dmp.rule) == (reason, rule)
    assert software.verdict is Verdict.PLANNED
    assert judgement.reasons() == ()


def test_opposition_unknown_does_not_block_the_dmp_and_opposition_never_blocks_professionals() -> None:
    assert verdicts(judged(opposition=Opposition.UNKNOWN))["dmp", None] == "planned"
    assert verdicts(judged(opposition=Opposition.YES))["mssante_professional", 0] == "planned"


def test_a_test_identity_goes_to_the_dmp_and_the_patient_in_a_test_deployment_only() -> None:
    assert set(verdicts(judged(LAW, **TEST_PATIENT)).values()) == {"planned"}
    in_production = verdicts(judged(PRODUCTION, **TEST_PATIENT))
    assert in_production["dmp", None] == in_production["mssante_patient", None] == SuppressReason.TEST_IDENTITY
    assert in_production["mssante_professional", 0] == "planned"


def test_a_dmp_that_nobody_asked_for_is_not_even_a_wish() -> None:
    assert all(wish.kind is not DestinationKind.DMP for wish in judged(flags=ROW_3).wishes)


# The patient domain: SAFETY 11.


@pytest.mark.parametrize("kind", list(RecipientKind))
@pytest.mark.parametrize("base", [FLAGS, ROW_2, ROW_3, DMP_ONLY])
def test_another_persons_address_holds_everything_whatever_named_it(kind: RecipientKind, base: Flags) -> None:
    judgement = judged(flags=base, recipients=(DOCTOR, Recipient(kind=kind, address=IMPOSTOR.address)))
    assert judgement.reasons() == ((HoldReason.PATIENT_ADDRESS_IS_NOT_THE_PATIENT, rules.PATIENT_ADDRESS),)
    assert judgement.holds_everything()


def test_a_patient_who_is_named_with_an_address_outside_the_patient_domain_is_held() -> None:
    elsewhere = Recipient(kind=RecipientKind.PATIENT, address="dominique@example.org")
    assert judged(recipients=(DOCTOR, elsewhere)).holds_everything()


def test_a_patient_who_is_named_with_anothers_ins_is_held() -> None:
    assert judged(
        recipients=(DOCTOR, Recipient(kind=RecipientKind.PATIENT, address=PATIENT.address, identifier=OTHER_INS))
    ).holds_everything()
    own = Recipient(kind=RecipientKind.PATIENT, address=PATIENT.address, identifier=INS)
    assert verdicts(judged(recipients=(DOCTOR, own)))["mssante_patient", 1] == "planned"


@pytest.mark.parametrize("changes", [{"status": InsStatus.VALIDEE}, WITHOUT_INS])
def test_a_patient_address_without_a_qualified_ins_is_held(changes: dict[str, Any]) -> None:
    assert judged(**{**changes, "recipients": (DOCTOR, PATIENT)}).holds_everything()


def test_the_patients_own_address_under_a_professional_is_a_patient_route() -> None:
    disguised = Recipient(kind=RecipientKind.PROFESSIONAL, address=PATIENT.address)
    assert verdicts(judged(recipients=(DOCTOR, disguised)))["mssante_patient", 1] == "planned"
    # DESTMSSANTEPS never sends to it.
    assert verdicts(judged(flags=ROW_2, recipients=(DOCTOR, disguised)))["mssante_patient", 1] == SuppressReason.INVISIBLE_TO_PATIENT


def test_the_patient_named_and_asked_for_by_flag_is_one_destination() -> None:
    patients = [wish for wish in judged(recipients=(DOCTOR, PATIENT)).wishes if wish.kind is DestinationKind.MSSANTE_PATIENT]
    assert [wish.recipient for wish in patients] == [1]
    unnamed = judged(recipients=(DOCTOR, Recipient(kind=RecipientKind.PATIENT, address="")))
    own = [wish for wish in unnamed.wishes if wish.kind is DestinationKind.MSSANTE_PATIENT]
    assert [(wish.recipient, wish.name) for wish in own] == [(None, patients[0].name)]


def test_an_operators_patient_domain_counts_where_it_is_configured() -> None:
    operator = Recipient(kind=RecipientKind.PROFESSIONAL, address=f"{OTHER_INS}@patients.operateur.mssante.fr")
    assert not judged(recipients=(operator,)).holds_everything()
    law = Law(LAW.tables, LAW.deployment, LAW.patient_domains | {"patients.operateur.mssante.fr"})
    assert judged(law, recipients=(operator,)).holds_everything()


# Patient mail: SAFETY 10, 12, 14.


def test_no_patient_mail_without_a_qualified_ins() -> None:
    assert verdicts(judged(**WITHOUT_INS))["mssante_patient", None] == SuppressReason.IDENTITY_NOT_QUALIFIED


@pytest.mark.parametrize(
    ("birth", "day", "outcome"),
    [
        ("20080501", date(2026, 4, 30), "MINOR_OR_AGE_UNKNOWN"),
        ("20080501", date(2026, 5, 1), "planned"),
        ("", date(2026, 5, 1), "MINOR_OR_AGE_UNKNOWN"),
        ("2008", date(2026, 5, 1), "MINOR_OR_AGE_UNKNOWN"),
    ],
)
def test_invisible_to_representatives_holds_the_mail_of_a_minor_and_of_an_unknown_age(birth: str, day: date, outcome: str) -> None:
    person: dict[str, Any] = {"header": {"patient_birth_time": birth}, "identity": {"birth_date": birth}}
    judgement = judged(flags=flags(ROW_3, invisible_rep_legaux=True), day=day, recipients=(), **person)
    assert verdicts(judgement) == {("mssante_patient", None): outcome}
    assert not judgement.holds_everything()


def test_the_younger_of_two_birth_dates_counts() -> None:
    judgement = judged(flags=flags(ROW_3, invisible_rep_legaux=True), recipients=(), header={"patient_birth_time": "20100101"})
    assert verdicts(judgement) == {("mssante_patient", None): "MINOR_OR_AGE_UNKNOWN"}


def test_a_minor_gets_mail_where_nothing_is_hidden_from_representatives() -> None:
    person: dict[str, Any] = {"header": {"patient_birth_time": "20200101"}, "identity": {"birth_date": "20200101"}}
    assert verdicts(judged(**person))["mssante_patient", None] == "planned"


def test_after_a_release_a_minor_still_gets_no_mail() -> None:
    judgement = judged(
        flags=flags(ROW_3, invisible_rep_legaux=True), recipients=(), header={"patient_birth_time": "20200101"}, released=True
    )
    assert verdicts(judgement) == {("mssante_patient", None): "INVISIBLE_TO_REPRESENTATIVES"}


# Matrix, masking, policy.


def test_a_combination_outside_the_matrix_holds_everything_in_strict_mode() -> None:
    judgement = judged(flags=flags(destmssantepat=False))
    assert judgement.reasons() == ((HoldReason.MATRIX_COMBINATION_UNKNOWN, rules.MATRIX),)
    assert judgement.holds_everything()


def test_lenient_mode_sends_it_to_professionals_and_names_its_own_rule() -> None:
    judgement = judged(LAW, LENIENT, flags=flags(destmssantepat=False))
    assert judgement.reasons() == ()
    assert verdicts(judgement) == {("dmp", None): "planned", ("mssante_professional", 0): "planned"}
    assert judgement.wishes[1].rule == "matrix.lenient"


@pytest.mark.parametrize(
    ("changes", "professional", "patient"),
    [
        ({"invisible_rep_legaux": True}, "planned", "OUTSIDE_THE_MATRIX"),
        ({"masque_ps": True}, "MASKED_TO_PROFESSIONALS", "OUTSIDE_THE_MATRIX"),
        ({"masque_ps": True, "connexion_secrete": True}, "MASKED_TO_PROFESSIONALS", "SECRET_CONNECTION"),
        ({"invisible_patient": True}, "planned", "INVISIBLE_TO_PATIENT"),
    ],
)
def test_a_release_outside_the_matrix_reaches_professionals_at_most(changes: dict[str, bool], professional: str, patient: str) -> None:
    seen = verdicts(judged(flags=flags(FLAGS, **changes), released=True))
    assert seen["mssante_professional", 0] == professional
    assert seen["mssante_patient", None] == patient


def test_without_a_policy_everything_is_held() -> None:
    judgement = judged(LAW, None)
    assert (HoldReason.POLICY_MISSING, rules.POLICY) in judgement.reasons()
    assert all(wish.verdict is not Verdict.PLANNED for wish in judgement.wishes)


def test_a_destination_without_an_endpoint_is_suppressed_and_no_other() -> None:
    assert POLICY is not None
    only = tuple(choice for choice in POLICY.endpoints if choice.kind is not DestinationKind.DMP)
    policy = EffectivePolicy("tenant", 1, (), only, POLICY.matrix, POLICY.matrix_mode)
    seen = verdicts(judged(LAW, policy))
    assert seen["dmp", None] == SuppressReason.NO_ENDPOINT
    assert seen["mssante_professional", 0] == "planned"


# Recipients and fallbacks: SAFETY 16.


def test_professionals_whom_no_flag_asks_for_are_suppressed_and_software_is_not() -> None:
    seen = verdicts(judged(flags=DMP_ONLY, recipients=(DOCTOR, CLINIC, SOFTWARE)))
    assert seen["mssante_professional", 0] == seen["mssante_professional", 1] == SuppressReason.NOT_REQUESTED
    assert seen["software", 2] == "planned"


def test_professionals_asked_for_and_not_named_are_a_visible_nothing() -> None:
    assert verdicts(judged(recipients=()))["mssante_professional", None] == SuppressReason.NO_RECIPIENT


def test_a_masked_document_goes_to_no_software() -> None:
    seen = verdicts(judged(flags=flags(DMP_ONLY, masque_ps=True), recipients=(SOFTWARE,)))
    assert seen == {("dmp", None): "planned", ("software", 0): SuppressReason.MASKED_TO_PROFESSIONALS}


@pytest.mark.parametrize("address", ["dr martin", "a@x.fr, b@x.fr", "a@x.fr\nbcc: b@x.fr"])
def test_an_address_that_is_not_one_address_is_not_written_to(address: str) -> None:
    seen = verdicts(judged(recipients=(Recipient(kind=RecipientKind.PROFESSIONAL, address=address), CLINIC)))
    assert seen["mssante_professional", 0] == SuppressReason.ADDRESS_UNUSABLE
    assert seen["mssante_professional", 1] == "planned"


@pytest.mark.parametrize(
    ("recipient", "fallback", "allowed"),
    [
        (DOCTOR, "dr.martin@cabinet.mssante.fr", True),
        (DOCTOR, "", False),
        (DOCTOR, PATIENT.address, False),
        (DOCTOR, IMPOSTOR.address, False),
        (DOCTOR, "nobody", False),
        (PATIENT, "dr.martin@cabinet.mssante.fr", False),
        (PATIENT, IMPOSTOR.address, False),
        (PATIENT, f"{INS}@PATIENT.mssante.fr", True),
    ],
)
def test_a_fallback_never_widens_the_audience(recipient: Recipient, fallback: str, allowed: bool) -> None:
    named = Recipient(kind=recipient.kind, address=recipient.address, fallback_address=fallback)
    wish = next(wish for wish in judged(recipients=(named,)).wishes if wish.recipient == 0)
    assert wish.verdict is Verdict.PLANNED
    assert wish.fallback is allowed
