"""Attacks the law with any flags, recipients, identity, type and policy: what must hold whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from relais.contracts.header import Code, Identifier
from relais.contracts.reasons import SuppressReason
from relais.contracts.routing import DestinationKind
from relais.contracts.submission import Flags, InsStatus, Opposition, Recipient, RecipientKind
from relais.routing.domain.case import Case, Law, Verdict
from relais.routing.domain.judgement import judge
from relais.routing.domain.policy import EffectivePolicy
from relais.routing.law import rules
from relais.routing.law.addresses import canonical_address, in_patient_domain
from tests.routing.given import (
    CLINIC,
    DOCTOR,
    IMPOSTOR,
    INS,
    LAW,
    LENIENT,
    OID,
    OTHER_INS,
    PATIENT,
    POLICY,
    PRODUCTION,
    SOFTWARE,
    TEST_OID,
    case,
)

MAYBE = st.booleans()
ANY_FLAGS = st.builds(Flags, **dict.fromkeys(Flags.__struct_fields__, MAYBE))
ADDRESSES = st.sampled_from(
    [DOCTOR.address, CLINIC.address, PATIENT.address, IMPOSTOR.address, "", "x", f"<{PATIENT.address}>", f"{INS}@patient.mssante.fr."]
)
RECIPIENTS = st.lists(
    st.builds(
        Recipient, kind=st.sampled_from(RecipientKind), address=ADDRESSES, identifier=st.sampled_from(["", "810001", INS, OTHER_INS])
    ),
    max_size=4,
).map(tuple)
BIRTHS = st.sampled_from(["", "19790328", "20200101", "2008", "20080501"])
CASES = st.builds(
    lambda identifiers, ins, oid, birth, confidentiality, extension, **rest: case(
        header={
            "patient_ids": tuple(identifiers),
            "patient_birth_time": birth,
            "confidentiality": confidentiality,
            "id": Identifier(root="1.2.3", extension=extension),
        },
        identity={"ins": ins, "ins_oid": oid, "birth_date": birth},
        **rest,
    ),
    identifiers=st.lists(
        st.builds(Identifier, root=st.sampled_from([OID, TEST_OID, "9.9"]), extension=st.sampled_from([INS, OTHER_INS])), max_size=2
    ),
    ins=st.sampled_from(["", INS, OTHER_INS]),
    oid=st.sampled_from(["", OID, TEST_OID]),
    birth=BIRTHS,
    confidentiality=st.sampled_from([None, Code(code="N"), Code(code="R")]),
    extension=st.sampled_from(["", "1"]),
    flags=ANY_FLAGS,
    opposition=st.sampled_from(Opposition),
    status=st.sampled_from(InsStatus),
    type_code=st.sampled_from(["11502-2", "57055-6", "DOCPAT09", "??"]),
    recipients=RECIPIENTS,
    loosened=MAYBE,
    released=MAYBE,
)
LAWS = st.sampled_from([LAW, PRODUCTION])
POLICIES = st.sampled_from([POLICY, LENIENT, None])


@given(CASES, LAWS, POLICIES)
def test_no_route_mails_a_patient_who_must_not_see_or_whose_ins_is_not_qualified(
    case: Case, law: Law, policy: EffectivePolicy | None
) -> None:
    for wish in judge(case, law, policy).wishes:
        if wish.kind is not DestinationKind.MSSANTE_PATIENT or wish.verdict is not Verdict.PLANNED:
            continue
        assert not case.flags.invisible_patient
        assert case.flags.destmssantepat
        assert case.qualified_ins
        assert not (law is PRODUCTION and case.is_test_identity)
        address = case.recipients[wish.recipient].address if wish.recipient is not None else PATIENT.address
        assert canonical_address(address).startswith(f"{case.qualified_ins}@")


@given(CASES, LAWS, POLICIES)
def test_no_mail_for_professionals_or_software_ever_goes_to_the_patient_domain(
    case: Case, law: Law, policy: EffectivePolicy | None
) -> None:
    for wish in judge(case, law, policy).wishes:
        if wish.recipient is not None and wish.kind is not DestinationKind.MSSANTE_PATIENT:
            assert not in_patient_domain(canonical_address(case.recipients[wish.recipient].address), law.patient_domains)


@given(CASES, LAWS, POLICIES)
def test_no_dmp_without_a_qualified_ins_a_fitting_type_and_no_opposition(case: Case, law: Law, policy: EffectivePolicy | None) -> None:
    for wish in judge(case, law, policy).wishes:
        if wish.kind is DestinationKind.DMP and wish.verdict is Verdict.PLANNED:
            assert case.qualified_ins
            assert case.opposition is not Opposition.YES
            assert case.type_code == "11502-2"
            assert case.header.confidentiality == Code(code="N")
            assert not case.header.id.extension
            assert not (law is PRODUCTION and case.is_test_identity)


@given(CASES, LAWS, POLICIES)
def test_every_verdict_names_a_rule_that_exists_and_exactly_its_own_reason(case: Case, law: Law, policy: EffectivePolicy | None) -> None:
    judgement = judge(case, law, policy)
    for wish in judgement.wishes:
        assert wish.rule in rules.RULES
        assert (wish.suppressed is not None) is (wish.verdict is Verdict.SUPPRESSED)
        assert (wish.held is not None) is (wish.verdict is Verdict.HELD)
        assert (wish.endpoint is not None) is (wish.verdict is Verdict.PLANNED)
    assert all(rule in rules.RULES for _, rule in judgement.reasons())


@given(CASES, LAWS, st.sampled_from([POLICY, LENIENT]))
def test_what_a_person_released_is_not_held_again(case: Case, law: Law, policy: EffectivePolicy) -> None:
    if case.released:
        assert judge(case, law, policy).reasons() == ()


@given(CASES, LAWS, POLICIES, st.sampled_from([DOCTOR, CLINIC, SOFTWARE]))
def test_adding_a_recipient_changes_no_other_destination(case: Case, law: Law, policy: EffectivePolicy | None, added: Recipient) -> None:
    before = judge(case, law, policy)
    grown = Case(**{**{name: getattr(case, name) for name in Case.__slots__}, "recipients": (*case.recipients, added)})
    after = judge(grown, law, policy)
    # The note that professionals were asked for and not named is about nobody, and goes when somebody is named.
    others = [wish for wish in before.wishes if wish.suppressed is not SuppressReason.NO_RECIPIENT]
    kept = [wish for wish in after.wishes if wish.recipient != len(case.recipients) and wish.suppressed is not SuppressReason.NO_RECIPIENT]
    assert kept == others
    assert after.holds == before.holds
