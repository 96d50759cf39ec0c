"""The rules of routing: what each says in French and in English, and where it comes from. Facts and explanations name their ids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

VOLET: Final = "CI-SIS Transmission de documents CDA en HL7v2, règles de gestion MSSanté"
MAPPING: Final = "CI-SIS Transmission de documents CDA en HL7v2, mapping DMP"
REFERENTIEL_2: Final = "Référentiel 2 MSSanté"
RELAIS: Final = "Relais"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a stable id, what it says in French and in English, and where it comes from."""

    id: str
    french: str
    english: str
    source: str


def _table(rules: Iterable[tuple[str, str, str, str]]) -> Mapping[str, Rule]:
    return MappingProxyType({id_: Rule(id_, french, english, source) for id_, french, english, source in rules})


POLICY: Final = "policy.required"
MASKING: Final = "masking.never_loosened"
IDENTITY: Final = "identity.held"
REJECTED: Final = "identity.rejected"
READABLE: Final = "document.readable"
MATRIX: Final = "matrix.exhaustive"
DMP_FEED: Final = "dmp.feed"
DMP_OPPOSITION: Final = "dmp.opposition"
DMP_QUALIFIED: Final = "dmp.ins_qualified"
DMP_TEST: Final = "dmp.no_test_identity"
DMP_TYPE: Final = "dmp.type_in_j66"
DMP_CLASS: Final = "dmp.class_in_x04"
DMP_CONFIDENTIALITY: Final = "dmp.confidentiality_normal"
DMP_ID: Final = "dmp.id_without_extension"
PATIENT_ADDRESS: Final = "patient.address_is_the_ins"
PATIENT_INVISIBLE: Final = "patient.invisible"
PATIENT_REQUESTED: Final = "patient.requested"
PATIENT_QUALIFIED: Final = "patient.ins_qualified"
PATIENT_TEST: Final = "patient.no_test_identity"
PATIENT_MINOR: Final = "patient.representatives"
PATIENT_SECRET: Final = "patient.secret_connection"  # noqa: S105 -- the id of a rule.
PROFESSIONAL_REQUESTED: Final = "professional.requested"
PROFESSIONAL_MASKED: Final = "professional.masked"
PROFESSIONAL_ADDRESS: Final = "professional.address"
PROFESSIONAL_NAMED: Final = "professional.named"
SOFTWARE_NAMED: Final = "software.named"
SOFTWARE_MASKED: Final = "software.masked"
ENDPOINT: Final = "policy.endpoint"
ONCE: Final = "document.once_per_destination"

RULES: Final[Mapping[str, Rule]] = _table(
    (
        (POLICY, "Sans politique active, rien ne part.", "Without an active policy nothing leaves.", RELAIS),
        (
            MASKING,
            "Une nouvelle demande ne peut réduire le masquage d'un document: c'est un remplacement.",
            "A later request cannot loosen the masking of a document: that is a replacement.",
            "CI-SIS Transmission de documents CDA en HL7v2, remplacement",
        ),
        (
            IDENTITY,
            "Une identité retenue depuis retient aussi ce qui n'est pas encore parti.",
            "An identity held since also holds what has not left yet.",
            RELAIS,
        ),
        (
            REJECTED,
            "Une personne a refusé le document: ce qui n'est pas encore parti ne part pas.",
            "A person rejected the document: what has not left yet does not leave.",
            RELAIS,
        ),
        (READABLE, "Ce qui ne peut être lu attend une personne.", "What cannot be read waits for a person.", RELAIS),
        (
            MATRIX,
            "La matrice MSSanté est exhaustive: une autre combinaison attend une personne.",
            "The MSSanté matrix is exhaustive: another combination waits for a person.",
            VOLET,
        ),
        ("matrix.row_1", "Messagerie des professionnels et du patient.", "Mail to professionals and to the patient.", VOLET),
        ("matrix.row_2", "Messagerie des professionnels seuls.", "Mail to professionals only.", VOLET),
        ("matrix.row_3", "Messagerie du patient seul.", "Mail to the patient only.", VOLET),
        (
            "matrix.lenient",
            "Hors matrice, mode tolérant: professionnels nommés, document non masqué, jamais le patient.",
            "Outside the matrix, lenient: named professionals, nothing masked to them, never the patient.",
            RELAIS,
        ),
        (DMP_FEED, "DESTDMP demande d'alimenter le DMP.", "DESTDMP asks to feed the DMP.", MAPPING),
        (
            DMP_OPPOSITION,
            "Le patient s'oppose à l'alimentation de son DMP.",
            "The patient opposes the feeding of the DMP.",
            "CSP R1111-47, L1111-15",
        ),
        (DMP_QUALIFIED, "Pas d'alimentation sans INS qualifié.", "No feeding without a qualified INS.", "INS/va1.53"),
        (
            DMP_TEST,
            "Une identité de test n'alimente jamais le DMP de production.",
            "A test identity never feeds the production DMP.",
            "CI-SIS, OID de l'INS",
        ),
        (DMP_TYPE, "Le DMP ne prend que les types du JDV J66.", "The DMP takes only the types of JDV J66.", "JDV_J66"),
        (
            DMP_CLASS,
            "Un type sans classe du DMP dans ASS_X04 n'y va pas.",
            "A type without a class of the DMP in ASS_X04 does not go there.",
            "ASS_X04, JDV_J57",
        ),
        (
            DMP_CONFIDENTIALITY,
            "Seul un document de confidentialité N va au DMP.",
            "Only a document of confidentiality N goes to the DMP.",
            "JDV_J58",
        ),
        (
            DMP_ID,
            "Le DMP n'admet pas d'identifiant de document avec extension.",
            "The DMP does not take a document id with an extension.",
            "CI-SIS Transmission de documents CDA en HL7v2, TXA-12",
        ),
        (
            PATIENT_ADDRESS,
            "Une adresse du domaine patient doit être celle de l'INS qualifié du document.",
            "An address of the patient domain must be that of the document's qualified INS.",
            REFERENTIEL_2,
        ),
        (
            PATIENT_INVISIBLE,
            "INVISIBLE_PATIENT = Y: jamais de courriel au patient.",
            "INVISIBLE_PATIENT = Y: no mail to the patient.",
            VOLET,
        ),
        (PATIENT_REQUESTED, "DESTMSSANTEPAT ne demande pas le patient.", "DESTMSSANTEPAT does not ask for the patient.", VOLET),
        (
            PATIENT_QUALIFIED,
            "Pas de courriel au patient sans INS qualifié.",
            "No mail to the patient without a qualified INS.",
            "Référentiel 2 MSSanté, ECO.2.2.6",
        ),
        (
            PATIENT_TEST,
            "Une identité de test ne reçoit pas de courriel en production.",
            "A test identity gets no mail in production.",
            "CI-SIS, OID de l'INS",
        ),
        (
            PATIENT_MINOR,
            "INVISIBLE_REP_LEGAUX = Y: jamais de courriel à un mineur ni à un âge inconnu.",
            "INVISIBLE_REP_LEGAUX = Y: no mail to a minor, nor to an unknown age.",
            VOLET,
        ),
        (
            PATIENT_SECRET,
            "Connexion secrète hors matrice: pas de courriel au patient.",
            "Secret connection outside the matrix: no mail to the patient.",
            VOLET,
        ),
        (
            PROFESSIONAL_REQUESTED,
            "DESTMSSANTEPS ne demande pas les professionnels.",
            "DESTMSSANTEPS does not ask for professionals.",
            VOLET,
        ),
        (PROFESSIONAL_MASKED, "Document masqué aux professionnels.", "The document is masked to professionals.", VOLET),
        (
            PROFESSIONAL_ADDRESS,
            "Une adresse doit être une seule adresse ordinaire.",
            "An address must be one ordinary address.",
            "RFC 5321",
        ),
        (
            PROFESSIONAL_NAMED,
            "DESTMSSANTEPS sans destinataire nommé n'envoie à personne.",
            "DESTMSSANTEPS without a named recipient sends to nobody.",
            VOLET,
        ),
        (SOFTWARE_NAMED, "Un logiciel nommé destinataire reçoit le document.", "A software named as recipient gets the document.", RELAIS),
        (SOFTWARE_MASKED, "Document masqué aux professionnels.", "The document is masked to professionals.", RELAIS),
        (ENDPOINT, "La politique ne nomme aucun point d'accès pour ce destinataire.", "The policy names no endpoint for it.", RELAIS),
        (
            ONCE,
            "Chaque destinataire reçoit un document une seule fois.",
            "Each destination gets a document once.",
            "CI-SIS Transmission de documents CDA en HL7v2, destinataire ultérieur",
        ),
    )
)
